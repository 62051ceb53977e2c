"""How `coreto ps` and `models show` show memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from coreto.cli import memory
from coreto.cli.memory import Explained
from coreto.cli.ps import render, role_of
from coreto.cli.texts import Texts
from coreto.providers.base import Described, Resident
from coreto.residency.effects import Happening
from coreto.residency.sizes import Wanted, sized
from coreto.residency.state import Phase

GIB = 2**30
LLAMA = {
    "general.architecture": "llama",
    "llama.block_count": 32,
    "llama.embedding_length": 4096,
    "llama.feed_forward_length": 14336,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
    "llama.vocab_size": 128256,
}


def shown(value, width=200) -> str:
    """``value`` as a wide terminal without colours shows it."""
    console = Console(width=width, color_system=None, markup=False, emoji=False, highlight=False)
    with console.capture() as capture:
        console.print(value)
    return capture.get()


def model(name="big:7b", state="ready", gb=4.7, **more):
    return {
        "model": name,
        "state": state,
        "gb": gb,
        "running": 1,
        "waiting": 2,
        "context": 4096,
        "shrunk": False,
        **more,
    }


def host(**more):
    return {
        "provider": "ollama",
        "used_gb": 4.7,
        "budget_gb": 8.0,
        "current_model": "big:7b",
        "current_role": "brain",
        "home_model": "big:7b",
        "queue": 2,
        "loads": 3,
        "switches": 1,
        "models": [model(), model("small", "absent", 0.0, running=0, waiting=0)],
        "recent": [
            {
                "at": 1795837102.7,
                "what": "switch",
                "model": "small",
                "detail": "for 'big:7b', which 2 wait for",
            },
            {"at": 1795837103.7, "what": "unloaded", "model": "small", "detail": ""},
        ],
        **more,
    }


def ps(*hosts, engines=(), server=None):
    return {"server": server, "hosts": list(hosts), "engines": list(engines)}


def test_a_host_is_told_in_full() -> None:
    """Bar, figures, current model and role, the table, the queue, and why somebody left."""
    text = shown(render(ps(host(), server={"url": "http://127.0.0.1:1", "pid": 7}), Texts()))
    assert "server: http://127.0.0.1:1 (process 7)" in text
    assert "4.7 GB of 8.0 GB" in text
    assert text.count("█") == round(4.7 / 8 * 30)
    assert "current: big:7b (brain) · home: big:7b · queue: 2 · switches: 1 · loads: 3" in text
    row = next(line for line in text.splitlines() if "big:7b" in line and "│" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "big:7b", "in memory", "4.7 GB", "1", "2", "4K", "✓",
    ]  # fmt: skip
    assert "leaves" in text
    assert "for 'big:7b', which 2 wait for" in text
    assert "unloaded" not in text


@pytest.mark.parametrize("language", ["en", "pt-BR"])
def test_every_state_and_happening_has_words(language) -> None:
    """Whatever the residency may report can be shown, in both languages."""
    models = [model(f"m{phase}", phase.value, shrunk=True) for phase in Phase]
    recent = [{"at": 1.0, "what": what.value, "model": "m", "detail": ""} for what in Happening]
    text = shown(render(ps(host(models=models, recent=recent)), Texts(language)))
    assert "_" not in text.replace("memory_budget", "")


def test_without_a_budget_it_says_how_to_set_one() -> None:
    """Engines that decide for themselves are shown with what they hold, and with the setting that changes it."""
    held = {"model": "big:7b", "gb": 4.7, "context": 4096, "until": 1795837102.0}
    engines = [
        {"provider": "ollama", "models": [held], "problem": None},
        {"provider": "lab", "models": [], "problem": "nothing listens"},
    ]
    text = shown(render(ps(engines=engines), Texts()))
    assert "no memory_budget: the engine decides" in text
    assert "4.7 GB" in text
    assert "nothing listens" in text
    assert '`memory_budget = "16 GB"`, or "auto", in [providers.ollama]' in text
    assert "providers" not in shown(render(ps(host(), engines=engines), Texts()))


def test_what_is_not_known_is_not_zero() -> None:
    """Without a server nobody knows who uses a model."""
    unknown = host(
        current_model=None,
        current_role=None,
        queue=None,
        models=[model(running=None, waiting=None, context=None)],
        recent=[],
    )
    text = shown(render(ps(unknown), Texts("pt-BR")))
    assert "como o motor mostra" in text
    assert "4,7 GB de 8,0 GB" in text
    row = next(line for line in text.splitlines() if "│ big:7b" in line)
    assert row.count(" - ") == 3


@given(used=st.floats(0, 1000), budget=st.floats(0, 1000))
def test_the_bar_keeps_its_length(used, budget) -> None:
    """Whatever is used of whatever budget, the bar has its thirty columns."""
    text = shown(render(ps(host(used_gb=used, budget_gb=budget)), Texts()))
    assert text.count("█") + text.count("░") == 30


@pytest.mark.parametrize(
    ("current", "roles", "role"),
    [
        (None, {"a": {"chain": ["ollama/big:7b"]}}, None),
        # whoever asks it first, not whoever has it somewhere
        ("big:7b", {"a": {"chain": ["x/y", "ollama/big:7b"]}, "b": {"chain": ["ollama/big:7b"]}}, "b"),
        ("big:7b", {"a": {"chain": ["x/y", "ollama/big:7b"]}}, "a"),
        # written without its tag
        ("small:latest", {"a": {"chain": ["ollama/small"]}}, "a"),
        # `auto` is every role's and nobody's
        ("big:7b", {"auto": {"chain": ["ollama/big:7b"]}}, None),
    ],
)
def test_the_current_models_role(current, roles, role) -> None:
    """The role that a host works for."""
    assert role_of({"provider": "ollama", "current_model": current}, roles) == role


def explained(metadata=LLAMA, *, budget=None, loaded=None, declared=None, context=8192, slots=1) -> Explained:
    wanted = Wanted({"m": declared} if declared else {}, {"m": context}, slots)
    described = Described(metadata, 4 * GIB)
    return Explained(sized("m", described, wanted, budget or 2**60), budget, loaded)


def test_the_estimate_is_explained_part_by_part() -> None:
    """Every part with its size and reason; the parts make up the total."""
    found = explained()
    text = shown(memory.table("ollama", found, Texts()))
    for name in (
        "weights",
        "cache",
        "compute",
        "output",
        "host",
        "total",
        "estimated from the model's shape",
    ):
        assert name in text
    assert "a window of 8K tokens" in text
    assert "1.0 GB" in text  # 8192 tokens of 128 KiB
    parts = memory.as_json(found)["estimate"]
    assert parts["total"] == sum(size for name, size in parts.items() if name != "total")
    assert "providers.ollama.memory_budget): the engine decides" in text
    assert "for 4 requests at once" in shown(memory.table("ollama", explained(slots=4), Texts()))


@pytest.mark.parametrize(
    ("budget", "fits", "words"),
    [
        (8 * GIB, True, "it fits (providers"),
        (5 * GIB, False, "with the smaller window only"),
        (2 * GIB, False, "is never loaded"),
    ],
)
def test_whether_it_fits(budget, fits, words) -> None:
    """In full, with the smaller window, or never."""
    found = explained(budget=budget)
    assert found.fits is fits
    assert words in shown(memory.table("ollama", found, Texts()))


def test_where_the_figure_is_from() -> None:
    """Declared, estimated, roughly, measured: what is known best counts, and is named."""
    measured = Resident("m", 6 * GIB, 6 * GIB, 8192)
    assert memory.as_json(explained())["source"] == "estimated"
    rough = explained({})
    assert memory.as_json(rough)["source"] == "roughly, by its weights"
    assert memory.as_json(rough)["estimate"] is None
    assert "roughly, by its weights" in shown(memory.table("ollama", rough, Texts()))
    declared = explained(declared=7 * GIB)
    assert "declared in the configuration" in shown(memory.table("ollama", declared, Texts()))
    assert (declared.need, explained(loaded=measured).need) == (7 * GIB, 6 * GIB)
    # who declared more than was measured wants it kept free
    assert explained(declared=7 * GIB, loaded=measured).need == 7 * GIB
    loaded = explained(loaded=measured)
    assert memory.as_json(loaded)["source"] == "measured"
    assert "measured: it is in memory with 8K tokens" in shown(memory.table("ollama", loaded, Texts()))


def test_nothing_is_made_up() -> None:
    """Of a model of which nothing is known, nothing is claimed."""
    found = Explained(sized("m", None, Wanted({}, {}), 8 * GIB), 8 * GIB)
    assert (found.need, found.fits) == (None, None)
    text = shown(memory.table("ollama", found, Texts("pt-BR")))
    assert "desconhecido" in text
    assert "saberemos ao carregar" in text
