"""What a commander does: over scripted models, with a sandbox that trusts."""

import asyncio
import json

import pytest

from coreto.crews.commander.crew import Commander
from coreto.crews.commander.settings import CommanderSettings
from coreto.crews.commander.tools import Shelf
from coreto.errors import (
    AuthError,
    CallError,
    ExhaustedError,
    InvalidOutputError,
    InvalidRequestError,
    PrivacyError,
    UnreachableError,
)
from coreto.labels import Label
from coreto.messages import Restart, Trace
from coreto.testing.models import ScriptedModels
from coreto.testing.provider import Say
from coreto.testing.sandbox import TrustingSandbox
from coreto.tools.sandbox import SandboxLimits

PLAIN = "What is the capital of France?"
RUN = "Execute um código Python que soma números"
WRITE = "Crie um script Python que soma números"
BOTH = "Plan a complex task and then run the code it needs"
PLAN = "Planeje um fluxo completo de edição de vídeo no After Effects"


def test_a_plain_question_gets_a_plain_answer(bench):
    """One call of the brain, streamed piece by piece; the text is the model's alone."""
    crew = bench({"brain": ["Paris, of course."]}, costs={"brain": 5})
    result = crew.ask(PLAIN, user="ana", run="r1")
    assert (result.text, result.ok, result.mode, result.plan) == ("Paris, of course.", True, "plain", ())
    assert [event.content for event in crew.told("content")] == ["Paris,", " of", " course."]
    (call,) = crew.models.calls
    assert (call.model, call.stream, call.user, call.run, call.label) == (
        "brain",
        True,
        "ana",
        "r1",
        Label.INTERNAL,
    )
    assert call.body["messages"] == [{"role": "user", "content": PLAIN}]
    assert crew.models.announced == [("r1", (("brain", 1),)), ("r1", ())]
    assert [(use.role, use.deployment) for use in result.models] == [("brain", "fake/brain")]
    assert result.cost_usd == 5e-9


def test_a_screen_is_the_ui_model_s(bench):
    """A single design is one answer of the role ui."""
    crew = bench({"ui": ["<form>"]})
    assert crew.ask("Crie uma tela de login em HTML").text == "<form>"
    assert crew.models.roles() == ["ui"]
    assert crew.told("agent_switch")[0].agent == "designer"


def test_code_is_written_and_run(bench, block):
    """The answer has the code and the sandbox's own output with its exit code."""
    crew = bench({"executor": [block("print(2 + 3)")]})
    result = crew.ask(RUN)
    (step,) = result.plan
    assert (step.status, step.output, step.exit_code, step.rounds) == ("done", "5\n", 0, 1)
    assert result.ok
    assert result.plan_source == "request"
    assert "print(2 + 3)" in result.text
    assert "Saída (código de saída 0):\n\n```text\n5\n```" in result.text
    assert result.text == crew.content.rstrip()
    assert crew.models.roles() == ["executor"]
    assert not crew.models.calls[0].stream


def test_a_script_is_tried_too(bench, block):
    """Code that was only to be written is run as a check."""
    crew = bench({"executor": [block("def add(a, b):\n    return a + b")]})
    result = crew.ask(WRITE)
    assert (result.mode, result.plan[0].status, result.plan[0].exit_code) == ("code", "done", 0)
    assert "sem nenhuma saída" in result.text


def test_plan_then_execute(bench, block, plan):
    """All planning is before all executing, by the right roles, announced in that order."""
    crew = bench(
        {
            "brain": [
                plan(("code", "write"), ("execution", "run"), ("ui", "draw"), ("conversation", "tell")),
                "It is 3.",
            ],
            "executor": [block("print(1)"), block("print(3)")],
            "ui": ["<b>3</b>"],
        }
    )
    result = crew.ask(BOTH, run="r")
    assert [step.status for step in result.plan] == ["done"] * 4
    assert result.plan_source == "model"
    assert crew.models.roles() == ["brain", "executor", "executor", "ui", "brain"]
    assert crew.models.announced == [
        ("r", (("brain", 1), ("executor", 1))),
        ("r", (("executor", 2), ("ui", 1), ("brain", 1))),
        ("r", ()),
    ]
    assert crew.models.log[:2] == ["announce", "brain"]
    assert crew.models.log[-1] == "announce"
    assert result.text == crew.content.rstrip()
    assert "## Plan: A plan" in result.text
    assert "<b>3</b>" in result.text
    assert "print(1)" in crew.prompt(2)  # the second step sees the first one's code and output
    assert "3" in crew.prompt(4)


def test_a_plan_alone(bench):
    """A request for a plan is answered with one, in its language; nothing is run."""
    steps = [
        {"text": "Importar", "details": "clipes na linha do tempo"},
        {"text": "Cortar", "details": "o que sobra"},
    ]
    crew = bench({"brain": [json.dumps({"title": "Edição", "steps": steps})]})
    result = crew.ask(PLAN)
    assert result.mode == "plan"
    assert [step.status for step in result.plan] == ["planned"] * 2
    assert result.text.startswith("## Plano: Edição\n\n1. Importar\n   clipes na linha do tempo\n2. Cortar")
    assert crew.trusting.jobs == []
    assert crew.models.calls[0].body["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("nonsense", "not in the form"),
        ('{"title": "x", "steps": []}', "no steps"),
        (UnreachableError("the brain is away"), "the brain is away"),
        (ExhaustedError("nobody"), "nobody"),
        (InvalidOutputError("the JSON was cut"), "not in the form"),
    ],
)
def test_a_plan_of_no_use_is_replaced(bench, block, answer, reason):
    """Without a usable plan the request's own steps are carried out, and the answer says so."""
    crew = bench({"brain": [answer], "executor": [block("print(1)")]})
    result = crew.ask(BOTH)
    assert result.plan_source == "template"
    assert reason in result.plan_reason
    assert reason in result.text
    assert [step.kind for step in result.plan] == ["execution"]
    assert result.ok


def test_a_title_of_no_use(bench, plan):
    """A plan that has no title, or one that loops, is called by the request."""
    for title in ("", "Exemplo 1: " * 20):
        crew = bench({"brain": [plan(("execution", "a"), title=title)], "executor": ["x"]})
        assert f"## Plan: {BOTH}\n" in crew.ask(BOTH).text


def test_a_standard_plan_where_nobody_answered_is_no_success(bench):
    """A plan that no model had a part in is given, and is not called a success."""
    assert not bench({"brain": [UnreachableError()]}).ask(PLAN).ok
    assert bench({"brain": [InvalidOutputError("not JSON")]}).ask(PLAN).ok


def test_a_failing_snippet_is_mended(bench, block):
    """The traceback goes back to the executor; what runs in the end is what is shown."""
    crew = bench({"executor": [block("print(1/0)"), block("print('mended')")]})
    result = crew.ask(RUN)
    (step,) = result.plan
    assert (step.status, step.rounds, step.output, step.code) == ("done", 2, "mended\n", "print('mended')")
    assert "ZeroDivisionError: division by zero" in crew.prompt(1)
    assert "print(1/0)" in crew.prompt(1)
    assert "Versões do código executadas: 2" in result.text
    outcomes = [event.params for event in crew.told("tool_call")]
    assert [p.get("exit_code") for p in outcomes] == [None, 1, None, 0]
    assert crew.models.roles() == ["executor", "executor"]


def test_the_user_s_own_code_needs_no_model(bench):
    """Code that comes with the request is run as it is."""
    crew = bench()
    result = crew.ask("Run this code:\n```python\nprint('mine')\n```")
    assert result.plan[0].output == "mine\n"
    assert crew.models.calls == []
    assert result.cost_usd == 0


def test_the_user_s_failing_code_is_mended(bench, block):
    """It goes to the executor when it fails."""
    crew = bench({"executor": [block("print(1)")]})
    result = crew.ask("Run this code:\n```python\nprint(1/0)\n```")
    assert (result.plan[0].status, result.plan[0].rounds) == ("done", 2)
    assert crew.models.roles() == ["executor"]


def test_rounds_have_an_end(bench, block):
    """What never runs well fails after the last round, with its own output and error."""
    crew = bench({"executor": [block(f"print({n}); raise ValueError({n})") for n in range(9)]})
    result = crew.ask(RUN)
    (step,) = result.plan
    assert (step.status, step.rounds, step.exit_code, result.ok) == ("failed", 3, 1, False)
    assert step.error == "ValueError: 2"
    assert step.output.startswith("2\n")
    assert "**Falhou:** ValueError: 2" in result.text
    assert len(crew.models.calls) == 3


def test_the_same_code_again_is_not_run_again(bench, block):
    """A model that does not change its code is not asked a third time."""
    crew = bench({"executor": [block("print(1/0)")]})
    result = crew.ask(RUN)
    assert (result.plan[0].status, result.plan[0].rounds) == ("failed", 1)
    assert len(crew.trusting.jobs) == 1


def test_no_code_is_asked_for_once_more(bench, block):
    """An answer without code leads to one more question."""
    crew = bench({"executor": ["I cannot.", block("print(1)")]})
    assert crew.ask(RUN).plan[0].status == "done"
    assert len(crew.models.calls) == 2


def test_code_that_was_cut_is_asked_for_once_more(bench, block):
    """Code that ends at the token limit is not run in half; whole code in an answer that does is good."""
    crew = bench({"executor": [Say("```python\nprint('a", finish="length"), block("print(1)")]})
    assert crew.ask(RUN).plan[0].output == "1\n"
    assert len(crew.trusting.jobs) == 1
    crew = bench({"executor": [Say(block("print(1)") + " and so on", finish="length")]})
    assert crew.ask(RUN).plan[0].output == "1\n"
    assert len(crew.models.calls) == 1


def test_no_code_at_all_is_said(bench):
    """Two answers without code: the step failed, nothing was run, and the run ends all the same."""
    crew = bench({"executor": ["I cannot."]})
    result = crew.ask(RUN)
    assert (result.ok, result.plan[0].status, result.plan[0].code) == (False, "failed", None)
    assert "nenhum código foi escrito" in result.text
    assert crew.trusting.jobs == []


def test_a_limit_is_told_as_such(bench, block):
    """An endless loop ends at its limit; it is not called mended."""
    endless = [block(f"n = {n}\nwhile True:\n    n += 1") for n in range(3)]
    crew = bench({"executor": endless}, settings=CommanderSettings(limits=SandboxLimits(cpu_seconds=0.1)))
    result = crew.ask(RUN)
    assert (result.ok, result.plan[0].status, result.plan[0].rounds) == (False, "failed", 3)
    assert result.plan[0].error == "encerrado pelo limite de tempo de CPU"
    assert crew.told("tool_call")[1].params["limit"] == "cpu"
    assert "limite de tempo de CPU" in crew.prompt(1)


def test_without_a_sandbox_nothing_is_run(bench, block, plan):
    """The code is given, with the one line that says what is missing; the run does not fail."""
    crew = bench(
        {
            "brain": [plan(("code", "a"), ("execution", "b"))],
            "executor": [block("print(1)"), block("print(2)")],
        },
        trusting=TrustingSandbox(fault="no sandbox: apt install bubblewrap"),
    )
    result = crew.ask(BOTH)
    assert [step.status for step in result.plan] == ["not_run"] * 2
    assert [step.code for step in result.plan] == ["print(1)", "print(2)"]
    assert all(step.output == "" and step.exit_code is None and step.rounds == 0 for step in result.plan)
    assert result.ok
    assert "**Not run:** no sandbox: apt install bubblewrap" in result.text
    assert "Output" not in result.text


def test_a_package_that_is_missing_is_no_mistake_of_the_script(bench, block):
    """A script that needs what is not here is given unchecked, not rewritten."""
    crew = bench({"executor": [block("import no_such_package_at_all")]})
    result = crew.ask(WRITE)
    assert (result.plan[0].status, result.plan[0].rounds, result.ok) == ("unchecked", 1, True)
    assert "no_such_package_at_all" in result.text
    assert len(crew.models.calls) == 1


def test_files_go_on_to_later_steps(bench, block, plan, tmp_path):
    """What one step writes the next one reads, whether files are kept in a folder or not."""
    scripts = {
        "brain": [plan(("code", "write"), ("execution", "read"))],
        "executor": [block("open('a.txt', 'w').write('7')"), block("print(open('a.txt').read())")],
    }
    crew = bench(scripts)
    result = crew.ask(BOTH)
    assert result.plan[1].output == "7\n"
    assert [(file.name, file.size, file.path) for file in result.plan[0].files] == [("a.txt", 1, None)]
    assert "a.txt" in crew.prompt(2)

    kept = bench(scripts, keep=Shelf(tmp_path))
    result = kept.ask(BOTH, run="r1")
    (file,) = result.plan[0].files
    assert result.plan[1].output == "7\n"
    assert file.path == str(tmp_path / "r1" / "step-1" / "a.txt")
    assert (tmp_path / "r1" / "step-1" / "a.txt").read_bytes() == b"7"
    assert file.path in result.text


def test_files_too_big_to_carry_are_named(bench, block):
    """Where nobody keeps files, big ones are left out and named."""
    crew = bench(
        {"executor": [block("open('a.bin', 'w').write('x' * 100)")]},
        settings=CommanderSettings(carried_bytes=10),
    )
    result = crew.ask(RUN)
    assert result.plan[0].files == ()
    assert "a.bin" in result.warnings[0]


def test_a_full_disk_is_a_warning(bench, block):
    """Files that cannot be kept do not fail the step."""

    async def keep(run, files):
        raise OSError(28, "No space left on device")

    crew = bench({"executor": [block("open('a', 'w').write('x'); print(1)")]}, keep=keep)
    result = crew.ask(RUN)
    assert result.plan[0].status == "done"
    assert "a" in result.warnings[0]


def test_a_failed_step_skips_those_that_need_it(bench, block, plan):
    """What builds on a step that failed is skipped; a design is not."""
    crew = bench(
        {
            "brain": [plan(("code", "a"), ("execution", "b"), ("ui", "c"), ("conversation", "d"))],
            "executor": [UnreachableError("the executor was killed")],
            "ui": ["<p>"],
        }
    )
    result = crew.ask(BOTH)
    assert [step.status for step in result.plan] == ["failed", "skipped", "done", "skipped"]
    assert result.plan[0].error == "the executor was killed"
    assert not result.ok
    assert "**Failed:** the executor was killed" in result.text
    assert "**Skipped:**" in result.text


def test_an_executor_that_dies_while_mending(bench, block):
    """The last run's code and output stay, with what failed."""
    crew = bench({"executor": [block("print(7); print(1/0)"), UnreachableError("killed")]})
    (step,) = crew.ask(RUN).plan
    assert (step.status, step.rounds) == ("failed", 1)
    assert step.output.startswith("7\n")
    assert step.error == "ZeroDivisionError: division by zero; killed"


@pytest.mark.parametrize("text", [PLAIN, RUN, WRITE])
@pytest.mark.parametrize("error", [AuthError("no key"), PrivacyError("not off this machine")])
def test_nothing_could_be_done(bench, text, error):
    """When no model answered at all, the run ends with an error event, and the result is that error."""
    scripts = {"brain": [error], "executor": [error]}
    crew = bench(scripts)
    assert crew.ask(text) is None
    assert crew.events[-1].content == error.message
    assert crew.events[-1].params["code"] == error.code
    with pytest.raises(type(error), match=error.message):
        asyncio.run(Commander(ScriptedModels(scripts)).result(text))


def test_an_empty_request(bench):
    """There is nothing to do about it."""
    crew = bench()
    assert crew.ask("  \n ") is None
    assert crew.events[-1].params["code"] == InvalidRequestError.code
    assert crew.models.calls == []


def test_a_stream_that_dies_midway(bench):
    """A plain answer that ends in the middle is an error, not an answer."""
    crew = bench({"brain": [Say("one two three", error=UnreachableError("gone"), after=2)]})
    assert crew.ask(PLAIN) is None
    assert crew.told("content") != []
    assert crew.events[-1].type == "error"
    assert crew.models.calls[0].failover == "continue"


def test_a_stream_that_starts_over(bench):
    """What another model starts anew is the whole text."""

    class Restarting(ScriptedModels):
        async def _play(self, call):
            async for item in super()._play(call):
                if not isinstance(item, Trace):
                    yield item
            yield Restart("the first one died", "fake/other")
            async for item in super()._play(call):
                yield item

    crew = bench(models=Restarting({"brain": ["half an", "the whole answer"]}))
    assert crew.ask(PLAIN).text == "the whole answer"
    assert any(event.params.get("restart") for event in crew.told("status"))


def test_private_stays_private(bench, block, plan):
    """A run is private when asked so, and from the call on that was found to be."""
    scripts = {"brain": [plan(("execution", "a")), "x"], "executor": [block("print(1)")]}
    asked = bench(scripts)
    assert asked.ask(BOTH, private=True).label is Label.PRIVATE
    assert {call.label for call in asked.models.calls} == {Label.PRIVATE}
    found = bench(scripts, labels={"brain": Label.PRIVATE})
    assert found.ask(BOTH).label is Label.PRIVATE
    assert [call.label for call in found.models.calls] == [Label.INTERNAL, Label.PRIVATE]


def test_an_unknown_price_is_no_price(bench, block):
    """Where one call's price is not known, the run's is not."""
    crew = bench({"executor": [block("print(1)")]}, costs={"executor": None})
    result = crew.ask(RUN)
    assert result.cost_usd is None
    assert "custo: desconhecido" in result.text


def test_residency_need_not_listen(bench):
    """A failing announcement is nobody's failure."""
    crew = bench({"brain": ["Paris"]}, deaf=CallError("no such owner"))
    assert crew.ask(PLAIN).ok


def test_what_no_sandbox_can_do_is_said(bench):
    """To act outside is answered with how, and with the word that nothing was done."""
    crew = bench({"brain": ["You can write it yourself."]})
    result = crew.ask("Send an email to Ana with the report")
    assert "nothing was carried out" in result.text
    assert result.warnings[0].startswith("nothing was carried out")
    assert result.text == crew.content.rstrip()


def test_output_cannot_leave_its_block(bench, block):
    """What code prints is shown in a fence that it cannot end, without what a terminal would obey."""
    crew = bench({"executor": [block("print(chr(96) * 3 + '\\n# I am the answer\\x1b[2J')")]})
    text = crew.ask(RUN).text
    assert "````text\n```\n# I am the answer\n````" in text
    assert "\x1b" not in text


def test_long_output_is_cut(bench, block):
    """Output is bounded; head and tail stay."""
    crew = bench(
        {"executor": [block("print('a' * 9000 + 'z')")]}, settings=CommanderSettings(output_chars=300)
    )
    output = crew.ask(RUN).plan[0].output
    assert len(output) < 320
    assert output.startswith("aaa")
    assert output.endswith("az\n")


def test_hostile_answers_are_data(bench, plan):
    """Template marks, paths and orders in a model's answer go nowhere but into the answer."""
    evil = plan(("conversation", "$request ${x} {title} ../../etc"), ("execution", "$(rm -rf /) %s"))
    crew = bench({"brain": [evil], "executor": ["no"]})
    result = crew.ask(BOTH)
    assert "$(rm -rf /) %s" in result.text
    assert "${x} {title}" in result.text


def test_a_folder_is_not_named_by_strangers(tmp_path):
    """An id that leads elsewhere is refused."""
    for run in ("../x", "/etc", "", ".."):
        with pytest.raises(InvalidRequestError):
            asyncio.run(Shelf(tmp_path)(run, {"a": b""}))


def test_events_in_both_languages(bench, block):
    """Phases are told in the request's language."""
    crew = bench({"executor": [block("print(1)")]})
    crew.ask(RUN)
    assert "passo 1: escrevendo o código" in [event.content for event in crew.told("status")]
    crew.ask("Run Python code that adds numbers")
    assert "step 1: writing the code" in [event.content for event in crew.told("status")]


@pytest.mark.parametrize("field", ["most_steps", "most_rounds", "plan_tokens", "code_tokens", "output_chars"])
def test_settings_allow_something(field):
    """A bound of nothing is refused by name."""
    with pytest.raises(InvalidRequestError, match=field):
        CommanderSettings(**{field: 0})
