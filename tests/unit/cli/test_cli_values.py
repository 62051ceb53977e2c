"""Figures, prompts, spans and the other pure parts of the command line."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.cli import figures
from coreto.cli.ask import wants_weights
from coreto.cli.costs import parse_since
from coreto.cli.doctor.gather import free_memory, usual_chain
from coreto.cli.doctor.probe import one_after_the_other
from coreto.cli.explain import reason
from coreto.cli.prompt import fenced, messages
from coreto.cli.texts import Texts
from coreto.errors import ConfigError
from coreto.labels import Label
from coreto.messages import Attempt, Trace

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("nusd", "text"),
    [
        (0, "$0"),
        (None, "?"),
        (1_200_000_000, "$1.20"),
        (550_000, "$0.00055"),
        (12, "$0.000000012"),
        (-1_500_000_000, "-$1.50"),
        (50_000_000, "$0.05"),
    ],
)
def test_money(nusd, text) -> None:
    """Small sums keep their digits, unknown ones never look like zero."""
    assert figures.money(nusd, "?") == text


@given(st.integers(min_value=1, max_value=10**15))
def test_money_that_was_spent_is_never_shown_as_nothing(nusd) -> None:
    """Not a nano-dollar is rounded away to $0."""
    assert figures.money(nusd, "?") not in ("$0", "$0.")


def test_times_sizes_and_windows() -> None:
    """Units change where people expect them to."""
    assert [figures.duration(ms) for ms in (None, 0.4, 999.0, 1234.0)] == ["-", "0 ms", "999 ms", "1.2 s"]
    assert figures.duration(1234.0, ",") == "1,2 s"
    assert [figures.size(n) for n in (None, 93_000_000, 8_700_000_000)] == ["-", "93 MB", "8.7 GB"]
    assert [figures.tokens(n) for n in (None, 512, 8192, 128_000, 131_072)] == [
        "-",
        "512",
        "8K",
        "128K",
        "128K",
    ]


@given(st.text(alphabet="`a\n", max_size=40))
def test_no_text_can_close_its_fence(text) -> None:
    """A file's block ends where the file ends, whatever backticks it holds."""
    name, fence, *inner = fenced("f", text).split("\n")
    assert name == "f"
    assert inner[-1] == fence
    assert all(line != fence for line in inner[:-1])
    assert "\n".join(inner[:-1]) == text.removesuffix("\n")


def test_messages_put_the_system_first() -> None:
    """The system message is there only when given."""
    assert messages("hi", (), None) == [{"role": "user", "content": "hi"}]
    assert messages("hi", (), "be kind")[0] == {"role": "system", "content": "be kind"}


@pytest.mark.parametrize(
    ("text", "epoch"),
    [
        ("7d", NOW - 7 * 86400),
        ("24h", NOW - 86400),
        ("2w", NOW - 14 * 86400),
        ("30m", NOW - 1800),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC).timestamp()),
        ("2026-11-01T10:00:00-03:00", datetime(2026, 11, 1, 13, tzinfo=UTC).timestamp()),
    ],
)
def test_since(text, epoch) -> None:
    """Spans count back from now, dates are local midnights."""
    assert parse_since(text, NOW, UTC) == epoch


@given(st.text(max_size=12))
def test_since_is_understood_or_refused(text) -> None:
    """Any text gives a number of seconds or a ConfigError, nothing else."""
    try:
        found = parse_since(text, NOW, UTC)
    except ConfigError as error:
        found = error.message
    assert isinstance(found, float) or "7d" in found


def trace(*attempts: Attempt, role: str | None = "brain", dropped: tuple[tuple[str, str], ...] = ()) -> Trace:
    answered = attempts[-1].deployment if attempts and attempts[-1].outcome == "ok" else None
    return Trace("id", answered, role, Label.INTERNAL, attempts, dropped=dropped)


def test_reason_says_why_this_one() -> None:
    """First in line, asked for by name, after others, first of the remaining, or nobody."""
    ok, bad = Attempt("a/b", "ok"), Attempt("c/d", "quota")
    texts = Texts()
    assert reason(trace(ok), "brain", texts) == "a/b answered: it comes first for brain"
    assert reason(trace(ok), "auto", texts) == "a/b answered: it comes first for auto (brain)"
    assert "by name" in reason(trace(ok, role=None), "a/b", texts)
    assert "after c/d (quota)" in reason(trace(bad, ok), "brain", texts)
    assert "can be used now" in reason(trace(ok, dropped=(("x/y", "down"),)), "brain", texts)
    assert reason(trace(bad), "brain", texts) == "nobody answered"


def test_weights_are_wanted_when_a_failed_call_could_have_used_them() -> None:
    """Dropped or tried in vain counts; no trace or another model does not."""
    assert wants_weights(trace(dropped=(("embedded/smollm2", "not pulled"),)))
    assert wants_weights(trace(Attempt("embedded/smollm2", "model_missing")))
    assert not wants_weights(trace(Attempt("ollama/x", "timeout")))
    assert not wants_weights(None)


@pytest.mark.parametrize(
    ("left", "right", "queued"),
    [
        ((10.0, 200.0), (210.0, 400.0), True),
        ((10.0, 200.0), (15.0, 210.0), False),
        ((210.0, 400.0), (10.0, 200.0), True),
        ((1.0, 2.0), (2.0, 3.0), False),
        ((None, 200.0), (210.0, 400.0), False),
    ],
)
def test_two_calls_one_after_the_other(left, right, queued) -> None:
    """An engine queues when the later answer begins after the earlier has ended; quick answers prove nothing."""
    made = [Attempt("a/b", "ok", ms=ms, ttft_ms=ttft) for ttft, ms in (left, right)]
    assert one_after_the_other(*made) is queued


def test_usual_chain_follows_roles() -> None:
    """A default role's deployments include those of the roles that it names."""
    assert "embedded/smollm2" in usual_chain("ui")
    assert "ollama/qwen2.5-coder:14b" in usual_chain("ui")
    assert usual_chain("nobody") == frozenset()


def test_free_memory_is_what_the_system_says(tmp_path) -> None:
    """The available memory in bytes, or nothing where it is not told."""
    path = tmp_path / "meminfo"
    assert free_memory(path) is None
    path.write_text("MemTotal: 9 kB\nMemAvailable:    2048 kB\n")
    assert free_memory(path) == 2048 * 1024
