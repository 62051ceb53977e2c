"""The pure scheduler of the simulated Ollama: its decision list, and its invariants over random traces."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreto.simulators.ollama.scheduler import (
    FOREVER,
    Action,
    Grant,
    Limits,
    Need,
    Phase,
    Refusal,
    Refuse,
    RunnerOptions,
    Scheduler,
    StartLoad,
    StartUnload,
)

GB = 10**9


def need(number: int, weights: str, size: float = 4, **more: object) -> Need:
    fields = {"options": RunnerOptions(4096), **more}
    return Need(id=number, weights=weights, name=weights, size=int(size * GB), **fields)  # type: ignore[arg-type] - fields vary


def scheduler(memory: float = 16, **more: int) -> Scheduler:
    return Scheduler(Limits(memory=int(memory * GB), **more))


def loaded(machine: Scheduler, *needs: Need, now: float = 0.0) -> None:
    """Bring models into memory and end their requests."""
    for item in needs:
        assert StartLoad(item.weights, item.size) in machine.submit(item, now)
        machine.loaded(item.weights, now)
        machine.finished(item.id, now)


def test_1_loaded_with_equal_options_bypasses_the_queue() -> None:
    """A request for a loaded model is served although another one blocks the queue."""
    machine = scheduler(num_parallel=2)
    loaded(machine, need(1, "a", 9))
    machine.submit(need(2, "a", 9), 1)
    machine.submit(need(3, "b", 9), 1)
    assert machine.submit(need(4, "a", 9), 1) == [Grant(4, 4096)]


def test_2_weights_that_leave_are_waited_for() -> None:
    """A model that is being unloaded is loaded again only after its memory is back."""
    machine = scheduler()
    loaded(machine, need(1, "a"))
    assert machine.unload("a", 1) == [StartUnload("a")]
    assert machine.submit(need(2, "a"), 1) == []
    assert StartLoad("a", 4 * GB) in machine.gone("a", 2)


def test_3_another_context_reloads() -> None:
    """Changed num_ctx unloads and loads; two automatic contexts do not."""
    machine = scheduler()
    loaded(machine, need(1, "a"))
    fixed = need(2, "a", options=RunnerOptions(8192, automatic_ctx=False))
    assert machine.submit(fixed, 1) == [StartUnload("a")]
    assert machine.gone("a", 2) == [StartLoad("a", 4 * GB)]
    assert machine.loaded("a", 3) == [Grant(2, 8192)]
    machine.finished(2, 4)
    machine = scheduler()
    loaded(machine, need(1, "a"))
    assert machine.submit(need(2, "a", options=RunnerOptions(32768)), 1) == [Grant(2, 4096)]


def test_4_one_load_at_a_time_blocks_the_head() -> None:
    """While one model loads, the next request waits although it would fit."""
    machine = scheduler()
    assert machine.submit(need(1, "a", 1), 0) == [StartLoad("a", GB)]
    assert machine.submit(need(2, "b", 1), 0) == []
    assert machine.loaded("a", 1) == [Grant(1, 4096), StartLoad("b", GB)]


def test_4_the_head_blocks_everyone_behind_it() -> None:
    """A request that would fit waits behind one that does not."""
    machine = scheduler()
    loaded(machine, need(1, "a", 8))
    machine.submit(need(2, "a", 8), 1)
    machine.submit(need(3, "b", 12), 1)
    assert machine.submit(need(4, "c", 1), 1) == []
    assert machine.finished(2, 2) == [StartUnload("a")]
    assert machine.gone("a", 3) == [StartLoad("b", 12 * GB)]


def test_5_no_more_models_than_allowed() -> None:
    """The number of loaded models is bounded however small they are."""
    machine = scheduler(max_loaded=2)
    loaded(machine, need(1, "a", 1), need(2, "b", 1))
    assert machine.submit(need(3, "c", 1), 1) == [StartUnload("a")]


def test_6_others_loaded_leaves_a_fifth_free() -> None:
    """Next to others a model is loaded only into 80 % of what is free."""
    machine = scheduler()
    loaded(machine, need(1, "a", 6))
    assert machine.submit(need(2, "b", 8), 1) == [StartLoad("b", 8 * GB)]
    machine = scheduler()
    loaded(machine, need(1, "a", 6))
    assert machine.submit(need(2, "b", 8.1), 1) == [StartUnload("a")]


def test_6_the_victim_is_the_shortest_keep_alive_not_the_oldest() -> None:
    """Eviction goes by keep-alive, then by path; not by last use; for-ever models last."""
    machine = scheduler(max_loaded=9)
    loaded(machine, need(1, "old", 3, keep_alive=FOREVER), need(2, "z", 3, keep_alive=60.0))
    loaded(machine, need(3, "b", 3, keep_alive=60.0), now=5)
    assert machine.submit(need(4, "new", 9), 6) == [StartUnload("b")]
    assert machine.gone("b", 7) == [StartUnload("z")]
    assert machine.gone("z", 8) == [StartLoad("new", 9 * GB)]
    machine.loaded("new", 9)
    machine.finished(4, 9)
    assert StartUnload("new") in machine.submit(need(5, "big", 15), 10)
    assert StartUnload("old") in machine.gone("new", 11)


def test_6_busy_models_finish_first() -> None:
    """A busy victim leaves when its request ends."""
    machine = scheduler()
    loaded(machine, need(1, "a", 9))
    assert machine.submit(need(2, "a", 9), 1) == [Grant(2, 4096)]
    assert machine.submit(need(3, "b", 9), 1) == []
    assert machine.finished(2, 2) == [StartUnload("a")]


def test_7_a_wrong_prediction_evicts_all_then_loads() -> None:
    """A load that would run out of memory beside others has them all sent away first."""
    machine = scheduler()
    loaded(machine, need(1, "a", 2), need(2, "b", 2))
    actions = machine.submit(need(3, "c", 8, surprise=5 * GB), 1)
    assert actions == [StartUnload("a"), StartUnload("b")]
    assert machine.gone("a", 2) == []
    assert machine.gone("b", 2) == [StartLoad("c", 13 * GB)]


def test_8_alone_an_automatic_context_shrinks() -> None:
    """An automatic context is lowered until the model fits; a chosen one is not."""
    per_token = GB // 4096
    big = need(1, "a", 10, bytes_per_token=per_token, options=RunnerOptions(131072))
    machine = scheduler()
    machine.submit(big, 0)
    assert machine.loaded("a", 1) == [Grant(1, 4096)]
    chosen = need(1, "a", 10, bytes_per_token=per_token, options=RunnerOptions(131072, automatic_ctx=False))
    assert scheduler().submit(chosen, 0) == [Refuse(1, Refusal.TOO_LARGE)]


def test_8_too_large_or_out_of_memory() -> None:
    """What never fits is refused, by prediction or by surprise; host memory can take the rest."""
    assert scheduler().submit(need(1, "a", 17), 0) == [Refuse(1, Refusal.TOO_LARGE)]
    assert scheduler().submit(need(1, "a", 15, surprise=2 * GB), 0) == [Refuse(1, Refusal.OUT_OF_MEMORY)]
    machine = scheduler(host_memory=8 * GB)
    assert machine.submit(need(1, "a", 17), 0) == [StartLoad("a", 17 * GB)]
    assert (machine.used, machine.runners["a"].size) == (16 * GB, 17 * GB)


def test_full_queue_refuses() -> None:
    """Past the longest queue a request is refused at once; what is loaded still bypasses."""
    machine = scheduler(max_queue=1)
    machine.submit(need(1, "a", 9), 0)
    machine.submit(need(2, "b", 9), 0)
    assert machine.submit(need(3, "c", 9), 0) == [Refuse(3, Refusal.QUEUE_FULL)]
    machine.loaded("a", 1)
    assert not any(isinstance(action, Refuse) for action in machine.submit(need(4, "a", 9), 1))


def test_keep_alive_counts_from_the_last_request() -> None:
    """An idle model leaves after its keep-alive, not before, and a zero one at once."""
    machine = scheduler()
    loaded(machine, need(1, "a", keep_alive=10.0), now=5)
    assert machine.next_expiry() == 15
    assert machine.expire(14.9) == []
    assert machine.expire(15) == [StartUnload("a")]
    machine = scheduler()
    machine.submit(need(1, "a", keep_alive=0.0), 0)
    machine.loaded("a", 1)
    assert machine.finished(1, 2) == [StartUnload("a")]


def test_for_ever_never_expires() -> None:
    """A negative keep-alive has no expiry."""
    machine = scheduler()
    loaded(machine, need(1, "a", keep_alive=FOREVER))
    assert machine.next_expiry() is None
    assert machine.expire(1e12) == []


def test_unload_waits_for_the_running_request() -> None:
    """Unloading a busy model takes effect when it is idle; an unknown one does nothing."""
    machine = scheduler()
    loaded(machine, need(1, "a"))
    machine.submit(need(2, "a"), 1)
    assert machine.unload("a", 1) == []
    assert machine.finished(2, 2) == [StartUnload("a")]
    assert machine.resident() == []
    assert machine.used == 4 * GB
    machine.gone("a", 3)
    assert machine.used == 0
    assert machine.unload("b", 4) == []


def test_out_of_memory_while_running_expires_all() -> None:
    """Idle models leave at once, busy ones when their request ends."""
    machine = scheduler()
    loaded(machine, need(1, "a", 2), need(2, "b", 2))
    machine.submit(need(3, "b", 2), 1)
    assert machine.expire_all(1) == [StartUnload("a")]
    assert StartUnload("b") in machine.finished(3, 2)


def test_restart_forgets_and_refuses_who_waited() -> None:
    """After a restart nothing is resident and nobody waits."""
    machine = scheduler()
    machine.submit(need(1, "a", 9), 0)
    machine.submit(need(2, "b", 9), 0)
    assert {action.id for action in machine.restart() if isinstance(action, Refuse)} == {1, 2}
    assert (machine.used, len(machine.queue)) == (0, 0)
    assert machine.submit(need(3, "c"), 1) == [StartLoad("c", 4 * GB)]


def test_longest_expiry_is_listed_first() -> None:
    """The order of resident models is that of /api/ps."""
    machine = scheduler()
    loaded(machine, need(1, "a", 1, keep_alive=5.0), need(2, "b", 1, keep_alive=FOREVER), need(3, "c", 1))
    assert [runner.name for runner in machine.resident()] == ["b", "c", "a"]


# --- random traces


@dataclass
class World:
    """A discrete world around a scheduler: loads, unloads and requests end in a drawn order."""

    machine: Scheduler
    time: float = 0.0
    todo: list[tuple[str, str | int]] = field(default_factory=list)
    ended: dict[int, str] = field(default_factory=dict)

    def perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Grant():
                    assert action.id not in self.ended
                    self.todo.append(("finish", action.id))
                case Refuse():
                    assert action.id not in self.ended
                    self.ended[action.id] = action.reason.value
                case StartLoad():
                    self.todo.append(("loaded", action.weights))
                case StartUnload():
                    self.todo.append(("gone", action.weights))
        self.check()

    def check(self) -> None:
        machine = self.machine
        assert 0 <= machine.used <= machine.limits.memory
        assert len(machine.runners) <= machine.limits.max_loaded
        assert sum(runner.phase is Phase.LOADING for runner in machine.runners.values()) <= 1
        assert all(len(runner.active) <= machine.limits.num_parallel for runner in machine.runners.values())

    def step(self, pick: int) -> None:
        kind, subject = self.todo.pop(pick % len(self.todo))
        self.time += 1
        machine = self.machine
        if kind == "finish":
            assert isinstance(subject, int)
            self.ended[subject] = "served"
            self.perform(machine.finished(subject, self.time))
        else:
            event = machine.loaded if kind == "loaded" else machine.gone
            self.perform(event(str(subject), self.time))


sizes = {"a": 2, "b": 5, "c": 9, "d": 13, "e": 17, "f": 1}
arrivals = st.tuples(
    st.sampled_from(sorted(sizes)),
    st.sampled_from([4096, 8192, 32768]),
    st.booleans(),
    st.sampled_from([None, 0.0, 1.0, 30.0, FOREVER]),
    st.sampled_from([0, 0, 0, 2 * GB]),
)
events = st.one_of(
    arrivals,
    st.tuples(st.just("step"), st.integers(0, 50)),
    st.tuples(st.sampled_from(["unload", "expire", "cancel", "oom"]), st.integers(0, 50)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(events, max_size=40), st.integers(1, 3), st.integers(1, 3), st.integers(0, 50))
def test_random_traces_keep_memory_and_end_every_request(
    trace: list[tuple[object, ...]], parallel: int, most: int, pick: int
) -> None:
    """Memory is never exceeded, one load runs at a time, and each request is served, refused or given up."""
    world = World(scheduler(num_parallel=parallel, max_loaded=most, max_queue=6))
    submitted = 0
    for item in trace:
        if len(item) == 5:
            weights, ctx, automatic, keep_alive, surprise = item
            submitted += 1
            wanted = Need(
                id=submitted,
                weights=str(weights),
                name=str(weights),
                size=sizes[str(weights)] * GB,
                options=RunnerOptions(int(str(ctx)), automatic_ctx=bool(automatic)),
                bytes_per_token=100_000,
                keep_alive=keep_alive,  # type: ignore[arg-type] - drawn as object
                surprise=int(str(surprise)),
            )
            world.perform(world.machine.submit(wanted, world.time))
        else:
            _disturb(world, str(item[0]), int(str(item[1])), submitted)
    for _ in range(2000):
        if not world.todo:
            break
        world.step(pick)
    assert world.todo == []
    assert set(world.ended) == set(range(1, submitted + 1))
    assert not world.machine.queue


def _disturb(world: World, kind: str, number: int, submitted: int) -> None:
    machine = world.machine
    if kind == "step" and world.todo:
        world.step(number)
    elif kind == "unload":
        world.perform(machine.unload(sorted(sizes)[number % len(sizes)], world.time))
    elif kind == "expire":
        world.time += number
        world.perform(machine.expire(world.time))
    elif kind == "oom":
        world.perform(machine.expire_all(world.time))
    elif kind == "cancel" and submitted:
        request = number % submitted + 1
        running = ("finish", request) in world.todo
        if request not in world.ended and not running:
            world.ended[request] = "given up"
            world.perform(machine.finished(request, world.time))


@pytest.mark.parametrize("phase", ["queued", "loading", "running"])
def test_giving_up_leaves_nothing_behind(phase: str) -> None:
    """A request that is given up at any stage frees its place for the next."""
    machine = scheduler()
    machine.submit(need(1, "a", 9), 0)
    if phase == "queued":
        machine.submit(need(2, "b", 9), 0)
        machine.finished(2, 1)
        assert not machine.queue
    elif phase == "loading":
        assert machine.finished(1, 1) == []
    else:
        machine.loaded("a", 1)
        machine.finished(1, 2)
    machine.loaded("a", 3)
    machine.finished(1, 3)
    assert machine.runners["a"].idle
    assert machine.submit(need(9, "b", 9), 4) == [StartUnload("a")]
