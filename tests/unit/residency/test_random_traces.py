"""Random traces of events: whatever happens, in whatever order, the promises hold."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from coreto.residency import turns
from coreto.residency.model import Hosted, LoadFailure, Observed, Outcome, Request, Rules, Step
from coreto.residency.scheduler import Scheduler

BUDGET = 16
MODELS = st.lists(st.tuples(st.integers(1, 15), st.integers(1, 2), st.booleans()), min_size=2, max_size=5)
PICK = st.integers(0, 10_000)


class Traces(RuleBasedStateMachine):
    """An engine and its callers, who do what the trace says, and check what the scheduler does to them."""

    @initialize(
        models=MODELS,
        home=st.booleans(),
        max_wait=st.sampled_from([5.0, 30.0, 200.0]),
        brake=st.integers(0, 4),
        calm=st.booleans(),
    )
    def begin(self, models, home, max_wait, brake, calm):
        hosted = [
            Hosted(f"m{i}", size, 4096, slots=slots, small_context=1024 if small else None, small_memory=size if small else None)
            for i, (size, slots, small) in enumerate(models)
        ]  # fmt: skip
        self.sizes = {model.id: model.memory for model in hosted}
        self.slots = {model.id: model.slots for model in hosted}
        self.calm = calm  # the engine does what it is told, and nobody else uses it
        self.now = 0.0
        self.timer = None
        self.memory = {}
        self.ready = set()
        self.loading = None
        self.leaving = set()
        self.waiting = {}
        self.running = {}
        self.ended = set()
        self.count = 0
        self.grown = False
        self.stopped = False
        rules = Rules(
            max_wait=max_wait,
            max_queue=20,
            brake_after=brake,
            return_after=10.0,
            hold=7.0,
            plan_ttl=40.0,
            bandwidth=1.0,
        )
        self.scheduler = Scheduler(hosted, BUDGET, self, rules=rules, home="m0" if home else None)

    # --- the port, with its checks

    def start_load(self, model, context):
        assert self.loading is None, "two loads at a time"
        assert model not in self.ready
        assert model not in self.leaving
        size = self.scheduler.house.entries[model].size
        others = sum(s for m, s in self.memory.items() if m != model)
        assert others + size <= BUDGET, f"{self.memory} and {model} of {size} GB"
        assert context == (1024 if self.scheduler.house.entries[model].small else 4096)
        self.memory[model] = size
        self.loading = model

    def start_unload(self, model):
        assert model in self.ready
        assert model not in self.models_in_use(), "a busy model was told to go"
        self.ready.discard(model)
        self.leaving.add(model)

    def grant(self, request, lease):
        assert lease.model in self.ready, "granted without its model in memory"
        number, model, _, gone = self.waiting.pop(request)
        assert model == lease.model
        if gone:
            self.ended.add(request)
            return False
        assert self.models_in_use().count(model) < self.slots[model]
        assert all(n > number for n, m, _, _ in self.waiting.values() if m == model), (
            "not in order of arrival"
        )
        limit = turns.bound(self.scheduler.house.view(self.now))
        for other, (n, m, behind, _) in self.waiting.items():
            in_the_way = m not in self.ready and self.need(m) + self.memory[model] > BUDGET
            assert not (n < number and in_the_way and behind > limit + 1e-3), (
                f"{request} was let ahead of {other}"
            )
        self.running[request] = (number, model)
        return True

    def reject(self, request, rejection):
        assert rejection.detail
        self.waiting.pop(request, None)
        assert request not in self.ended
        self.ended.add(request)

    def set_timer(self, at):
        self.timer = at

    def note(self, note):
        assert note.model

    # --- what happens

    def need(self, model):
        return self.scheduler.house.need(self.scheduler.house.entries[model])

    def models_in_use(self):
        return [model for _, model in self.running.values()]

    def let_pass(self, seconds):
        """Time, as each who waits spends it: behind later requests, or not."""
        for request, (number, model, behind, gone) in list(self.waiting.items()):
            later = [n for n, m in self.running.values() if m != model]
            if self.loading is not None and self.loading != model:
                later += [min((n for n, m, _, _ in self.waiting.values() if m == self.loading), default=0)]
            if max(later, default=0) > number and model not in self.ready:
                self.waiting[request] = (number, model, behind + seconds, gone)
        self.now += seconds

    @rule(which=PICK, spill=st.sampled_from([None, None, 0.0, 20.0]), plan=st.sampled_from([None, "p", "q"]))
    def ask(self, which, spill, plan):
        self.count += 1
        name, model = f"r{self.count}", f"m{which % len(self.sizes)}"
        self.waiting[name] = (self.count, model, 0.0, False)
        outcome = self.scheduler.on_request(Request(name, model, spill, plan), self.now)
        assert (outcome is Outcome.GRANTED) == (name in self.running)
        assert (outcome is Outcome.QUEUED) == (name in self.waiting)
        assert (outcome in (Outcome.SPILLED, Outcome.REJECTED)) == (name in self.ended)

    @rule(which=st.lists(PICK, min_size=2, max_size=6))
    def ask_many(self, which):
        for one in which:
            self.ask(one, None, None)

    @precondition(lambda self: self.waiting)
    @rule(which=PICK)
    def cancel(self, which):
        name = sorted(self.waiting)[which % len(self.waiting)]
        del self.waiting[name]
        self.ended.add(name)
        self.scheduler.on_cancel(name, self.now)

    @precondition(lambda self: self.waiting and not self.calm)
    @rule(which=PICK)
    def leave_without_a_word(self, which):
        name = sorted(self.waiting)[which % len(self.waiting)]
        self.waiting[name] = (*self.waiting[name][:3], True)

    @precondition(lambda self: self.running)
    @rule(which=PICK)
    def release(self, which):
        name = sorted(self.running)[which % len(self.running)]
        del self.running[name]
        self.ended.add(name)
        self.scheduler.on_released(name, self.now)
        if self.scheduler.house.doubts:  # as the runtime does
            self.observe_now()

    @precondition(lambda self: self.loading)
    @rule(grows=st.sampled_from([None, 0, 0, -1, 3]))
    def loaded(self, grows):
        model, self.loading = self.loading, None
        if grows is not None and not self.calm:
            self.memory[model] = max(1, self.memory[model] + grows)
            self.grown = self.grown or grows > 0
        self.ready.add(model)
        self.scheduler.on_loaded(model, None if grows is None or self.calm else self.memory[model], self.now)

    @precondition(lambda self: self.loading and not self.calm)
    @rule(failure=st.sampled_from([*LoadFailure, LoadFailure.OUT_OF_MEMORY]))
    def load_fails(self, failure):
        model, self.loading = self.loading, None
        del self.memory[model]
        self.scheduler.on_load_failed(model, failure, self.now)

    @precondition(lambda self: self.leaving)
    @rule(which=PICK)
    def unloaded(self, which):
        model = sorted(self.leaving)[which % len(self.leaving)]
        self.leaving.discard(model)
        del self.memory[model]
        self.scheduler.on_unloaded(model, self.now)

    @precondition(lambda self: self.leaving and not self.calm)
    @rule(which=PICK)
    def unload_fails(self, which):
        model = sorted(self.leaving)[which % len(self.leaving)]
        self.leaving.discard(model)
        self.ready.add(model)
        self.scheduler.on_unload_failed(model, self.now)

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 25.0]))
    def time_passes(self, seconds):
        end = self.now + seconds
        rings = 0
        while self.timer is not None and self.timer <= end:
            self.let_pass(max(self.timer - self.now, 0.0))
            self.timer = None
            self.scheduler.on_timer(self.now)
            rings += 1
            assert rings < 50, "the timer rings for ever"
        self.let_pass(max(end - self.now, 0.0))

    @rule(plan=st.sampled_from(["p", "q"]), steps=st.lists(st.tuples(PICK, st.integers(0, 3)), max_size=3))
    def announce(self, plan, steps):
        named = [Step(f"m{which % len(self.sizes)}", calls) for which, calls in steps]
        self.scheduler.on_announce(plan, named, self.now)

    @precondition(lambda self: not self.calm)
    @rule(keeps=st.booleans())
    def engine_restarts(self, keeps):
        """The engine forgets what is loaded; a load that is under way goes on. Running calls load theirs again."""
        self.ready.clear()
        self.leaving.clear()
        self.memory = {m: s for m, s in self.memory.items() if m == self.loading}
        self.scheduler.on_observed([], self.now)
        if keeps:
            for model in sorted(set(self.models_in_use()) - {self.loading} - self.ready):
                self.memory[model] = self.scheduler.house.entries[model].size
                self.ready.add(model)
            self.observe()

    @precondition(lambda self: not self.calm)
    @rule()
    def observe(self):
        """The engine lists what there is; nothing of it is news."""
        self.observe_now()

    def observe_now(self):
        listed = [Observed(model, self.memory[model]) for model in sorted(self.ready | self.leaving)]
        self.scheduler.on_observed(listed, self.now)

    # --- what always holds

    @invariant()
    def within_the_budget(self):
        if hasattr(self, "memory") and not self.grown:
            assert sum(self.memory.values()) <= BUDGET

    @invariant()
    def nobody_is_forgotten(self):
        if hasattr(self, "waiting"):
            known = {name for entry in self.scheduler.house.entries.values() for name in entry.queue}
            assert known == set(self.waiting)
            held = {name for entry in self.scheduler.house.entries.values() for name in entry.holders}
            assert held == set(self.running)

    def teardown(self):
        """From any state, an engine that works brings every request to its end."""
        if not hasattr(self, "waiting"):
            return
        for _ in range(400):
            over = sum(self.memory.values()) > BUDGET
            if not (self.waiting or self.running or self.loading or self.leaving or over):
                break
            if self.loading:
                self.let_pass(1.0)
                self.loaded(None)
            elif self.leaving:
                self.unloaded(0)
            elif self.running:
                self.let_pass(1.0)
                self.release(0)
            else:
                self.time_passes(25.0)
        assert not self.waiting, f"{self.waiting} wait for ever"
        assert len(self.ended) == self.count
        assert sum(self.memory.values()) <= BUDGET


OPTIONS = {"deadline": None, "suppress_health_check": list(HealthCheck), "stateful_step_count": 60}


def test_random_traces():
    """Budget, residency, order, the bound and progress hold in a few hundred traces."""
    run_state_machine_as_test(Traces, settings=settings(max_examples=250, **OPTIONS))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_random_traces_at_length():
    """The same in thousands of traces."""
    run_state_machine_as_test(Traces, settings=settings(max_examples=3_000, **OPTIONS))
