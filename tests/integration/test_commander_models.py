"""The commander as programs use it: a simulated Ollama Cloud and a simulated card, real HTTP, the real sandbox."""

import asyncio
import contextlib
import gc
import json
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from coreto.client import Coreto
from coreto.crews.commander.crew import Commander
from coreto.crews.commander.settings import CommanderSettings
from coreto.crews.commander.state import CommanderResult
from coreto.errors import CoretoError
from coreto.hybrid import (
    HybridCommander,
    create_hybrid_commander,
    create_smart_commander,
    get_hybrid_model_manager,
    get_model_manager,
)
from coreto.testing.simulator import Simulator, start_simulator
from coreto.tools.sandbox import SandboxLimits, probe

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
#: The example requests of SPEC K1, word for word, and what each comes to.
EXAMPLES = {
    "Plan a complex task and then run the code it needs": "plan_execute",
    PLANNED: "plan_execute",
    "Planeje um fluxo completo de edição de vídeo no After Effects": "plan",
    EXECUTED: "execution",
    "Crie um script Python que soma números": "code",
    "Analise e planeje uma solução": "plan",
    "Planeje e execute uma tarefa complexa": "plan_execute",
}
OUTLINE = json.dumps({"title": "Um plano", "steps": [{"text": "Definir", "details": "O que e como"}]})


def plan(*texts: str, kind: str = "execution") -> str:
    """A planner's answer."""
    return json.dumps({"title": "Um plano", "steps": [{"kind": kind, "text": text} for text in texts]})


def block(code: str) -> str:
    """A coder's answer."""
    return f"Claro:\n```python\n{code}\n```"


def chats(simulator: Simulator) -> list[str]:
    """The models that were asked something, in order; to load and to unload is not asking."""
    return [r["body"]["model"] for r in simulator.requests("/api/chat") if r["body"].get("messages")]


def prompts(simulator: Simulator) -> list[str]:
    """All text of each question."""
    asked = [r["body"]["messages"] for r in simulator.requests("/api/chat") if r["body"].get("messages")]
    return ["\n".join(message["content"] for message in messages) for messages in asked]


async def until(condition: Callable[[], object], within: float = 15.0) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)


@dataclass
class House:
    """A cloud, a card, and commanders that know nothing else."""

    folder: Path
    cloud: Simulator
    card: Simulator

    def options(self, card: Simulator | None = None, **settings: object) -> dict[str, Any]:
        """Of a Coreto; ``settings`` by dotted key, with ``__`` for the dots."""
        config = self.folder / "coreto.toml"
        config.write_text(
            f'discovery = false\ndata_dir = "{self.folder / "data"}"\nmodels_dir = "{self.folder / "models"}"\n'
            'language = "pt-BR"\n'
        )
        own = {"providers.ollama.memory_budget": "12 GB"}
        return {
            "config": config,
            "environ": {
                "OLLAMA_HOST": (card or self.card).url,
                "OLLAMA_CLOUD_BASE_URL": self.cloud.url,
                "DEFAULT_MODEL": BRAIN,
                "EXECUTOR_MODEL": CODER,
                "HOME": str(self.folder),
            },
            "settings": own | {key.replace("__", "."): value for key, value in settings.items()},
        }

    def hybrid(
        self, card: Simulator | None = None, *, cloud: bool = True, **settings: object
    ) -> HybridCommander:
        """A commander of both."""
        return create_hybrid_commander(
            cloud_model=CLOUD,
            cloud_api_key="cloud-key",
            cloud_enabled=cloud,
            **self.options(card, **settings),
        )

    def plans(self, *texts: str, **options: Any) -> None:
        """What both brains answer when they are asked for a plan."""
        for simulator in (self.cloud, self.card):
            for asked in ("Pedido:", "Request:"):
                entry = {"match": asked, "content": plan(*texts, **options), "times": None}
                simulator.script(entry)

    def writes(self, *codes: str, card: Simulator | None = None) -> None:
        """What the coder answers, one after the other; the last one for ever."""
        for number, code in enumerate(codes, 1):
            times = None if number == len(codes) else 1
            (card or self.card).script({"model": CODER, "content": block(code), "times": times})


@pytest.fixture(scope="module")
def _card() -> Iterator[Simulator]:
    with start_simulator("ollama", *CARD) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def sandboxed() -> None:
    """A sandbox holds here."""
    if not asyncio.run(probe()):
        pytest.skip("no sandbox holds on this machine: nothing would be run")


@pytest.fixture
def house(tmp_path: Path, cloud: Simulator, _card: Simulator, sandboxed: None) -> House:
    """Cloud and card as at their start."""
    _card.reset()
    return House(tmp_path, cloud, _card)


def ask(commander: HybridCommander, text: str, **options: Any) -> CommanderResult:
    """The result of one message, in a loop of its own."""
    return asyncio.run(commander.process_message(text, **options)).result


def switches(commander_or_status: Any) -> tuple[int, int]:
    """Switches and loads of the card."""
    (host,) = commander_or_status["residency"]
    return host["switches"], host["loads"]


# --- plan, code, run, output


def test_commander_cloud_plans_card_executes(house: House) -> None:
    """The cloud plans once, the card writes the code, the sandbox runs it: what is told is what ran, files included."""
    house.plans("Somar", "Guardar o quadrado", "Ler o que foi guardado")
    house.writes(
        "print(sum(range(101)))", "open('q.txt', 'w').write(str(7**2))", "print('lido', open('q.txt').read())"
    )

    async def main() -> tuple[Any, Any]:
        async with house.hybrid() as commander:
            return await commander.process_message(PLANNED), commander.get_status()

    reply, status = asyncio.run(main())
    result = reply.result
    assert (result.mode, result.ok, result.plan_source) == ("plan_execute", True, "model")
    assert [step.output for step in result.plan] == ["5050\n", "", "lido 49\n"]
    assert [step.status for step in result.plan] == ["done"] * 3
    (kept,) = result.plan[1].files
    assert kept.path is not None
    assert Path(kept.path).read_text() == "49"
    assert chats(house.cloud) == [CLOUD]
    assert chats(house.card) == [CODER] * 3
    assert [(m.role, m.deployment, m.calls) for m in result.models] == [
        ("brain", f"ollama-cloud/{CLOUD}", 1),
        ("executor", f"ollama/{CODER}", 3),
    ]
    assert "## Plano: Um plano" in reply
    assert "```text\n5050\n```" in reply
    assert f"executor = ollama/{CODER}" in reply
    assert switches(status) == (0, 1), "the brain's own model came into memory for nothing"
    assert (status["cloud_available"], status["local_available"], status["state"]) == (True, True, "online")
    assert (status["brain_loaded"], status["executor_loaded"]) == (False, True)
    assert (status["current_model"], status["current_role"]) == (f"ollama/{CODER}", "executor")
    assert status["vram_total_gb"] == 12.0
    assert 0 < status["vram_used_gb"] <= status["vram_total_gb"]


def test_commander_all_local_switches_once_each_way(house: House) -> None:
    """On one card all of the plan comes first, then all of the code: one switch there and, once idle, one back."""
    house.plans("Um", "Dois", "Três")
    house.writes("print(1)", "print(2)", "print(3)")

    async def main() -> tuple[CommanderResult, Any]:
        async with house.hybrid(cloud=False, residency__return_after=0.05) as commander:
            result = (await commander.process_message(PLANNED)).result
            await until(lambda: commander.get_status()["brain_loaded"])
            return result, commander.get_status()

    result, status = asyncio.run(main())
    assert [step.output for step in result.plan] == ["1\n", "2\n", "3\n"]
    assert chats(house.card) == [BRAIN, CODER, CODER, CODER]
    assert switches(status) == (2, 3)
    assert (status["brain_loaded"], status["executor_loaded"]) == (True, False)
    assert house.cloud.requests() == []


def test_commander_two_messages_share_the_switches(house: House) -> None:
    """Two plans at the same time on one card both come to their end, with no more switches than alone, one each."""
    house.plans("Um", "Dois")
    house.writes("print(6*7)", "print(6*8)", "print(6*9)", "print(6*7)")

    async def main() -> tuple[list[Any], Any]:
        async with house.hybrid(cloud=False) as commander:
            both = await asyncio.gather(*(commander.process_message(PLANNED) for _ in range(2)))
            return both, commander.get_status()

    both, status = asyncio.run(main())
    assert [reply.result.ok for reply in both] == [True, True]
    assert len(chats(house.card)) == 6
    assert switches(status)[0] <= 3


# --- mending, and what is not mended


def test_commander_mends_what_fails(house: House) -> None:
    """The coder is shown its error and mends it; the answer is the second program's output."""
    house.writes("print(soma(2, 3))", "def soma(a, b):\n    return a + b\nprint(soma(2, 3))")
    result = ask(house.hybrid(), EXECUTED)
    (step,) = result.plan
    assert (step.status, step.rounds, step.output, step.exit_code) == ("done", 2, "5\n", 0)
    first, second = prompts(house.card)
    assert "NameError" not in first
    assert "NameError: name 'soma' is not defined" in second
    assert "print(soma(2, 3))" in second
    assert "Versões do código executadas: 2." in result.text


def test_commander_tells_what_it_could_not_mend(house: House) -> None:
    """After the last round it is told as failed, with the error, and what needs it is not begun."""
    house.plans("Calcular", "Mostrar")
    house.writes("raise ValueError('um')", "raise ValueError('dois')", "raise ValueError('três')")
    result = ask(house.hybrid(), PLANNED)
    assert not result.ok
    first, second = result.plan
    assert (first.status, first.rounds, first.error) == ("failed", 3, "ValueError: três")
    assert second.status == "skipped"
    assert "**Falhou:** ValueError: três" in result.text
    assert chats(house.card) == [CODER] * 3


HOSTILE = {
    "files": ("print(open('/etc/passwd').read())", "nada fora da pasta dela"),
    "writes": ("open('/usr/x', 'w').write('x')", "nada fora da pasta dela"),
    "network": ("import socket\nsocket.create_connection(('127.0.0.1', PORT), 2)", "não há rede"),
    "forks": (
        "import os, time\nwhile True:\n    if os.fork() == 0:\n        time.sleep(60)",
        "limite de processos",
    ),
    "memory": ("x = bytearray(1 << 36)", "limite de memória"),
    "loop": ("while True:\n    pass", "limite de tempo"),
    "output": ("while True:\n    print('x' * 1000)", "limite de saída"),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n == "loop" else ()) for n in HOSTILE]
)
def test_commander_contains_hostile_code(house: House, name: str) -> None:
    """What reaches for the machine, or for more than its share, gets nothing, and the answer says what stopped it."""
    code, said = HOSTILE[name]
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    limits = SandboxLimits(cpu_seconds=1, wall_seconds=4)

    async def main(port: int) -> CommanderResult:
        house.writes(code.replace("PORT", str(port)))
        async with Coreto(**house.options()) as coreto:
            commander = Commander(coreto.backend, settings=CommanderSettings(limits=limits, most_rounds=1))
            return await commander.result(EXECUTED)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        result = asyncio.run(main(server.getsockname()[1]))
        with pytest.raises(BlockingIOError):  # nobody has connected
            server.accept()
    (step,) = result.plan
    assert (result.ok, step.status) == (False, "failed")
    assert said in (step.error or "")
    assert said in result.text
    assert "root:" not in result.text
    assert len(result.text) < 20_000
    assert [c for c in psutil.Process().children(recursive=True) if c.pid not in before] == []


# --- who is asked


def test_commander_stopped_cloud(house: House) -> None:
    """With nobody at the cloud's address the local brain plans, and the status says so until it is back."""
    with start_simulator("ollama", "--cloud", "--time-scale", "0") as cloud:
        house = House(house.folder, cloud, house.card)
        house.plans("Um")
        house.writes("print(1)")
        commander = house.hybrid()
        cloud.stop()

    async def main() -> tuple[CommanderResult, Any]:
        async with commander:
            return (await commander.process_message(PLANNED)).result, commander.get_status()

    result, status = asyncio.run(main())
    assert [step.output for step in result.plan] == ["1\n"]
    assert chats(house.card) == [BRAIN, CODER]
    assert (status["cloud_available"], status["local_available"]) == (False, True)
    assert status["state"] == "offline"


CLOUD_TROUBLE = {
    "500": lambda cloud: cloud.add_faults({"kind": "status", "status": 500}),
    "quota": lambda cloud: cloud.set_usage(weekly=1.0),
    "hangs up": lambda cloud: cloud.add_faults({"kind": "refuse"}),
    "half a plan": lambda cloud: cloud.add_faults({"kind": "bad_content"}),
}


@pytest.mark.parametrize("trouble", CLOUD_TROUBLE)
def test_commander_cloud_down_local_plans(house: House, trouble: str) -> None:
    """Whatever is wrong with the cloud, the plan is the local brain's, and the code runs."""
    house.plans("Um")
    house.writes("print(1)")
    CLOUD_TROUBLE[trouble](house.cloud)

    async def main() -> tuple[CommanderResult, Any]:
        async with house.hybrid() as commander:
            return (await commander.process_message(PLANNED)).result, commander.get_status()

    result, status = asyncio.run(main())
    assert (result.ok, result.plan_source) == (True, "model")
    assert [step.output for step in result.plan] == ["1\n"]
    assert [use.deployment for use in result.models] == [f"ollama/{BRAIN}", f"ollama/{CODER}"]
    assert chats(house.cloud)[0] == CLOUD
    assert status["cloud_available"] is (trouble != "quota")


def test_commander_without_fallback(house: House) -> None:
    """With `fallback_enabled=False` nobody else plans: the standard plan says why, and the code is run."""
    house.writes("print(1)")
    house.cloud.add_faults({"kind": "status", "status": 500})
    options = house.options(roles__brain__retries=0)
    commander = create_hybrid_commander(
        cloud_model=CLOUD, cloud_api_key="cloud-key", fallback_enabled=False, **options
    )
    result = ask(commander, PLANNED)
    assert (result.plan_source, chats(house.card)) == ("template", [CODER])
    assert "Plano padrão" in result.text
    assert f"ollama-cloud/{CLOUD}: server_error" in result.plan_reason


@pytest.mark.parametrize("how", ["private", "offline", "disabled", "personal data"])
def test_commander_never_reaches_the_cloud(house: House, how: str) -> None:
    """What is to stay here stays: the cloud receives nothing at all, not even by the local daemon."""
    house.plans("Um", "Dois")
    house.writes("print(1)", "print(2)")
    commander = house.hybrid(cloud=how != "disabled", offline=how == "offline")
    text = PLANNED + (": validar o CPF 529.982.247-25" if how == "personal data" else "")
    result = ask(commander, text, private=how == "private")
    assert [step.output for step in result.plan] == ["1\n", "2\n"]
    assert house.cloud.requests() == []
    assert set(chats(house.card)) == {BRAIN, CODER}
    assert str(result.label) == ("private" if how in {"private", "personal data"} else "internal")


# --- an executor that is killed


@contextlib.contextmanager
def killed_while_it_writes(house: House) -> Iterator[tuple[Simulator, Callable[[], Any]]]:
    """A card of one's own whose coder never answers, and what kills it with SIGKILL once it was asked."""
    with start_simulator("ollama", *CARD) as card:
        card.script({"match": "Pedido:", "content": plan("Um"), "times": None})
        card.add_faults({"kind": "hang", "model": CODER, "after": 1})  # the first is to load it

        async def kill() -> None:
            await until(lambda: CODER in chats(card))
            card.stop(kill=True)

        yield card, kill


def test_commander_executor_killed_is_one_error(house: House) -> None:
    """Killed in mid-answer with nobody else to ask: one line, at once, and a status that knows."""
    with killed_while_it_writes(house) as (card, kill):

        async def main() -> tuple[CoretoError, Any]:
            chain = [f"ollama/{CODER}"]
            async with house.hybrid(card, cloud=False, roles__executor__chain=chain) as commander:
                killing = asyncio.create_task(kill())
                with pytest.raises(CoretoError) as raised:
                    async with asyncio.timeout(10):
                        await commander.process_message(EXECUTED)
                await killing
                return raised.value, commander.get_status()

        error, status = asyncio.run(main())
    assert "\n" not in error.message
    assert error.message.startswith(f"no model could answer 'executor'. ollama/{CODER}: cut")
    assert (status["local_available"], status["cloud_available"]) == (False, False)


def test_commander_executor_killed_the_cloud_writes(house: House) -> None:
    """With the cloud there the next of the executor's chain writes the code; nobody notices."""
    with killed_while_it_writes(house) as (card, kill):
        house.cloud.script({"match": "Tarefa:", "content": block("print(11)"), "times": None})

        async def main() -> CommanderResult:
            async with house.hybrid(card) as commander:
                killing = asyncio.create_task(kill())
                reply = await commander.process_message(EXECUTED)
                await killing
                return reply.result

        result = asyncio.run(main())
    assert [step.output for step in result.plan] == ["11\n"]
    assert [use.deployment for use in result.models] == [f"ollama-cloud/{CLOUD}"]


@pytest.mark.slow
def test_commander_dead_engine_is_told_at_once(house: House) -> None:
    """The engine dies under the executor after the brain was in its memory: the brain's turn fails at once too."""
    with killed_while_it_writes(house) as (card, kill):

        async def main() -> CommanderResult:
            async with house.hybrid(card, cloud=False) as commander:
                killing = asyncio.create_task(kill())
                message = asyncio.create_task(commander.process_message(PLANNED))
                await killing
                async with asyncio.timeout(4):
                    return (await message).result

        result = asyncio.run(main())
    assert [step.status for step in result.plan] == ["failed"]


# --- the documented names


@pytest.mark.parametrize("text", EXAMPLES)
def test_commander_example_requests(house: House, text: str) -> None:
    """Each example of the earlier designs, word for word: planned, written, run as it asks for."""
    mode = EXAMPLES[text]
    if mode == "plan":
        for asked in ("Pedido:", "Request:"):
            house.cloud.script({"match": asked, "content": OUTLINE})
    house.plans("Um", "Dois")
    house.writes("print(2 + 3)", "print(4 + 5)")
    result = ask(house.hybrid(), text)
    assert (result.mode, result.ok) == (mode, True)
    assert chats(house.cloud) == ([CLOUD] if "plan" in mode else [])
    assert chats(house.card) == {"plan": [], "plan_execute": [CODER] * 2}.get(mode, [CODER])
    outputs = {"plan": [""], "plan_execute": ["5\n", "9\n"]}.get(mode, ["5\n"])
    assert [step.output for step in result.plan] == outputs
    assert (
        "Plan: " if text.isascii() and "Plan a" in text else "Plano: "
    ) in result.text or "plan" not in mode


def test_smart_commander_of_two_local_models(house: House) -> None:
    """`create_smart_commander`: two local models in turns; a manager beside it sees the same and moves nothing."""
    house.plans("Um", "Dois")
    house.writes("print(1)", "print(2)")
    options = house.options()

    async def main() -> tuple[Any, ...]:
        smart = create_smart_commander(brain_model=BRAIN, executor_model=CODER, **options)
        before = smart.get_status()
        reply = await smart.process_message(PLANNED)
        during = smart.get_status()
        house.card.clear_requests()
        managers = [make(**options).get_status() for make in (get_model_manager, get_hybrid_model_manager)]
        moved = house.card.requests("/api/chat")
        again = smart.get_status()
        await smart.close()
        return before, reply, during, managers, moved, again, smart.get_status()

    before, reply, during, managers, moved, again, after = asyncio.run(main())
    assert [use.deployment for use in reply.result.models] == [f"ollama/{BRAIN}", f"ollama/{CODER}"]
    assert (before["brain_loaded"], before["executor_loaded"], before["vram_used_gb"]) == (False, False, 0)
    assert before["current_model"] is None
    for status in (during, *managers, again, after):
        assert (status["brain_loaded"], status["executor_loaded"]) == (False, True)
        assert status["vram_used_gb"] == during["vram_used_gb"] > 8
    assert (during["current_model"], during["current_role"]) == (f"ollama/{CODER}", "executor")
    assert switches(during) == switches(again) == (1, 2)
    assert moved == []
    assert house.cloud.requests() == []


def test_commander_loops_without_close(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two loops one after the other, with sockets, files and sandboxes used: nothing is left for Python to clean up."""
    left: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: left.append(repr(args.exc_value)))
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    house.plans("Um")
    house.writes("print(1)")
    commander = house.hybrid()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for _ in range(2):
            assert ask(commander, PLANNED).ok
            gc.collect()
    assert left == []
    assert [c for c in psutil.Process().children(recursive=True) if c.pid not in before] == []
