"""A scheduler with effects that a test looks at."""

import pytest

from coreto.residency.model import Hosted, Request, Rules
from coreto.residency.scheduler import Scheduler

GB = 10**9
BRAIN = Hosted("brain", 13 * GB, context=8192)
EXECUTOR = Hosted("executor", 9 * GB, context=4096)
TINY = Hosted("tiny", 1 * GB)


class Effects:
    """Notes what the scheduler does. ``gone``: requests whose callers have left without a word."""

    def __init__(self):
        self.done = []
        self.granted = {}
        self.rejected = {}
        self.timer = None
        self.notes = []
        self.gone = set()

    def start_load(self, model, context):
        self.done.append(("load", model, context))

    def start_unload(self, model):
        self.done.append(("unload", model))

    def grant(self, request, lease):
        if request in self.gone:
            return False
        self.granted[request] = lease
        self.done.append(("grant", request))
        return True

    def reject(self, request, rejection):
        self.rejected[request] = rejection
        self.done.append(("reject", request))

    def set_timer(self, at):
        self.timer = at

    def note(self, note):
        self.notes.append(note)

    def take(self):
        """What was done since the last time."""
        done, self.done = self.done, []
        return done


class Bench:
    """A scheduler, its effects, and a hand on its clock."""

    def __init__(self, *models, budget=16 * GB, home=None, **rules):
        self.effects = Effects()
        self.scheduler = Scheduler(
            models or (BRAIN, EXECUTOR), budget, self.effects, rules=Rules(**rules), home=home
        )
        self.house = self.scheduler.house
        self.now = 0.0

    def take(self):
        return self.effects.take()

    def ask(self, name, model, **options):
        return self.scheduler.on_request(Request(name, model, **options), self.now)

    def release(self, name):
        self.scheduler.on_released(name, self.now)

    def cancel(self, name):
        self.scheduler.on_cancel(name, self.now)

    def loaded(self, model, size=None):
        self.scheduler.on_loaded(model, size, self.now)

    def unloaded(self, model):
        self.scheduler.on_unloaded(model, self.now)

    def failed(self, model, failure, detail=""):
        self.scheduler.on_load_failed(model, failure, self.now, detail)

    def announce(self, plan, *steps):
        self.scheduler.on_announce(plan, steps, self.now)

    def observe(self, *listed):
        self.scheduler.on_observed(listed, self.now)

    def wait(self, seconds):
        """Let time pass; the timer rings when it is due."""
        end = self.now + seconds
        while self.effects.timer is not None and self.effects.timer <= end:
            self.now, self.effects.timer = max(self.now, self.effects.timer), None
            self.scheduler.on_timer(self.now)
        self.now = end

    def bring(self, model):
        """Have ``model`` in memory, idle."""
        self.ask(f"for {model}", model)
        self.loaded(model)
        self.wait(1.0)
        self.release(f"for {model}")
        self.take()


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def make_bench():
    return Bench
