"""`coreto ask` against simulated servers."""

import json
import os
import signal

import pytest

from coreto.testing.simulator import start_simulator

ROLES = """
[roles.chat]
chain = ["ollama/phi3:mini", "ollama/llama3.2:1b"]
[roles.strict]
chain = ["ollama/phi3:mini"]
labels = ["yes", "no"]
[roles.cloudy]
chain = ["lab/gpt-4o-mini", "ollama/phi3:mini"]
"""


@pytest.fixture
def asking(cli, ollama):
    """The command line with a local Ollama and a few roles."""
    cli.write(ROLES, ollama=f'host = "{ollama.url}"', lab='base_url = "http://127.0.0.1:9/v1"\nlocal = false')
    return cli


def test_the_answer_and_nothing_else_is_on_standard_output(asking, ollama) -> None:
    """Without a terminal there is only the answer, ended by a newline."""
    ollama.script({"content": "Because of Rayleigh."})
    ran = asking.run("ask", "Why?", "--role", "chat")
    assert (ran.out, ran.err) == ("Because of Rayleigh.\n", "")


def test_prompt_files_system_and_options_reach_the_model(asking, ollama) -> None:
    """Standard input, files as named blocks, the system message and options are in the upstream request."""
    (asking.folder / "a.py").write_text("print('```')\n")
    asking.run(
        *("ask", "-", "--role", "chat", "--file", "a.py", "--system", "Be brief"),
        *("--max-tokens", "7", "--temperature", "0.5"),
        stdin="Explain this\n",
    )
    (request,) = ollama.requests(path="/api/chat")
    system, user = request["body"]["messages"]
    assert system == {"role": "system", "content": "Be brief"}
    assert user["content"] == "Explain this\n\n\na.py\n````\nprint('```')\n````"
    assert request["body"]["options"]["num_predict"] == 7
    assert request["body"]["options"]["temperature"] == 0.5


def test_json_is_one_object_with_the_trace(asking, ollama) -> None:
    """`--json` prints text, deployment, role, usage, cost and the trace."""
    ollama.script({"content": "Hello"})
    shown = asking.run("ask", "hi", "--role", "chat", "--json").json
    assert (shown["text"], shown["deployment"], shown["role"]) == ("Hello", "ollama/phi3:mini", "chat")
    assert shown["cost_usd"] == 0
    assert shown["usage"]["total_tokens"] > 0
    assert [a["outcome"] for a in shown["coreto"]["attempts"]] == ["ok"]


def test_explain_shows_attempts_and_why_on_standard_error(asking, ollama) -> None:
    """`--explain` tells what was tried, who answered and why; the answer stays alone on standard output."""
    ollama.add_faults({"kind": "status", "status": 500, "error": "ollama.oom_500", "model": "phi3:mini"})
    ollama.script({"content": "Hello"})
    ran = asking.run("ask", "hi", "--role", "chat", "--explain")
    assert ran.out == "Hello\n"
    assert "out_of_memory" in ran.err
    assert "ollama/llama3.2:1b answered for chat, after ollama/phi3:mini (out_of_memory)" in ran.err
    assert "$0" in ran.err


def test_portuguese(asking, ollama) -> None:
    """With `language = "pt-BR"` the explanation is in Portuguese."""
    path = asking.folder / "coreto.toml"
    path.write_text('language = "pt-BR"\n' + path.read_text())
    ran = asking.run("ask", "oi", "--model", "ollama/phi3:mini", "--explain")
    assert "ollama/phi3:mini respondeu: foi pedido pelo nome" in ran.err


def test_schema_is_sent_and_the_answer_validated(asking, ollama) -> None:
    """`--schema` prints JSON of the schema; an answer that is not goes to the next model."""
    schema = {"type": "object", "properties": {"hex": {"type": "string"}}, "required": ["hex"]}
    (asking.folder / "colour.json").write_text(json.dumps(schema))
    ollama.add_faults({"kind": "bad_content", "content": '{"colour": "red"}', "model": "phi3:mini"})
    ran = asking.run("ask", "a colour", "--role", "chat", "--schema", "colour.json", "--explain")
    assert ran.json.keys() == {"hex"}
    assert "invalid_output" in ran.err
    assert ollama.requests(path="/api/chat")[0]["body"]["format"] == schema
    (asking.folder / "bad.json").write_text("[]")
    assert "bad.json" in asking.run("ask", "x", "--schema", "bad.json", code=1).err


def test_a_role_with_labels_prints_a_validated_label(asking, ollama) -> None:
    """The answer of a role with labels is one of them, cut out of what the model said."""
    ollama.script({"content": "I would say: Yes!"})
    assert asking.run("ask", "ok?", "--role", "strict").out == "yes\n"


def test_private_stays_on_this_machine(asking, ollama) -> None:
    """`--private` does not try the cloud deployment of the chain."""
    shown = asking.run("ask", "my secret", "--role", "cloudy", "--private", "--json").json
    assert [a["deployment"] for a in shown["coreto"]["attempts"]] == ["ollama/phi3:mini"]


def test_total_failure_is_one_line_with_every_attempt(asking, ollama) -> None:
    """When nobody answers: exit 1, one line that names every attempt; with --json an object as well."""
    ollama.add_faults({"kind": "status", "status": 500, "error": "ollama.oom_500"})
    ran = asking.run("ask", "hi", "--role", "chat", code=1)
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1
    assert ran.err.startswith("error: no model could answer 'chat'")
    assert ran.err.count("out_of_memory") == 2
    shown = asking.run("ask", "hi", "--role", "chat", "--json", code=1).json
    assert shown["error"]["code"] == "all_failed"
    assert len(shown["coreto"]["attempts"]) == 2


def test_mistakes_of_the_caller(asking) -> None:
    """Unknown roles name the nearest; empty prompts, missing and binary files are refused by name."""
    assert "'chat'" in asking.run("ask", "hi", "--role", "chta", code=1).err
    assert "prompt is empty" in asking.run("ask", "-", stdin=" \n", code=1).err
    assert "none.txt" in asking.run("ask", "hi", "--file", "none.txt", code=1).err
    (asking.folder / "image.png").write_bytes(b"\x89PNG\xff\xfe")
    assert "image.png is not UTF-8" in asking.run("ask", "hi", "--file", "image.png", code=1).err


def test_text_is_printed_as_it_arrives_and_ctrl_c_ends_the_call(asking, ollama) -> None:
    """The first words are there while the model is still at it; Ctrl-C exits with 130 and hangs up."""
    ollama.add_faults({"kind": "stall", "chunks": 2})
    ollama.script({"content": "one two three four five six"})
    process = asking.start("ask", "count", "--role", "chat")
    try:
        assert os.read(process.stdout.fileno(), 3) == b"one"
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert ollama.requests(path="/api/chat")[0]["hung_up"] is True


def test_sigterm_ends_the_call_too(asking, ollama) -> None:
    """SIGTERM exits with 143 after hanging up."""
    ollama.add_faults({"kind": "stall", "chunks": 1})
    process = asking.start("ask", "count", "--role", "chat")
    try:
        assert os.read(process.stdout.fileno(), 1)
        process.terminate()
        process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 143
    assert ollama.requests(path="/api/chat")[0]["hung_up"] is True


def test_nobody_but_the_embedded_model_starts_its_fetch(cli) -> None:
    """With no other model, the weights are fetched; when that fails the line says why and how to go on."""
    cli.env = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    cli.write(ollama='host = "http://127.0.0.1:9"')
    ran = cli.run("ask", "hi", code=1)
    assert ran.out == ""
    assert "no other model can answer: fetching embedded/smollm2 (93 MB, once)" in ran.err
    assert "error: could not download" in ran.err.splitlines()[-1]
    assert not list((cli.folder / "models").glob("*"))


def test_offline_fetches_nothing(cli) -> None:
    """`--offline` says that no model can answer and how to get one, without fetching."""
    cli.write(ollama='host = "http://127.0.0.1:9"')
    ran = cli.run("--offline", "ask", "hi", code=1)
    assert "fetching" not in ran.err
    assert "embedded/smollm2" in ran.err


@pytest.mark.slow
def test_the_embedded_model_answers(cli, models_dir) -> None:
    """With real weights and nothing else, `ask` answers at no cost."""
    cli.env = {"CORETO_MODELS_DIR": str(models_dir)}
    cli.write(ollama='host = "http://127.0.0.1:9"')
    path = cli.folder / "coreto.toml"
    path.write_text(path.read_text().replace('models_dir = "models"\n', ""))
    shown = cli.run("--offline", "ask", "Why is the sky blue?", "--max-tokens", "8", "--json").json
    assert shown["deployment"] == "embedded/smollm2"
    assert shown["text"].strip()
    assert shown["cost_usd"] == 0


def test_a_first_token_timeout_is_reported(cli) -> None:
    """A server that never answers ends in a timeout that names it."""
    with start_simulator("openai", "--any-model") as lab:
        lab.add_faults({"kind": "hang"})
        cli.write(lab=f'base_url = "{lab.url}/v1"\ntimeout = 0.3')
        assert "timeout" in cli.run("ask", "hi", "--model", "lab/x", code=1).err
