"""Reports: sums, savings, what is not known, the month's projection."""

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.ledger.report import CostReport, month_end, month_start, project_month
from coreto.stores.records import Totals

SAO_PAULO = ZoneInfo("America/Sao_Paulo")


def test_unknown_prices_are_shown_as_such():
    """A group without any known price has no cost, one with some has the known part and says what is missing."""
    report = CostReport.of(
        "deployment",
        [
            Totals("cloud/a", attempts=3, unpriced=3),
            Totals("cloud/b", attempts=3, unpriced=1, cost_nusd=2_000_000_000),
            Totals("local/c", attempts=3),
        ],
    ).as_json()
    found = {line["key"]: (line["cost_usd"], line["unknown_calls"]) for line in report["groups"]}
    assert found == {"cloud/a": (None, 3), "cloud/b": (2.0, 1), "local/c": (0.0, 0)}
    assert (report["total"]["cost_usd"], report["total"]["unknown_calls"]) == (2.0, 4)


def test_saving():
    """The saving is baseline minus cost over the comparable calls; without any there is none."""
    report = CostReport.of(
        "role",
        [
            Totals("brain", calls=4, compared=2, compared_nusd=250, baseline_nusd=1000, cost_nusd=9000),
            Totals("chat", calls=1),
        ],
    )
    brain, chat = report.lines
    assert (brain.saving_nusd, brain.saving_share) == (750, 0.75)
    assert (chat.saving_nusd, chat.saving_share, chat.as_json()["baseline_usd"]) == (None, None, None)
    assert report.total.saving_nusd == 750


def test_a_dearer_choice_is_told():
    """A negative saving stays negative; a baseline of nothing has no share."""
    (line,) = CostReport.of("role", [Totals("r", compared=1, compared_nusd=9, baseline_nusd=0)]).lines
    assert (line.saving_nusd, line.saving_share) == (-9, None)


def test_as_json_is_json():
    """The report can be printed as JSON, with its span and its prices' sources, each once."""
    report = CostReport.of(
        "day", [Totals("2026-01-01", calls=1)], since_ms=0, until_ms=86_400_000, prices=["p 2", "p 1", "p 2"]
    )
    shown = json.loads(json.dumps(report.as_json()))
    assert (shown["since"], shown["until"]) == ("1970-01-01T00:00:00+00:00", "1970-01-02T00:00:00+00:00")
    assert shown["prices"] == ["p 1", "p 2"]
    assert CostReport.of("day", []).as_json()["since"] is None


def test_an_empty_ledger_costs_nothing():
    """No calls: no groups, a total of 0, and no saving."""
    report = CostReport.of("role", [])
    assert report.lines == ()
    assert (report.total.cost_nusd, report.total.saving_nusd) == (0, None)


numbers = st.integers(0, 10**15)
rows = st.builds(
    Totals,
    key=st.none() | st.sampled_from("abc"),
    calls=numbers,
    attempts=numbers,
    unpriced=numbers,
    prompt_tokens=numbers,
    cost_nusd=numbers,
    compared=st.integers(0, 3),
    compared_nusd=numbers,
    baseline_nusd=numbers,
)


@given(parts=st.lists(rows, max_size=12))
def test_the_total_is_the_sum_of_the_lines(parts):
    """Money, tokens and savings of the groups add up to the total's, and to what came in."""
    parts = [
        p if p.compared else Totals(p.key, p.calls, attempts=p.attempts, cost_nusd=p.cost_nusd) for p in parts
    ]
    report = CostReport.of("role", parts)
    total = report.total
    assert len({line.key for line in report.lines}) == len(report.lines)
    assert total.totals.cost_nusd == sum(p.cost_nusd for p in parts)
    assert total.totals.prompt_tokens == sum(line.totals.prompt_tokens for line in report.lines)
    assert total.unknown_calls == sum(line.unknown_calls for line in report.lines)
    savings = [line.saving_nusd for line in report.lines if line.saving_nusd is not None]
    assert total.saving_nusd == (sum(savings) if savings else None)
    if savings:
        assert total.saving_nusd == sum(p.baseline_nusd - p.compared_nusd for p in parts)


def seconds(*when: int, tz=UTC) -> float:
    return datetime(*when, tzinfo=tz).timestamp()


def test_a_month_in_its_zone():
    """The month is that of the zone, December ends with the year, and a clock change belongs to its month."""
    new_year_utc = seconds(2027, 1, 1, 1)
    assert month_start(new_year_utc, SAO_PAULO) == seconds(2026, 12, 1, tz=SAO_PAULO)
    assert month_end(new_year_utc, SAO_PAULO) == seconds(2027, 1, 1, tz=SAO_PAULO)
    berlin = ZoneInfo("Europe/Berlin")
    march = seconds(2026, 3, 15, tz=berlin)
    assert month_end(march, berlin) - month_start(march, berlin) == 31 * 86_400 - 3600


@pytest.mark.parametrize(
    ("now", "projected"),
    [
        (seconds(2026, 4, 16), 200),  # half of 30 days
        (seconds(2026, 4, 30, 23, 59, 59), 100),
        (seconds(2026, 4, 1, 0, 0, 1), 100 * 720),  # as if an hour had passed
    ],
)
def test_projection(now: float, projected: int):
    """The month goes on as it began; its first hour is not taken for more than an hour."""
    assert project_month(100, now, UTC) == projected


@given(now=st.floats(seconds(2020, 1, 1), seconds(2040, 1, 1)), cost=st.integers(0, 10**15))
def test_a_projection_is_never_below_what_was_spent(now, cost):
    """What is spent is spent, in any zone at any time."""
    assert project_month(cost, now, SAO_PAULO) >= cost
