"""A commander over scripted models and a sandbox that trusts, with everything that it told."""

import asyncio
from functools import partial

import orjson
import pytest

from coreto.crews.commander.crew import Commander
from coreto.crews.commander.state import CommanderResult
from coreto.testing.clock import VirtualClock
from coreto.testing.models import ScriptedModels
from coreto.testing.sandbox import TrustingSandbox
from coreto.tools.sandbox import run_python


def block(code):
    """A model's answer with ``code`` in it."""
    return f"Sure:\n```python\n{code}\n```\nDone."


def plan(*steps, title="A plan"):
    """A planner's answer: (kind, text) pairs."""
    return orjson.dumps(
        {"title": title, "steps": [{"kind": kind, "text": text} for kind, text in steps]}
    ).decode()


class Bench:
    """``ask`` runs a request to its end; ``events`` and ``result`` are of the last one."""

    def __init__(self, scripts=None, *, sandbox=None, models=None, trusting=None, **options):
        self.trusting = trusting or TrustingSandbox()
        fake = {key: options.pop(key) for key in ("labels", "costs", "deaf") if key in options}
        self.models = models or ScriptedModels(scripts, clock=VirtualClock(skipping=True), **fake)
        self.commander = Commander(
            self.models,
            sandbox=sandbox or partial(run_python, sandbox=self.trusting),
            clock=VirtualClock(skipping=True),
            **options,
        )
        self.events = []
        self.result = None

    def ask(self, text, **options):
        """The result of a request; ``None`` if it ended with an error."""
        return asyncio.run(self.asked(text, **options))

    async def asked(self, text, **options):
        self.events, self.result = [], None
        async with self.commander.run(text, **options) as events:
            async for event in events:
                self.events.append(event)
        last = self.events[-1]
        assert last.type in {"complete", "error"}
        assert all(event.type not in {"complete", "error"} for event in self.events[:-1])
        assert self.models.leaks == 0
        assert not self.models.announced or self.models.announced[-1][1] == ()
        if last.type == "complete":
            self.result = CommanderResult.from_json(last.params)
        return self.result

    def told(self, kind):
        """The events of one type."""
        return [event for event in self.events if event.type == kind]

    @property
    def content(self):
        """The answer as it was told."""
        return "".join(event.content for event in self.told("content"))

    def prompt(self, number):
        """The last message of the call of that number."""
        return self.models.calls[number].body["messages"][-1]["content"]


@pytest.fixture
def bench():
    """Makes a commander: ``bench({"brain": [...]})``."""
    return Bench


@pytest.fixture(name="block")
def _block():
    return block


@pytest.fixture(name="plan")
def _plan():
    return plan
