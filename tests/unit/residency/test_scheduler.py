"""One host's state machine: every outcome of a request, every end of a load, and who leaves when."""

import pytest

from coreto.residency.effects import Happening
from coreto.residency.model import (
    Hosted,
    Lease,
    LoadFailure,
    Observed,
    Outcome,
    Reason,
)

GB = 10**9


def test_request_1_rejected_while_shutting_down(bench):
    """1: after a shutdown nothing is taken any more."""
    bench.scheduler.on_shutdown(0.0)
    assert bench.ask("a", "brain") is Outcome.REJECTED
    assert bench.effects.rejected["a"].reason is Reason.STOPPED


def test_request_2_rejected_without_the_model(bench):
    """2: a model that the host does not have is refused by name."""
    assert bench.ask("a", "brian") is Outcome.REJECTED
    assert bench.effects.rejected["a"].reason is Reason.UNKNOWN
    assert "'brian'" in bench.effects.rejected["a"].detail


def test_request_3_rejected_when_larger_than_the_budget(make_bench):
    """3: a model that never fits is refused at once, with both figures."""
    bench = make_bench(Hosted("huge", 40 * GB))
    assert bench.ask("a", "huge") is Outcome.REJECTED
    assert bench.effects.rejected["a"].reason is Reason.TOO_LARGE
    assert "37.3 GB of 14.9 GB" in bench.effects.rejected["a"].detail
    assert bench.effects.done == [("reject", "a")]


def test_request_3_takes_the_smaller_context_where_only_that_fits(make_bench):
    """3: a model that fits with its smaller context alone is loaded with that."""
    bench = make_bench(Hosted("m", 20 * GB, 32_768, small_context=4096, small_memory=15 * GB))
    assert bench.ask("a", "m") is Outcome.QUEUED
    assert bench.take() == [("load", "m", 4096)]


def test_request_4_granted_when_the_model_is_there(bench):
    """4: with the model in memory and a slot free, the request runs at once, with the context that was loaded."""
    bench.bring("brain")
    assert bench.ask("a", "brain") is Outcome.GRANTED
    assert bench.effects.granted["a"] == Lease("brain", 8192)


def test_request_4_not_ahead_of_one_that_is_due(make_bench):
    """4: once a request has waited its bound behind later ones, nobody starts in its way."""
    bench = make_bench(max_wait=30.0)
    bench.bring("brain")
    bench.ask("a", "brain")
    bench.ask("guest", "executor")
    bench.ask("b", "brain")
    bench.release("a")
    assert "b" in bench.effects.granted
    bench.wait(31.0)
    assert bench.ask("c", "brain") is Outcome.QUEUED
    bench.release("b")
    assert "c" not in bench.effects.granted
    assert bench.take()[-1] == ("unload", "brain")


def test_request_5_rejected_when_the_queue_is_full(make_bench):
    """5: beyond ``max_queue`` requests in all, one is refused; those that wait keep their places."""
    bench = make_bench(max_queue=2)
    assert [bench.ask(name, "brain") for name in "abc"] == [Outcome.QUEUED, Outcome.QUEUED, Outcome.REJECTED]
    assert bench.effects.rejected["c"].reason is Reason.QUEUE_FULL
    bench.loaded("brain")
    assert "a" in bench.effects.granted


def test_request_6_spilled_when_the_wait_would_be_too_long(bench):
    """6: who is willing to wait 5 s is sent elsewhere when a load takes 13, with the figure; who waits 20 is not."""
    assert bench.ask("a", "brain", spill_after=5.0) is Outcome.SPILLED
    assert bench.effects.rejected["a"].wait == pytest.approx(13.0)
    assert bench.ask("b", "brain", spill_after=20.0) is Outcome.QUEUED
    assert bench.house.waiting == 1


def test_request_7_queued_and_the_load_begins(bench):
    """7: otherwise it waits, and its model's load begins; it runs when that is done."""
    assert bench.ask("a", "brain") is Outcome.QUEUED
    assert bench.take() == [("load", "brain", 8192)]
    bench.wait(13.0)
    bench.loaded("brain")
    assert bench.take() == [("grant", "a")]


def test_a_switch_waits_for_the_memory_to_be_free(bench):
    """The other model is told to go, and the load begins only once the engine has confirmed that it went."""
    bench.bring("brain")
    bench.ask("a", "executor")
    assert bench.take() == [("unload", "brain")]
    bench.wait(60.0)
    assert bench.take() == []
    bench.unloaded("brain")
    assert bench.take() == [("load", "executor", 4096)]


def test_a_busy_model_stays(bench):
    """A model in use is not told to go before it is released."""
    bench.bring("brain")
    bench.ask("a", "brain")
    bench.ask("b", "executor")
    bench.wait(500.0)
    assert ("unload", "brain") not in bench.effects.done
    bench.release("a")
    assert bench.take()[-1] == ("unload", "brain")


def test_requests_of_the_model_in_memory_go_first(bench):
    """Later requests of the resident model are served before a switch, up to the bound."""
    bench.bring("brain")
    bench.ask("a", "brain")
    bench.ask("guest", "executor")
    for name in "bcd":
        bench.ask(name, "brain")
    for name in "abc":
        bench.wait(2.0)
        bench.release(name)
    assert list(bench.effects.granted) == ["for brain", "a", "b", "c", "d"]
    bench.release("d")
    assert bench.take()[-1] == ("unload", "brain")


def test_models_that_fit_together_stay_together(make_bench):
    """Nobody leaves while there is room for both."""
    bench = make_bench(Hosted("a", 7 * GB), Hosted("b", 8 * GB))
    bench.bring("a")
    bench.bring("b")
    assert bench.ask("1", "a") is bench.ask("2", "b") is Outcome.GRANTED
    assert bench.scheduler.switches == 0


def test_one_load_at_a_time(make_bench):
    """Two models that would fit are loaded one after the other."""
    bench = make_bench(Hosted("a", 7 * GB), Hosted("b", 8 * GB))
    bench.ask("1", "a")
    bench.ask("2", "b")
    assert bench.take() == [("load", "a", None)]
    bench.loaded("a")
    assert bench.take() == [("grant", "1"), ("load", "b", None)]


def test_slots_bound_what_runs_at_once(make_bench):
    """A model with two slots serves two; the third waits for a release."""
    bench = make_bench(Hosted("m", GB, slots=2))
    bench.bring("m")
    assert [bench.ask(name, "m") for name in "abc"] == [Outcome.GRANTED, Outcome.GRANTED, Outcome.QUEUED]
    bench.release("b")
    assert "c" in bench.effects.granted


def test_unknown_memory_is_taken_for_the_whole_budget(make_bench):
    """A model of unknown size is loaded alone; once measured, it shares."""
    bench = make_bench(Hosted("m"), Hosted("tiny", GB))
    bench.bring("tiny")
    bench.ask("a", "m")
    assert bench.take() == [("unload", "tiny")]
    bench.unloaded("tiny")
    bench.loaded("m", 5 * GB)
    bench.ask("b", "tiny")
    assert bench.take()[-1] == ("load", "tiny", None)


def test_a_caller_that_has_gone_holds_nothing(bench):
    """When the grant finds nobody, the model is not taken as busy and the next one is served."""
    bench.effects.gone.add("a")
    bench.ask("a", "brain")
    bench.ask("b", "brain")
    bench.loaded("brain")
    assert list(bench.effects.granted) == ["b"]
    bench.cancel("a")
    assert list(bench.house.entries["brain"].holders) == ["b"]


def test_cancel_while_waiting_and_while_running(bench):
    """A canceled request leaves its place, or its model, whatever had become of it; twice is harmless."""
    bench.ask("a", "brain")
    bench.ask("b", "brain")
    bench.cancel("a")
    bench.loaded("brain")
    assert list(bench.effects.granted) == ["b"]
    bench.cancel("b")
    bench.cancel("b")
    assert not bench.house.entries["brain"].holders
    assert bench.house.waiting == 0


def test_canceled_while_loading_the_model_stays(bench):
    """With nobody left to serve, a load is let end, and the model is there for the next."""
    bench.ask("a", "brain")
    bench.cancel("a")
    bench.loaded("brain")
    assert bench.ask("b", "brain") is Outcome.GRANTED


# --- loads that fail


def shrinkable():
    return Hosted("m", 9 * GB, 8192, small_context=2048, small_memory=8 * GB), Hosted("other", 6 * GB)


def test_load_failed_1_shrinks_the_context_once(make_bench):
    """1: out of memory with a smaller context at hand: loaded again with that, and granted with it."""
    bench = make_bench(*shrinkable())
    bench.ask("a", "m")
    bench.failed("m", LoadFailure.OUT_OF_MEMORY)
    assert bench.take() == [("load", "m", 8192), ("load", "m", 2048)]
    bench.loaded("m")
    assert bench.effects.granted["a"].context == 2048
    assert bench.effects.notes[0].happening is Happening.SHRUNK


def test_load_failed_2_clears_everything_once(make_bench):
    """2: out of memory again, others in memory: they leave when idle, then it is loaded alone."""
    bench = make_bench(*shrinkable())
    bench.bring("other")
    bench.ask("busy", "other")
    bench.ask("a", "m")
    bench.failed("m", LoadFailure.OUT_OF_MEMORY)
    bench.failed("m", LoadFailure.OUT_OF_MEMORY)
    assert ("unload", "other") not in bench.take()
    assert bench.ask("late", "other") is Outcome.QUEUED
    bench.release("busy")
    assert bench.take() == [("unload", "other")]
    bench.unloaded("other")
    assert bench.take() == [("load", "m", 2048)]
    bench.loaded("m")
    assert bench.take()[0] == ("grant", "a")


def test_load_failed_3_sends_all_away_at_last(make_bench):
    """3: out of memory alone with the smaller context: whoever waits goes to the next candidate; others go on."""
    bench = make_bench(*shrinkable())
    bench.ask("a", "m")
    bench.ask("b", "m")
    bench.ask("c", "other")
    bench.failed("m", LoadFailure.OUT_OF_MEMORY)
    bench.failed("m", LoadFailure.OUT_OF_MEMORY)
    assert {r.reason for r in bench.effects.rejected.values()} == {Reason.OUT_OF_MEMORY}
    assert set(bench.effects.rejected) == {"a", "b"}
    assert bench.take()[-1] == ("load", "other", None)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (LoadFailure.MISSING, Reason.MISSING),
        (LoadFailure.CORRUPT, Reason.CORRUPT),
        (LoadFailure.OTHER, Reason.ENGINE),
    ],
)
def test_load_failed_3_for_any_other_cause_at_once(bench, failure, reason):
    """3: a missing or broken model is not tried again, and the engine's words are passed on."""
    bench.ask("a", "brain")
    bench.failed("brain", failure, "no such file")
    assert bench.effects.rejected["a"].reason is reason
    assert bench.effects.rejected["a"].detail == "no such file"
    assert bench.take() == [("load", "brain", 8192), ("reject", "a")]


def test_clearing_ends_when_nobody_waits_for_it(make_bench):
    """A clearing whose last request was canceled is given up, and the others are served again."""
    bench = make_bench(*shrinkable())
    bench.bring("other")
    bench.ask("busy", "other")
    bench.ask("a", "m")
    bench.failed("m", LoadFailure.OUT_OF_MEMORY)
    bench.failed("m", LoadFailure.OUT_OF_MEMORY)
    bench.ask("late", "other")
    bench.cancel("a")
    bench.release("busy")
    assert "late" in bench.effects.granted


# --- an engine with a will of its own


def test_unload_that_fails_is_tried_again_then_given_up(bench):
    """A model that does not go serves on; after three tries those who wait for its room are sent away."""
    bench.bring("brain")
    bench.ask("a", "executor")
    bench.take()
    for _ in range(2):
        bench.scheduler.on_unload_failed("brain", bench.now)
        assert "a" not in bench.effects.rejected
        bench.wait(6.0)
        assert bench.take() == [("unload", "brain")]
    bench.scheduler.on_unload_failed("brain", bench.now)
    assert bench.effects.rejected["a"].reason is Reason.ENGINE
    assert bench.ask("b", "brain") is Outcome.GRANTED


def test_a_restarted_engine_is_loaded_anew(bench):
    """When the engine lists nothing any more, the model is loaded again for whoever comes."""
    bench.bring("brain")
    bench.observe()
    assert bench.house.used == 0
    assert bench.ask("a", "brain") is Outcome.QUEUED
    assert bench.take() == [("load", "brain", 8192)]


def test_a_model_lost_under_a_request_keeps_its_room(bench):
    """A running request may bring its model back by itself, so that the room stays set aside until it has ended and
    the engine was looked at again."""
    bench.bring("brain")
    bench.ask("a", "brain")
    bench.observe()
    bench.ask("b", "executor")
    assert bench.house.used == 13 * GB
    bench.release("a")
    assert bench.house.doubts
    assert ("load", "executor", 4096) not in bench.take()
    bench.observe()
    assert bench.take() == [("load", "executor", 4096)]


def test_a_lost_model_is_loaded_for_others_who_wait(bench):
    """Who wants the lost model does not wait for the request that lost it."""
    bench.bring("brain")
    bench.ask("a", "brain")
    bench.observe()
    bench.ask("b", "brain")
    assert bench.take()[-1] == ("load", "brain", 8192)
    assert bench.house.used == 13 * GB


def test_a_model_that_somebody_else_loaded_counts(bench):
    """What others loaded takes room, and leaves when the room is needed."""
    bench.observe(Observed("stranger", 6 * GB))
    assert bench.house.used == 6 * GB
    bench.ask("a", "brain")
    assert bench.take() == [("unload", "stranger")]
    bench.unloaded("stranger")
    assert bench.take() == [("load", "brain", 8192)]


def test_loaded_by_others_is_served_at_once(bench):
    """One of ours that somebody else loaded is served without a load, if it comes in time for who waits too."""
    bench.observe(Observed("brain", 13 * GB))
    assert bench.ask("a", "brain") is Outcome.GRANTED


def test_an_observation_that_changes_nothing_does_nothing(bench):
    """Seeing what is known leads to no effect, models on their way in or out included."""
    bench.bring("brain")
    bench.observe(Observed("brain", 13 * GB))
    bench.ask("a", "executor")
    bench.take()
    bench.observe(Observed("brain", 13 * GB))
    bench.unloaded("brain")
    bench.observe()
    assert bench.take() == [("load", "executor", 4096)]
    assert all(note.happening is not Happening.RESYNCHRONISED for note in bench.effects.notes)


def test_a_measurement_over_the_budget_makes_somebody_leave(make_bench):
    """When a model turns out larger than expected, the sum comes back below the budget at once."""
    bench = make_bench(Hosted("a", 7 * GB), Hosted("b", 8 * GB))
    bench.bring("a")
    bench.ask("1", "b")
    bench.loaded("b", 10 * GB)
    assert ("unload", "a") in bench.take()
    bench.unloaded("a")
    assert bench.house.used == 10 * GB


def test_over_the_budget_an_unload_that_failed_is_tried_again(make_bench):
    """Though nobody waits for the room, what is too much is told to go again after the pause."""
    bench = make_bench(Hosted("a", 7 * GB), Hosted("b", 8 * GB))
    bench.bring("a")
    bench.bring("b")
    bench.observe(Observed("a", 7 * GB), Observed("b", 12 * GB))
    bench.scheduler.on_unload_failed("a", bench.now)
    assert bench.take() == [("unload", "a"), ("unload", "b")]
    bench.scheduler.on_unload_failed("b", bench.now)
    bench.wait(6.0)
    assert bench.take() == [("unload", "a")]


def test_a_model_that_grows_makes_somebody_leave(make_bench):
    """A model that the engine lists with more than it was loaded with counts with that, now and at its next load."""
    bench = make_bench(Hosted("a", 7 * GB), Hosted("b", 8 * GB))
    bench.bring("a")
    bench.bring("b")
    bench.observe(Observed("a", 7 * GB), Observed("b", 12 * GB))
    assert bench.take() == [("unload", "a")]
    bench.unloaded("a")
    bench.observe()
    bench.ask("1", "b")
    bench.ask("2", "a")
    bench.loaded("b")
    assert bench.house.used == 12 * GB


def test_a_measurement_over_the_whole_budget_sends_its_callers_away(make_bench):
    """A model that turns out larger than everything is unloaded, and its callers hear the figures."""
    bench = make_bench(Hosted("a", 7 * GB))
    bench.ask("1", "a")
    bench.loaded("a", 20 * GB)
    assert bench.effects.rejected["1"].reason is Reason.TOO_LARGE
    assert ("unload", "a") in bench.take()


def test_shutdown_ends_the_queue_and_nothing_else(bench):
    """Who waits is sent away; who runs may end; nothing is loaded afterwards."""
    bench.bring("brain")
    bench.ask("a", "brain")
    bench.ask("b", "executor")
    bench.scheduler.on_shutdown(bench.now)
    assert bench.effects.rejected["b"].reason is Reason.STOPPED
    bench.take()
    bench.release("a")
    assert bench.take() == []
    assert bench.effects.timer is None


def test_events_for_unknown_models_and_requests_are_ignored(bench):
    """Events that come late, for what is over, change nothing."""
    bench.loaded("nobody")
    bench.unloaded("brain")
    bench.failed("brain", LoadFailure.OTHER)
    bench.scheduler.on_unload_failed("executor", 0.0)
    bench.release("nobody")
    bench.scheduler.on_timer(0.0)
    assert bench.take() == []
