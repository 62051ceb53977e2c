"""The benchmark in small: fewer switches than in order, bounded waits, close to the optimum, never over the budget."""

import importlib.util
import statistics
import sys
from pathlib import Path

import pytest

MAX_WAIT = 60.0


def load_benchmark():
    """The traces, the world and the policies that the benchmark compares."""
    path = Path(__file__).parents[3] / "benchmarks" / "residency.py"
    spec = importlib.util.spec_from_file_location("coreto_bench_residency", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


BENCH = load_benchmark()


def rows(trace):
    return {name: BENCH.row(trace.name, name, [BENCH.run(trace, name)]) for name in BENCH.POLICIES}


@pytest.mark.parametrize("every", [0.0, 2.0, 5.0])
def test_alternating_requests_need_half_the_switches_of_fifo(every):
    """When brain and executor alternate faster than can be switched: at most half of the switches and 0.6 of the
    time that serving in order takes, and nobody is behind later ones for longer than the bound."""
    found = rows(BENCH.alternating(every, seed=1, count=100))
    fifo, ours = found["fifo"], found["coreto"]
    assert ours.swaps <= 0.5 * fifo.swaps
    assert ours.drain <= 0.6 * fifo.drain
    assert ours.behind_max <= MAX_WAIT


def test_waits_are_bounded_where_collation_starves():
    """Serving whoever's model is loaded lets a guest starve; ours ends its wait, for a few switches more."""
    found = rows(BENCH.alternating(0.0, seed=1, count=200))
    assert found["collation"].behind_max > 4 * MAX_WAIT
    assert found["coreto"].behind_max <= MAX_WAIT
    assert found["coreto"].drain <= 1.1 * found["collation"].drain


def test_the_brake_halves_the_switches_of_a_slow_alternation():
    """One request every 20 s, each for the other model: gathered by twos, within the bound."""
    found = rows(BENCH.alternating(20.0, seed=1, count=100))
    assert found["coreto"].swaps <= 0.5 * found["fifo"].swaps
    assert found["coreto"].wait_max <= MAX_WAIT


def test_plans_come_close_to_the_optimum():
    """On small traces of crews the look-ahead drains within 10 % of the shortest possible, on average; without it
    the same scheduler does not."""
    traces = [BENCH.small(seed) for seed in range(40)]
    best = [BENCH.shortest_drain(trace)[0] for trace in traces]

    def ratio(policy):
        drains = [BENCH.run(trace, policy).drain for trace in traces]
        return statistics.fmean(drain / least for drain, least in zip(drains, best, strict=True))

    assert ratio("coreto+plans") <= 1.10 < ratio("coreto")


@pytest.mark.parametrize("kinds", [3, 6])
def test_no_policy_of_ours_goes_over_the_budget(kinds):
    """With several models the memory is never overdrawn, no busy model told to go, and all are served."""
    for trace in (BENCH.many(kinds, 1, 100), BENCH.bursts(1, 100), BENCH.crews(30.0, 1, 10)):
        for name in ("coreto", "coreto+plans"):
            world = BENCH.run(trace, name)
            assert world.violations == 0
            assert world.done
            assert max(r.behind for r in world.requests.values()) <= MAX_WAIT


def test_the_optimum_is_one():
    """The search finds the obvious schedule: all of the brain's, one switch, all of the executor's."""
    calls = (BENCH.Call("brain", 2.0), BENCH.Call("executor", 1.0))
    trace = BENCH.Trace("two", BENCH.PAIR, (BENCH.Session(0.0, calls), BENCH.Session(0.0, calls)))
    drain, swaps = BENCH.shortest_drain(trace)
    assert (round(drain, 6), swaps) == (13.0 + 4.0 + BENCH.UNLOAD + 9.0 + 2.0, 1)


def test_the_table_and_the_rows_say_the_same():
    """The report has a line for every row."""
    found = list(rows(BENCH.alternating(5.0, seed=1, count=10)).values())
    assert len(BENCH.table(found).splitlines()) == 2 + len(found)
