"""A run that is killed at any step, and one that is left at any moment."""

import asyncio

import pytest

from coreto.crews.commander.crew import Commander
from coreto.crews.commander.state import CommanderResult
from coreto.durable import InlineDurable
from coreto.errors import AuthError, CallError
from coreto.testing.provider import Say

PLAIN = "What is the capital of France?"
BOTH = "Plan a complex task and then run the code it needs"
PLAN = "Analise e planeje uma solução"


class KilledError(BaseException):
    """The process ends here."""


class Mortal(InlineDurable):
    """Dies before or after the step of that number; ``names`` are the steps that were really done."""

    def __init__(self, results, at, *, after):
        super().__init__()
        self.results = results
        self.names = []
        self._at, self._after = at, after
        self._count = 0

    async def step(self, name, work):
        self._count += 1
        if self._count == self._at and not self._after:
            raise KilledError
        if name not in self.results:
            self.names.append(name)
        result = await super().step(name, work)
        if self._count == self._at and self._after:
            raise KilledError
        return result


def scripts_of(block, plan):
    """A mixed request with a step to mend, files, words and a failure."""
    return {
        "brain": [
            plan(("code", "write"), ("execution", "read"), ("ui", "draw"), ("conversation", "tell")),
            "Seven.",
        ],
        "executor": [
            block("print(1/0)"),
            block("open('a.txt', 'w').write('7')"),
            "no code",
            block("print(open('a.txt').read())"),
        ],
        "ui": ["<b>7</b>"],
    }


class Story:
    """One run over scripted models, continued after each death. ``role`` scripts go on where they were."""

    def __init__(self, bench, scripts):
        self.crew = bench(scripts)
        self.results = {}
        self.done = []
        self.logged = []

    def live(self, text, at=0, *, after=False):
        """The result, or ``None`` when it died; a model or a sandbox is not asked twice for one step."""
        durable = Mortal(self.results, at, after=after)
        commander = Commander(
            self.crew.models,
            sandbox=self.crew.commander._crew.tool._run,
            durable=lambda _: durable,
            clock=self.crew.commander._crew.clock,
        )
        try:
            return asyncio.run(commander.result(text, run="r"))
        except KilledError:
            return None
        finally:
            self.done += durable.names
            self.logged += durable.events


def shown(result):
    """All of a result that does not depend on the clock."""
    return {**result.as_json(), "seconds": 0}


@pytest.mark.parametrize("text", [PLAIN, PLAN, BOTH])
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_every_step(bench, block, plan, text, after):
    """Whatever step it dies at, a continued run does no finished step again and comes to the same result."""
    whole = Story(bench, scripts_of(block, plan))
    wanted = whole.live(text)
    assert len(set(whole.done)) == len(whole.done)
    for at in range(1, len(whole.done) + 1):
        story = Story(bench, scripts_of(block, plan))
        assert story.live(text, at, after=after) is None
        assert shown(story.live(text)) == shown(wanted)
        assert story.done == whole.done
        assert story.crew.models.roles() == whole.crew.models.roles()
        assert len(story.crew.trusting.jobs) == len(whole.crew.trusting.jobs)
        assert story.logged == whole.logged
        assert story.crew.models.announced[-1] == ("r", ())


def test_killed_all_along_the_way(bench, block, plan):
    """A run that dies at each of its steps in turn comes to its end."""
    whole = Story(bench, scripts_of(block, plan))
    wanted = whole.live(BOTH)
    story = Story(bench, scripts_of(block, plan))
    for at in range(1, len(whole.done) + 1):
        assert story.live(BOTH, at, after=True) is None
    assert shown(story.live(BOTH)) == shown(wanted)
    assert story.done == whole.done


def test_step_results_are_json(bench, block, plan):
    """What an engine must keep is plain JSON."""
    story = Story(bench, scripts_of(block, plan))
    story.live(BOTH)

    def plain(value):
        match value:
            case None | bool() | int() | float() | str():
                return True
            case list():
                return all(map(plain, value))
            case dict():
                return all(isinstance(key, str) and plain(item) for key, item in value.items())
        return False

    assert all(map(plain, story.results.values()))
    assert {"decide", "plan", "step-1/write-1", "step-1/run-1", "step-1/write-2", "step-1/run-2"} <= set(
        story.results
    )
    assert {"step-2/write-1", "step-2/write-1/again", "step-2/run-1", "step-3/say", "step-4/say"} <= set(
        story.results
    )


def test_a_failure_is_a_result_too(bench):
    """A call that failed is not made again by a continued run: the run has ended with it."""
    story = Story(bench, {"brain": [AuthError("no key"), "Paris"]})
    with pytest.raises(AuthError, match="no key"):
        story.live(PLAIN)
    with pytest.raises(CallError, match="no key"):
        story.live(PLAIN)
    assert len(story.crew.models.calls) == 1


def test_the_log_tells_the_answer_once(bench, block, plan):
    """The durable log holds the whole answer in its content events, and ends with the result."""
    story = Story(bench, scripts_of(block, plan))
    result = story.live(BOTH)
    content = "".join(event["content"] for event in story.logged if event["type"] == "content")
    assert content.rstrip() == result.text
    assert story.logged[-1]["type"] == "complete"
    assert CommanderResult.from_json(story.logged[-1]["params"]) == result


class Turns:
    """Counts the turns of the event loop that a coroutine takes, and cancels it at one of them."""

    def __init__(self, at):
        self.at, self.taken = at, 0

    async def play(self, work):
        task = asyncio.ensure_future(work)
        while not task.done():
            if self.taken == self.at:
                task.cancel()
            self.taken += 1
            await asyncio.sleep(0)
        return task


@pytest.mark.parametrize("text", [PLAIN, BOTH])
def test_cancelled_at_every_await(bench, block, plan, text):
    """Cancelled at any turn, a run leaves no call open, and says that its plan is over."""
    at, ended = 0, False
    while not ended:
        crew = bench(scripts_of(block, plan))

        async def whole(crew=crew, at=at):
            task = await Turns(at).play(crew.commander.result(text, run="r"))
            assert len(asyncio.all_tasks()) == 1
            return task

        task = asyncio.run(whole())
        ended = not task.cancelled()
        assert crew.models.leaks == 0
        announced = crew.models.announced
        assert not announced or announced[-1][1] == ()
        at += 1
    assert at > 5


def test_left_in_the_middle(bench, block, plan):
    """Who stops reading ends the run."""
    crew = bench(scripts_of(block, plan))

    async def read(count):
        async with crew.commander.run(BOTH, run="r") as events:
            async for _ in events:
                count -= 1
                if not count:
                    break
        assert len(asyncio.all_tasks()) == 1

    for count in (1, 3, 7, 12):
        asyncio.run(read(count))
        assert crew.models.leaks == 0
        assert crew.models.announced[-1] == ("r", ())


def test_never_read(bench, block, plan):
    """Who does not read at all leaves nothing behind either."""
    crew = bench(scripts_of(block, plan))

    async def leave():
        async with crew.commander.run(BOTH):
            await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(leave())
    assert crew.models.leaks == 0


def test_several_at_a_time(bench):
    """One commander does several runs at once, each with its own answer."""
    crew = bench({"brain": [lambda call: Say(call.body["messages"][-1]["content"])]})

    async def all_of_them():
        asked = [crew.commander.result(f"What is the capital of {n}?") for n in "abc"]
        return await asyncio.gather(*asked)

    texts = [result.text for result in asyncio.run(all_of_them())]
    assert texts == [f"What is the capital of {n}?" for n in "abc"]
