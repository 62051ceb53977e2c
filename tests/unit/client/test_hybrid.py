"""The names of the earlier designs (SPEC K1): their arguments, their status, how they begin and end. Rules answer."""

import asyncio
import gc
import json
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

import coreto
from coreto.client import Coreto
from coreto.errors import ConfigError, CoretoError
from coreto.hardware.base import suggested_budget
from coreto.hardware.machine import Machine
from coreto.hybrid import (
    HybridCommander,
    Reply,
    create_hybrid_commander,
    create_smart_commander,
    get_hybrid_model_manager,
    get_model_manager,
)

GIB = 2**30
QUESTION = "Por que o céu é azul?"
ANSWER = "Por causa do espalhamento de Rayleigh."
KEYS = {
    "cloud_available": bool,
    "local_available": bool,
    "fallback_enabled": bool,
    "current_model": str | None,
    "current_role": str | None,
    "vram_used_gb": float | None,
    "vram_total_gb": float | None,
    "brain_loaded": bool | None,
    "executor_loaded": bool | None,
    "deployments": list,
    "providers": list,
    "residency": list,
    "roles": dict,
}


def is_status(shown: Mapping[str, Any]) -> bool:
    """Whether every key of SPEC R11 and R13 is there, with a value of its type, and all of it is JSON."""
    assert {name: shown[name] for name, kind in KEYS.items() if not isinstance(shown[name], kind)} == {}
    return bool(json.dumps(shown))


def chain_of(shown: Mapping[str, Any], role: str) -> list[str]:
    """The deployments of a role: those that cannot serve now come first, as they were left out."""
    plan = shown["roles"][role]
    return [*(d["deployment"] for d in plan["dropped"]), *plan["chain"]]


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """A Coreto that knows nothing of this machine and reaches nobody: rules answer for the brain."""
    (tmp_path / "coreto.toml").write_text(
        f'discovery = false\ndata_dir = "{tmp_path / "data"}"\nmodels_dir = "{tmp_path / "models"}"\n'
    )
    return {
        "config": tmp_path / "coreto.toml",
        "environ": {"OLLAMA_HOST": "http://127.0.0.1:9", "HOME": str(tmp_path)},
        "settings": {"roles.brain.chain": ["rules"]},
        "rules": {"brain": lambda _: ANSWER},
    }


@pytest.fixture
def counted(options: dict[str, Any]) -> tuple[HybridCommander, list[Coreto]]:
    """A commander, and every Coreto that it made."""
    made: list[Coreto] = []

    def make() -> Coreto:
        made.append(Coreto(**options))
        return made[-1]

    return HybridCommander(make), made


@pytest.fixture
def unclosed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """What was left unclosed so far: resources that Python had to clean up, and child processes."""
    seen: list[str] = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda args: seen.append(f"{args.exc_value!r} {args.object!r}")
    )
    before = {child.pid for child in psutil.Process().children(recursive=True)}

    def look() -> list[str]:
        gc.collect()
        now = psutil.Process().children(recursive=True)
        return seen + [repr(child) for child in now if child.pid not in before]

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        yield look


# --- arguments


def test_hybrid_the_names_are_those_of_the_package() -> None:
    """`from coreto import …` has them all, each the one of its module."""
    for make in (
        create_hybrid_commander,
        create_smart_commander,
        get_hybrid_model_manager,
        get_model_manager,
    ):
        assert getattr(coreto, make.__name__) is make


def test_hybrid_cloud_arguments(options: dict[str, Any]) -> None:
    """The cloud model is the brain's first, its key opens the provider and is told to nobody."""
    del options["settings"], options["rules"]
    key = "not-a-real-key-0123456789"
    commander = create_hybrid_commander(
        cloud_model="gpt-oss:120b",
        cloud_api_key=key,
        cloud_enabled=True,
        fallback_enabled=True,
        **{**options, "environ": {**options["environ"], "OLLAMA_CLOUD_BASE_URL": "http://127.0.0.1:9"}},
    )
    shown = commander.get_status()
    assert is_status(shown)
    assert chain_of(shown, "brain")[0] == "ollama-cloud/gpt-oss:120b"
    assert shown["fallback_enabled"] is True
    assert (shown["cloud_available"], shown["local_available"]) == (False, False)
    assert key not in json.dumps(shown) + repr(commander)


@pytest.mark.parametrize("enabled", [True, False])
def test_hybrid_switches(options: dict[str, Any], enabled: bool) -> None:
    """`cloud_enabled` and `fallback_enabled` go before the environment; left out, the environment says."""
    environ = {
        **options["environ"],
        "OLLAMA_CLOUD_ENABLED": str(not enabled),
        "FALLBACK_ENABLED": str(not enabled),
        "OLLAMA_CLOUD_API_KEY": "k",
        "OLLAMA_CLOUD_BASE_URL": "http://127.0.0.1:9",
    }
    options = {**options, "environ": environ, "settings": {}, "rules": None}

    def cloud(commander: HybridCommander) -> tuple[bool, bool]:
        shown = commander.get_status()
        assert is_status(shown)
        why = {
            d["reason"]
            for d in shown["roles"]["brain"]["dropped"]
            if d["deployment"].startswith("ollama-cloud")
        }
        return not any("disabled" in reason for reason in why), shown["fallback_enabled"]

    given = create_hybrid_commander(cloud_enabled=enabled, fallback_enabled=enabled, **options)
    assert cloud(given) == (enabled, enabled)
    assert cloud(create_hybrid_commander(**options)) == (not enabled, not enabled)


def test_smart_models_and_their_memory(options: dict[str, Any]) -> None:
    """Brain and executor by name, without the cloud, in turns: in the machine's own room where nothing is said."""
    del options["settings"], options["rules"]
    smart = create_smart_commander(brain_model="big:32b", executor_model="coder:14b", **options)
    shown = smart.get_status()
    assert is_status(shown)
    assert "ollama/big:32b" in chain_of(shown, "brain")
    assert "ollama/coder:14b" in chain_of(shown, "executor")
    assert shown["cloud_available"] is False
    (host,) = shown["residency"]
    room = suggested_budget(Machine())
    assert room is not None
    assert host["budget_gb"] == pytest.approx(room / GIB, rel=0.3)  # of what is free in this moment
    assert shown["vram_total_gb"] == host["budget_gb"]


def test_smart_leaves_the_users_settings(options: dict[str, Any]) -> None:
    """A budget that somebody wrote down stands."""
    options["settings"] = {"providers.ollama.memory_budget": "3 GB"}
    (host,) = get_model_manager(**options).get_status()["residency"]
    assert host["budget_gb"] == 3.0
    assert get_hybrid_model_manager(**options).get_status()["vram_total_gb"] == 3.0


# --- status


def test_status_before_while_and_after(options: dict[str, Any]) -> None:
    """Every key, in a loop and out of one, before the start, at work, after a message and after the end."""
    commander = create_hybrid_commander(**options)
    assert is_status(commander.get_status())

    async def main() -> None:
        assert is_status(commander.get_status())
        message = asyncio.create_task(commander.process_message(QUESTION))
        await asyncio.sleep(0)
        assert is_status(commander.get_status())
        await message
        shown = commander.get_status()
        assert is_status(shown)
        assert (shown["current_model"], shown["brain_loaded"]) == ("rules", None)
        await commander.close()
        assert is_status(commander.get_status())

    asyncio.run(main())
    assert is_status(commander.get_status())


@pytest.mark.parametrize("make", [get_hybrid_model_manager, get_model_manager])
def test_managers_tell_the_same(options: dict[str, Any], make: Callable[..., Any]) -> None:
    """Both managers, in a loop too; settings that cannot be used are refused in one line."""

    async def main() -> None:
        assert is_status(make(**options).get_status())

    assert is_status(make(**options).get_status())
    asyncio.run(main())
    with pytest.raises(ConfigError, match="nothing_like_it"):
        make(**{**options, "settings": {"nothing_like_it": 1}}).get_status()


# --- beginning and end


def test_reply_is_the_text_and_the_result(options: dict[str, Any]) -> None:
    """The reply is a text, as earlier designs gave it, and knows how it came about."""
    reply = asyncio.run(create_hybrid_commander(**options).process_message(QUESTION, user="ana"))
    assert isinstance(reply, Reply)
    assert reply == ANSWER == reply.result.text
    assert (reply.result.mode, reply.result.ok) == ("plain", True)
    assert [(use.role, use.deployment) for use in reply.result.models] == [("brain", "rules")]


def test_stream_ends_with_the_result(options: dict[str, Any]) -> None:
    """The same as events: the text in pieces, the result last; leaving early ends the run."""

    async def main() -> None:
        async with create_hybrid_commander(**options) as commander:
            async with commander.stream(QUESTION) as events:
                heard = [event async for event in events]
            assert "".join(event.content for event in heard if event.type == "content") == ANSWER
            assert (heard[-1].type, heard[-1].params["text"]) == ("complete", ANSWER)
            async with commander.stream(QUESTION) as events:
                await anext(aiter(events))
            async with commander.stream("  ") as events:
                assert [event.type async for event in events] == ["error"]
            assert await commander.process_message(QUESTION) == ANSWER

    asyncio.run(main())


def test_messages_share_one_coreto(counted: tuple[HybridCommander, list[Coreto]]) -> None:
    """Messages at the same time and one after the other have one; after `close` there is another one."""
    commander, made = counted

    async def main() -> None:
        await commander.close()  # nothing to end
        answers = await asyncio.gather(*(commander.process_message(QUESTION) for _ in range(8)))
        assert answers == [ANSWER] * 8
        assert len(made) == 1
        await asyncio.gather(commander.close(), commander.close())
        await commander.close()
        assert await commander.process_message(QUESTION) == ANSWER
        assert len(made) == 2

    asyncio.run(main())


def test_loops_one_after_the_other(
    counted: tuple[HybridCommander, list[Coreto]], unclosed: Callable[[], list[str]]
) -> None:
    """Each `asyncio.run` ends what it began: without `close` nothing is left, and the next loop starts anew."""
    commander, made = counted
    for turn in range(1, 4):
        assert asyncio.run(commander.process_message(QUESTION)) == ANSWER
        assert unclosed() == []
        assert len(made) == turn
        assert [c for c in made if c._backend is not None] == []


CLOSED_ONLY = """
import asyncio, sys
from coreto import create_hybrid_commander
commander = create_hybrid_commander(
    config=sys.argv[1], settings={"roles.brain.chain": ["rules"]}, rules={"brain": lambda _: "yes"}
)
for _ in range(2):
    loop = asyncio.new_event_loop()
    print(loop.run_until_complete(commander.process_message("Por que?")), flush=True)
    loop.close()
"""


@pytest.mark.slow
def test_a_loop_that_was_only_closed(options: dict[str, Any]) -> None:
    """Whoever closes a loop without ending its tasks gets an answer in the next one all the same. (In a process of
    its own: what such a loop leaves behind, Python reports when it comes upon it.)"""
    command = [sys.executable, "-c", CLOSED_ONLY, str(options["config"])]
    environ = {**options["environ"], "PATH": os.environ["PATH"]}
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout == "yes\nyes\n", ran.stderr


def test_another_loop_at_the_same_time_is_refused(counted: tuple[HybridCommander, list[Coreto]]) -> None:
    """Two loops at once cannot share one: the second is told so, and the first goes on."""
    commander, made = counted

    async def main() -> None:
        await commander.process_message(QUESTION)
        raised: list[BaseException] = []

        def other() -> None:
            try:
                asyncio.run(commander.process_message(QUESTION))
            except CoretoError as error:
                raised.append(error)

        await asyncio.to_thread(other)
        assert "another event loop" in str(raised[0])
        assert await commander.process_message(QUESTION) == ANSWER
        assert threading.active_count() < 50

    asyncio.run(main())
    assert len(made) == 1


def test_a_start_that_fails_says_why(options: dict[str, Any], tmp_path: Path) -> None:
    """Whatever is in the way, every message that waits hears it; once it is gone the next one is answered."""
    (tmp_path / "data").write_text("in the way")
    commander = create_hybrid_commander(**options)

    async def main() -> None:
        messages = [commander.process_message(QUESTION) for _ in range(3)]
        async with asyncio.timeout(10):
            for error in await asyncio.gather(*messages, return_exceptions=True):
                assert isinstance(error, OSError)
        (tmp_path / "data").unlink()
        assert await commander.process_message(QUESTION) == ANSWER

    asyncio.run(main())


def test_a_setting_that_cannot_be_used(options: dict[str, Any]) -> None:
    """A wrong setting is one error at the first message and in the status, and nothing is left."""
    commander = create_hybrid_commander(**{**options, "settings": {"request_timeout": -1}})

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(ConfigError, match="request_timeout"):
                await commander.process_message(QUESTION)
        await commander.close()

    asyncio.run(main())
    with pytest.raises(ConfigError, match="request_timeout"):
        commander.get_status()


def test_a_message_that_is_given_up(options: dict[str, Any]) -> None:
    """A message that is cancelled, at whatever moment, leaves the commander to the others."""
    commander = create_hybrid_commander(**options)

    async def main() -> None:
        for steps in (0, 1, 3, 10, 40):
            message = asyncio.create_task(commander.process_message(QUESTION))
            for _ in range(steps):
                await asyncio.sleep(0)
            message.cancel()
            await asyncio.wait({message})
            assert await commander.process_message(QUESTION) == ANSWER

    asyncio.run(main())


def test_an_error_is_a_coreto_error(options: dict[str, Any]) -> None:
    """Nobody left to answer: one error that names who was asked."""
    options["rules"] = {"brain": lambda _: None}
    with pytest.raises(CoretoError, match="brain"):
        asyncio.run(create_hybrid_commander(**options).process_message(QUESTION))
