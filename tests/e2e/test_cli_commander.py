"""`coreto ask` where it plans and carries out, as a process: simulated models, the real sandbox."""

import asyncio
import json
import re
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from coreto.testing.simulator import start_simulator
from coreto.tools.sandbox import probe

pytestmark = pytest.mark.slow

CLOUD, BRAIN, CODER = "gpt-oss:120b", "brain:32b", "coder:14b"
CARD = (
    "--model",
    f"{BRAIN}=10GB:32768",
    "--model",
    f"{CODER}=9GB:32768",
    "--stub",
    "none",
    "--time-scale",
    "0",
)
PLANNED = "Planeje uma tarefa complexa e depois execute o código necessário"
EXECUTED = "Execute um código Python que soma números"
IN_ENGLISH = "Plan a complex task and then run the code it needs"
OUTLINE = json.dumps({"title": "Um plano", "steps": [{"text": "Definir", "details": "O que e como"}]})
ASLEEP = "import time\nprint('begun')\ntime.sleep(120)"


@pytest.fixture(scope="module")
def clouds():
    """A simulated Ollama Cloud for the module."""
    with start_simulator("ollama", "--cloud", "--api-key", "cloud-key", "--time-scale", "0") as simulator:
        yield simulator


@pytest.fixture(scope="module")
def cards():
    """A simulated card for the module."""
    with start_simulator("ollama", *CARD) as simulator:
        yield simulator


class Desk:
    """A command line, its cloud and its card."""

    def __init__(self, cli, cloud, card):
        self.cli, self.cloud, self.card = cli, cloud, card

    def setup(self, card=None, *, head="", roles="", cloud=True):
        """The configuration: the brain in the cloud first, both models on the card."""
        tables = {
            "ollama-cloud": f'host = "{self.cloud.url}"\napi_key = "cloud-key"\nenabled = {str(cloud).lower()}',
            "ollama": f'host = "{(card or self.card).url}"\nmemory_budget = "12 GB"',
            "embedded": "enabled = false",
        }
        self.cli.write(head + roles, **tables)
        self.cli.env |= {"OLLAMA_CLOUD_MODEL": CLOUD, "DEFAULT_MODEL": BRAIN, "EXECUTOR_MODEL": CODER}

    def answers(self, *codes, plan=("Somar", "Mostrar")):
        """What the brains plan and the coder writes, one after the other; the last one for ever."""
        steps = [{"kind": "execution", "text": text} for text in plan]
        shown = json.dumps({"title": "Um plano", "steps": steps})
        for simulator in (self.cloud, self.card):
            for asked in ("Pedido:", "Request:"):
                simulator.script({"match": asked, "content": shown, "times": None})
        for number, code in enumerate(codes, 1):
            times = None if number == len(codes) else 1
            self.card.script({"model": CODER, "content": f"```python\n{code}\n```", "times": times})

    def ask(self, *args, code=0):
        return self.cli.run("ask", *args, code=code)


@pytest.fixture
def desk(cli, clouds, cards):
    """A desk whose simulators have forgotten earlier tests."""
    if not asyncio.run(probe()):
        pytest.skip("no sandbox holds on this machine: nothing would be run")
    clouds.reset()
    cards.reset()
    made = Desk(cli, clouds, cards)
    made.setup()
    return made


def chats(simulator):
    """The models that were asked something; to load and to unload is not asking."""
    return [r["body"]["model"] for r in simulator.requests("/api/chat") if r["body"].get("messages")]


def until(condition, within=20.0):
    """Wait until ``condition`` gives something, and give that."""
    give_up = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < give_up
        time.sleep(0.02)
    return value


def gone(processes):
    """Whether all of ``processes`` end by themselves, soon."""
    _, alive = psutil.wait_procs(processes, timeout=5)
    return alive == []


def at_work(process):
    """The processes of a sandbox that runs code for ``process``."""

    def found():
        children = psutil.Process(process.pid).children(recursive=True)
        return children if len(children) > 2 else None

    return until(found)


# --- the answer, and nothing else


def test_commander_answer_alone_is_on_standard_output(desk) -> None:
    """Piped, there is the answer in the request's language on standard output, and nothing beside it."""
    desk.answers("print(sum(range(101)))", "print(6 * 7)")
    ran = desk.ask(PLANNED)
    assert ran.err == ""
    assert ran.out == (
        "## Plano: Um plano\n\n1. **[execução]** Somar\n2. **[execução]** Mostrar\n\n"
        "## Passo 1: Somar\n\n```python\nprint(sum(range(101)))\n```\n\n"
        "Saída (código de saída 0):\n\n```text\n5050\n```\n\n"
        "## Passo 2: Mostrar\n\n```python\nprint(6 * 7)\n```\n\n"
        "Saída (código de saída 0):\n\n```text\n42\n```\n\n"
        f"---\nModelos: brain = ollama-cloud/{CLOUD}, executor = ollama/{CODER} · custo: desconhecido\n"
    )
    assert (chats(desk.cloud), chats(desk.card)) == ([CLOUD], [CODER, CODER])


def test_commander_in_english_mends_and_keeps_files(desk) -> None:
    """In English: a failing program is mended, its file is kept, and standard error says where."""
    desk.answers("print(total)", "total = 5\nopen('t.txt', 'w').write('five')\nprint(total)", plan=("Add",))
    ran = desk.ask(IN_ENGLISH)
    assert "Output (exit code 0):\n\n```text\n5\n```" in ran.out
    assert "Versions of the code that were run: 2." in ran.out
    (line,) = ran.err.splitlines()
    name, _, path = line.removeprefix("file ").partition(": ")
    assert name == "t.txt"
    assert Path(path).read_text() == "five"
    assert Path(path).stat().st_mode & 0o777 == 0o600
    assert f"`{path}`" in ran.out


def test_commander_json(desk) -> None:
    """`--json`: one object with the answer's keys and the run; a failed step is exit code 1 and the same object."""
    desk.answers("print(7)", "raise ValueError('a')", "raise ValueError('b')", "raise ValueError('c')")
    ran = desk.ask(PLANNED, "--json", code=1)
    shown = ran.json
    assert ran.err == ""
    assert (shown["deployment"], shown["role"]) == (f"ollama/{CODER}", "executor")
    run = shown["commander"]
    assert (run["mode"], run["ok"], run["text"]) == ("plan_execute", False, shown["text"])
    first, second = run["plan"]
    assert (first["status"], first["output"], first["rounds"]) == ("done", "7\n", 1)
    assert (second["status"], second["error"], second["rounds"]) == ("failed", "ValueError: c", 3)
    assert run["run"].startswith("commander-")


def test_commander_plain_only_answers(desk) -> None:
    """`--plain`, a role, a model or an option ask one model, which only answers."""
    desk.card.script({"content": "Só uma resposta.", "times": None})
    desk.cloud.script({"content": "Só uma resposta.", "times": None})
    assert desk.ask(PLANNED, "--plain").out == "Só uma resposta.\n"
    assert desk.ask(PLANNED, "--role", "executor").out == "Só uma resposta.\n"
    assert desk.ask(EXECUTED, "--model", f"ollama/{CODER}", "--max-tokens", "50").out == "Só uma resposta.\n"
    assert len(chats(desk.cloud) + chats(desk.card)) == 3


def test_commander_private(desk) -> None:
    """`--private`: the local brain plans, and the cloud receives nothing at all."""
    desk.answers("print(1)")
    shown = desk.ask(PLANNED, "--private", "--json").json["commander"]
    assert shown["label"] == "private"
    assert desk.cloud.requests() == []
    assert set(chats(desk.card)) == {BRAIN, CODER}


def test_commander_files_of_the_prompt(desk) -> None:
    """`-f`: a program is run as it is, by nobody's leave; data goes to the coder with the request."""
    (desk.cli.folder / "soma.py").write_text("print(sum(range(5)))\n")
    (desk.cli.folder / "dados.csv").write_text("1,2\n3,4\n")
    desk.answers("print(1 + 2 + 3 + 4)")
    given = desk.ask("Execute este código", "-f", "soma.py")
    assert "```text\n10\n```" in given.out
    assert chats(desk.card) == []
    ran = desk.ask("Execute um código Python que soma os números do arquivo", "-f", "dados.csv")
    assert "```text\n10\n```" in ran.out
    (asked,) = (r["body"]["messages"] for r in desk.card.requests("/api/chat") if r["body"].get("messages"))
    assert "dados.csv\n```\n1,2\n3,4\n```" in asked[-1]["content"]


@pytest.mark.parametrize(
    ("text", "outputs", "asked"),
    [
        (IN_ENGLISH, ["5", "9"], [CODER] * 2),
        (PLANNED, ["5", "9"], [CODER] * 2),
        ("Planeje um fluxo completo de edição de vídeo no After Effects", [], []),
        (EXECUTED, ["5"], [CODER]),
        ("Analise e planeje uma solução", [], []),
        ("Planeje e execute uma tarefa complexa", ["5", "9"], [CODER] * 2),
    ],
)
def test_commander_example_requests(desk, text, outputs, asked) -> None:
    """The example requests of the earlier designs, word for word. (To write a script is one model's answer here.)"""
    if not asked:
        desk.cloud.script({"match": "Pedido:", "content": OUTLINE})
    desk.answers("print(2 + 3)", "print(4 + 5)")
    ran = desk.ask(text)
    assert re.findall(r"```text\n(\d+)\n```", ran.out) == outputs
    assert chats(desk.card) == asked
    assert chats(desk.cloud) == ([] if text == EXECUTED else [CLOUD])


def test_commander_writes_a_script(desk) -> None:
    """ "Crie um script Python que soma números": the coder's answer, as it comes; nothing is run."""
    desk.answers("print(2 + 3)")
    assert desk.ask("Crie um script Python que soma números").out == "```python\nprint(2 + 3)\n```\n"
    assert chats(desk.card) == [CODER]


# --- what goes wrong


def test_commander_without_a_sandbox(desk) -> None:
    """Neither bubblewrap nor the extra: the code is given, nothing is run, and one line says what to install."""
    desk.answers("print(1)")
    away = desk.cli.folder / "away"
    away.mkdir()
    (away / "pydantic_monty.py").write_text("raise ImportError('not installed')\n")
    desk.cli.env |= {"PATH": str(away), "PYTHONPATH": str(away)}
    ran = desk.ask(EXECUTED)
    assert "```python\nprint(1)\n```" in ran.out
    assert "```text" not in ran.out
    (line,) = [line for line in ran.out.splitlines() if "**Não executado:**" in line]
    assert "bubblewrap" in line if sys.platform == "linux" else "coreto[sandbox]" in line
    shown = desk.ask(EXECUTED, "--json").json["commander"]["plan"][0]
    assert (shown["status"], shown["output"], shown["exit_code"], shown["rounds"]) == ("not_run", "", None, 0)


def test_commander_hostile_code_is_told(desk) -> None:
    """Code that reads outside of its folder reads nothing: the answer says that it was contained, the exit code 1."""
    desk.answers("print(open('/etc/passwd').read())", plan=("Ler",))
    ran = desk.ask(EXECUTED, code=1)
    assert "contido pela sandbox: nada fora da pasta dela" in ran.out
    assert "root:" not in ran.out


@contextmanager
def dying_card():
    """A card of its own whose coder never answers."""
    with start_simulator("ollama", *CARD) as card:
        card.add_faults({"kind": "hang", "model": CODER, "after": 1})  # the first is to load it
        yield card


def test_commander_executor_killed(desk) -> None:
    """SIGKILL to the executor's server in mid-answer: one line that names it, exit code 1, nobody left, and nothing
    is fetched that the configuration has switched off."""
    with dying_card() as card:
        desk.setup(card, cloud=False, roles=f'[roles.executor]\nchain = ["ollama/{CODER}"]\n')
        del desk.cli.env["EXECUTOR_MODEL"]
        process = desk.cli.start("ask", EXECUTED)
        until(lambda: CODER in chats(card))
        children = psutil.Process(process.pid).children(recursive=True)
        card.stop(kill=True)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 1
    (line,) = err.decode().splitlines()
    assert line.startswith(f"error: no model could answer 'executor'. ollama/{CODER}: cut")
    assert gone(children)


def test_commander_ctrl_c_while_code_runs(desk) -> None:
    """Ctrl-C while the sandbox works: exit code 130, no traceback, and none of its processes is left."""
    desk.answers(ASLEEP)
    process = desk.cli.start("ask", EXECUTED)
    sandbox = at_work(process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert gone(sandbox)


def test_commander_ctrl_c_while_it_plans(desk) -> None:
    """Ctrl-C while the brain thinks: exit code 130, and the call is hung up."""
    desk.cloud.add_faults({"kind": "hang"})
    process = desk.cli.start("ask", PLANNED)
    until(lambda: chats(desk.cloud))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err
    assert until(lambda: desk.cloud.requests("/api/chat")[0]["hung_up"])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of a killed process")
def test_commander_killed_leaves_no_sandbox(desk) -> None:
    """SIGKILL to the command itself: the code that it was running ends too."""
    desk.answers(ASLEEP)
    process = desk.cli.start("ask", EXECUTED)
    sandbox = at_work(process)
    process.kill()
    process.communicate(timeout=10)
    assert gone(sandbox)


# --- a live owner


def test_commander_through_a_live_server(desk) -> None:
    """With `coreto serve` on the same data it asks that: the server's models take turns by the announced plan, and
    its ledger has the run, all calls together."""
    desk.setup(cloud=False)
    desk.answers("print(1)", "print(2)", "print(3)", plan=("Um", "Dois", "Três"))
    server = desk.cli.start("serve", "--port", "0")
    try:
        assert b"listening" in server.stdout.readline()
        shown = desk.ask(PLANNED, "--json").json["commander"]
        (host,) = desk.cli.run("ps", "--json").json["hosts"]
        costs = desk.cli.run("costs", "--by", "run", "--json").json["groups"]
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=20)
    finally:
        server.kill()
        server.communicate()
    assert [step["output"] for step in shown["plan"]] == ["1\n", "2\n", "3\n"]
    assert chats(desk.card) == [BRAIN, CODER, CODER, CODER]
    assert (host["switches"], host["loads"]) == (1, 2)
    assert [happened["detail"] for happened in host["recent"] if happened["what"] == "switch"] == [
        f"for '{CODER}', which a plan calls next"
    ]
    (group,) = costs
    assert (group["key"], group["calls"], group["failed_calls"]) == (shown["run"], 4, 0)
    assert b"Traceback" not in err
