"""Whose turn it is: the bound, the brake, the home model, and plans."""

import pytest

from coreto.residency.lookahead import Plans
from coreto.residency.model import Hosted, LoadFailure, Outcome, Step
from coreto.residency.state import Phase

GB = 10**9


def serve(bench, name, seconds=2.0):
    """Let a granted request run for ``seconds``."""
    bench.wait(seconds)
    bench.release(name)


# --- the bound


def test_a_guest_gets_its_turn_within_the_bound(make_bench):
    """A stream of requests for the resident model is interrupted once the guest has waited its bound."""
    bench = make_bench(max_wait=30.0)
    bench.bring("brain")
    bench.ask("b0", "brain")
    bench.ask("guest", "executor")
    for number in range(40):
        bench.ask(f"b{number + 1}", "brain")
        serve(bench, f"b{number}")
        if ("unload", "brain") in bench.effects.done:
            break
    behind = bench.house.entries["executor"].head.behind
    assert 24.0 <= behind <= 32.0


def test_what_came_earlier_is_no_delay(make_bench):
    """Requests that came before the guest are all served first, however long they take."""
    bench = make_bench(max_wait=10.0)
    bench.bring("brain")
    names = [f"b{number}" for number in range(20)]
    for name in names:
        bench.ask(name, "brain")
    bench.ask("guest", "executor")
    for name in names:
        assert name in bench.effects.granted
        serve(bench, name, 5.0)
    assert bench.take()[-1] == ("unload", "brain")


def test_turns_are_shared_among_those_who_wait(make_bench):
    """With two models waiting, the first turn ends in time for both of theirs."""
    models = [Hosted(name, 9 * GB) for name in "abc"]
    bench = make_bench(*models, max_wait=60.0)
    bench.bring("a")
    for number in range(60):
        for name in "abc":
            bench.ask(f"{name}{number}", name)
    begun = bench.now
    number = 0
    while ("unload", "a") not in bench.effects.done:
        serve(bench, f"a{number}")
        number += 1
    assert 16.0 <= bench.now - begun <= 30.0


def test_the_bound_is_not_below_what_the_loads_take(make_bench):
    """A bound shorter than the loads themselves would mean a switch for every request: it is raised."""
    bench = make_bench(max_wait=1.0)
    bench.bring("brain")
    bench.ask("b0", "brain")
    bench.ask("e0", "executor")
    for number in range(1, 8):
        bench.ask(f"b{number}", "brain")
    for number in range(4):
        serve(bench, f"b{number}")
    assert ("unload", "brain") not in bench.effects.done


def test_a_load_is_never_for_nothing(make_bench):
    """A model that was just loaded serves one request, though another one's turn has come meanwhile."""
    models = [Hosted("a", 9 * GB), Hosted("b", 9 * GB), Hosted("c", 9 * GB)]
    bench = make_bench(*models, max_wait=40.0)
    bench.bring("a")
    bench.ask("a1", "a")
    bench.ask("c1", "c")
    bench.ask("b1", "b")
    bench.release("a1")
    bench.unloaded("a")
    loaded = next(model for kind, model, *_ in bench.take() if kind == "load")
    bench.wait(30.0)
    bench.loaded(loaded)
    assert f"{loaded}1" in bench.effects.granted


def test_two_that_are_due_do_not_undo_each_others_loads(make_bench):
    """The later of two due requests may have waited longer; the earlier one is served first all the same."""
    bench = make_bench(Hosted("a", 9 * GB), Hosted("b", 9 * GB), max_wait=5.0)
    bench.ask("early", "a")
    bench.failed("a", LoadFailure.OTHER)
    bench.ask("a1", "a")
    bench.ask("b1", "b")
    house = bench.house
    house.entries["a"].head.behind, house.entries["b"].head.behind = 300.0, 400.0
    for _ in range(8):
        for model, entry in house.entries.items():
            bench.wait(1.0)
            if entry.phase is Phase.LOADING:
                bench.loaded(model)
            elif entry.phase is Phase.LEAVING:
                bench.unloaded(model)
            for name in list(entry.holders):
                bench.release(name)
    assert list(bench.effects.granted) == ["a1", "b1"]
    assert bench.scheduler.loads == 3


# --- the brake


def test_the_brake_gathers_requests(make_bench):
    """After some switches in short order, one request alone has to wait; together they go sooner."""
    bench = make_bench(brake_after=2, brake_window=300.0)
    bench.bring("brain")
    for name, model, other in (("e", "executor", "brain"), ("b", "brain", "executor")):
        bench.ask(name, model)
        bench.unloaded(other)
        bench.loaded(model)
        bench.release(name)
    bench.take()
    bench.ask("alone", "executor")
    assert bench.take() == []
    bench.wait(10.0)
    assert bench.take() == []
    bench.wait(13.0)
    assert bench.take() == [("unload", "brain")]


def test_the_brake_comes_off(make_bench):
    """When the switches are long past, the next one is made at once."""
    bench = make_bench(brake_after=1, brake_window=100.0)
    bench.bring("brain")
    bench.ask("e", "executor")
    bench.unloaded("brain")
    bench.loaded("executor")
    bench.release("e")
    bench.wait(101.0)
    bench.take()
    bench.ask("b", "brain")
    assert bench.take() == [("unload", "executor")]


# --- home


def test_home_returns_after_the_guest_is_idle(make_bench):
    """The home model comes back by itself, ``return_after`` seconds after the guest's last call."""
    bench = make_bench(home="brain", return_after=30.0)
    bench.bring("brain")
    bench.ask("e", "executor")
    bench.unloaded("brain")
    bench.loaded("executor")
    serve(bench, "e", 5.0)
    bench.take()
    bench.wait(29.0)
    assert bench.take() == []
    bench.wait(2.0)
    assert bench.take() == [("unload", "executor")]
    bench.unloaded("executor")
    assert bench.take() == [("load", "brain", 8192)]
    bench.loaded("brain")
    bench.wait(1000.0)
    assert bench.take() == []


def test_home_is_not_loaded_unasked(make_bench):
    """A home model that was never there does not come by itself."""
    bench = make_bench(home="brain", return_after=1.0)
    bench.bring("executor")
    bench.wait(100.0)
    assert bench.take() == []


def test_home_waits_while_the_guest_is_used(make_bench):
    """Each of the guest's calls puts the return off."""
    bench = make_bench(home="brain", return_after=30.0)
    bench.bring("brain")
    bench.ask("e", "executor")
    bench.unloaded("brain")
    bench.loaded("executor")
    serve(bench, "e")
    bench.wait(20.0)
    assert bench.ask("e2", "executor") is Outcome.GRANTED
    bench.wait(50.0)
    bench.release("e2")
    bench.take()
    bench.wait(29.0)
    assert bench.take() == []


# --- plans


def test_all_planning_before_all_executing(bench):
    """While another plan still has planning calls to make, the planner stays, though an executor call waits."""
    bench.bring("brain")
    bench.announce("one", Step("brain", 1), Step("executor", 2))
    bench.announce("two", Step("brain", 2), Step("executor", 2))
    bench.ask("p1", "brain", plan="one")
    serve(bench, "p1")
    bench.ask("p2", "brain", plan="two")
    serve(bench, "p2")
    bench.ask("e1", "executor", plan="one")
    bench.wait(1.0)
    assert ("unload", "brain") not in bench.effects.done
    assert bench.ask("p3", "brain", plan="two") is Outcome.GRANTED
    serve(bench, "p3")
    assert bench.take()[-1] == ("unload", "brain")


def test_a_plan_that_falls_silent_holds_nobody_up(make_bench):
    """An announced call that does not come keeps others waiting for at most ``hold`` seconds."""
    bench = make_bench(hold=8.0)
    bench.bring("brain")
    bench.announce("dead", Step("brain", 3))
    bench.ask("e", "executor")
    assert bench.take() == []
    bench.wait(8.5)
    assert bench.take() == [("unload", "brain")]


def test_the_next_model_is_loaded_ahead(bench):
    """After the last planning call the executor is loaded before anybody asks for it."""
    bench.bring("brain")
    bench.announce("one", Step("brain"), Step("executor", 2))
    bench.ask("p", "brain", plan="one")
    bench.take()
    serve(bench, "p")
    assert bench.take() == [("unload", "brain")]


def test_not_ahead_of_what_another_plan_expects(bench):
    """A model that one plan will ask for next is not pushed out ahead of time for another plan's."""
    bench.bring("brain")
    bench.announce("two", Step("brain", 2))
    bench.announce("one", Step("executor", 2))
    assert bench.take() == []


def test_a_load_ahead_that_fails_is_not_tried_for_ever(bench):
    """A load that nobody waits for is tried once; the call itself tries again."""
    bench.announce("one", Step("executor", 2))
    bench.failed("executor", LoadFailure.OTHER)
    assert bench.take() == [("load", "executor", 4096)]
    bench.wait(60.0)
    assert bench.take() == []
    bench.ask("e", "executor", plan="one")
    assert bench.take() == [("load", "executor", 4096)]


def test_plans_count_down():
    """Calls are taken off the part they belong to; parts that were skipped are over."""
    plans = Plans(ttl=10.0)
    plans.announce("p", [Step("a", 2), Step("b", 1), Step("a", 1)], 0.0)
    assert plans.needs() == {"a": 3, "b": 1}
    assert plans.expected() == {"a": 0.0}
    plans.begin("p", "a")
    assert plans.expected() == {}
    plans.end("p", 3.0)
    assert plans.expected() == {"a": 3.0}
    plans.begin("p", "b")
    plans.end("p", 4.0)
    assert plans.needs() == {"a": 1}
    plans.begin("p", "a")
    plans.end("p", 5.0)
    assert not plans


def test_plans_are_forgotten():
    """A plan is over when it says so, or has been silent for its ttl; a running call keeps it."""
    plans = Plans(ttl=10.0)
    plans.announce("said", [Step("a", 2)], 0.0)
    plans.announce("said", [], 1.0)
    plans.announce("silent", [Step("a", 2)], 0.0)
    plans.announce("busy", [Step("b", 2)], 0.0)
    plans.begin("busy", "b")
    plans.forget_silent(10.0)
    assert plans.needs() == {"b": 1}


def test_calls_outside_of_a_plan_change_nothing():
    """Unknown plans, no plan, and models that the plan has not named are no fault."""
    plans = Plans(ttl=10.0)
    plans.begin(None, "a")
    plans.begin("unknown", "a")
    plans.end("unknown", 1.0)
    plans.skip("unknown", "a")
    plans.announce("p", [Step("a", 1)], 0.0)
    plans.begin("p", "c")
    assert plans.needs() == {"a": 1}


def test_a_spilled_call_counts_as_made(bench):
    """A plan whose call went to the cloud does not keep the model for it."""
    bench.announce("p", Step("brain", 1), Step("executor", 1))
    bench.loaded("brain")
    bench.ask("x", "brain")
    bench.ask("p1", "brain", plan="p", spill_after=0.0)
    assert bench.house.plans.needs() == {"executor": 1}


# --- the forecast


def test_the_forecast_counts_load_queue_and_turns(bench):
    """Nothing for a free model, the service for a busy one, the load for an absent one, both with a queue."""
    wait = bench.scheduler.predicted_wait
    assert wait("brain", 0.0) == pytest.approx(13.0)
    assert wait("nobody", 0.0) == float("inf")
    bench.ask("a", "brain")
    bench.wait(3.0)
    assert wait("brain", bench.now) == pytest.approx(10.0 + 5.0)
    bench.wait(10.0)
    bench.loaded("brain")
    serve(bench, "a", 4.0)
    assert wait("brain", bench.now) == 0.0
    bench.ask("b", "brain")
    assert wait("brain", bench.now) == pytest.approx(4.0)
    assert wait("executor", bench.now) == pytest.approx(4.0 + 9.0)


def test_the_forecast_learns_the_speed_of_loads(bench):
    """A load that took twice as long as expected doubles what is expected of the next."""
    bench.ask("a", "brain")
    bench.wait(26.0)
    bench.loaded("brain")
    bench.release("a")
    assert bench.scheduler.predicted_wait("executor", bench.now) == pytest.approx(18.0)


def test_the_forecast_counts_the_brake(make_bench):
    """While the brake is on, the time that it holds the switch back is part of the wait."""
    bench = make_bench(brake_after=1)
    bench.bring("brain")
    bench.wait(60.0)
    bench.ask("e", "executor")
    bench.unloaded("brain")
    bench.wait(9.0)
    bench.loaded("executor")
    serve(bench, "e")
    trip = bench.house.load_seconds(bench.house.entries["brain"])
    back = bench.house.load_seconds(bench.house.entries["executor"])
    assert bench.scheduler.predicted_wait("brain", bench.now) == pytest.approx(2 * trip + back)
    bench.take()
    bench.ask("b", "brain")
    bench.wait(trip + back - 0.1)
    assert bench.take() == []
    bench.wait(0.2)
    assert bench.take() == [("unload", "executor")]


def test_a_longer_queue_never_shortens_the_forecast(bench):
    """Each request that waits makes the next one's forecast longer."""
    bench.bring("brain")
    seen = []
    for number in range(6):
        seen.append(bench.scheduler.predicted_wait("brain", bench.now))
        bench.ask(f"b{number}", "brain")
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]
