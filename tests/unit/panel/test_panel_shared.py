"""Identical questions share one panel; later ones get what it came to."""

import asyncio

import pytest
from panel_house import HANGS, House, passing, settle

from coreto.errors import CallError
from coreto.labels import Label
from coreto.panel.model import Answer, Specialist
from coreto.panel.panel import Panel
from coreto.panel.policy import Rules
from coreto.panel.shared import Question, Served, SharedPanel, in_place

ASKED = Question({"host": "a"})


def shared(house: House, rules: Rules | None = None, **options) -> SharedPanel:
    return SharedPanel(in_place(house.panel(rules)), house.clock, **options)


def told(served: Served) -> tuple:
    return served.cached, served.shared, served.age


def test_a_hundred_at_once_are_one_panel(house: House) -> None:
    """A hundred identical calls: five specialists are asked once each, and everybody gets the same."""
    panels = shared(house)

    async def main():
        asking = (panels.ask(ASKED) for _ in range(100))
        return await passing(house.clock, asyncio.gather(*asking))

    served = asyncio.run(main())
    assert len(house.asked) == 5
    assert len(house.drafts) == 1
    assert house.clock.monotonic() <= 7.5
    assert len({id(one.result) for one in served}) == 1
    assert [one.shared for one in served] == [False, *[True] * 99]


def test_a_repeated_call_is_remembered(house: House) -> None:
    """A second call comes from memory at once, with its age; after its time, or when it is too old for the caller, a new
    panel is held."""
    panels = shared(house, ttl=300.0)

    async def main():
        first = await passing(house.clock, panels.ask(ASKED))
        house.clock.move(100.0)
        again = await panels.ask(ASKED)  # nobody moves the clock
        younger = await passing(house.clock, panels.ask(ASKED, max_age=60.0))
        house.clock.move(300.0)
        later = await passing(house.clock, panels.ask(ASKED))
        return first, again, younger, later

    first, again, younger, later = asyncio.run(main())
    assert told(first) == told(younger) == told(later) == (False, False, 0.0)
    assert told(again)[:2] == (True, False)
    assert 100.0 <= again.age <= 101.0
    assert again.result is first.result
    assert len(house.asked) == 15
    assert again.as_json()["cached"]


def test_fresh_opts_out(house: House) -> None:
    """A fresh panel is held whatever is remembered or under way; what it comes to is remembered for the others."""
    panels = shared(house)

    async def main():
        await passing(house.clock, panels.ask(ASKED))
        both = asyncio.gather(panels.ask(ASKED, fresh=True), panels.ask(ASKED, fresh=True))
        fresh = await passing(house.clock, both)
        return fresh, await panels.ask(ASKED)

    fresh, after = asyncio.run(main())
    assert [told(one) for one in fresh] == [(False, False, 0.0)] * 2
    assert len(house.asked) == 15
    assert after.cached
    assert after.result in [one.result for one in fresh]


@pytest.mark.parametrize("options", [{"ttl": 0.0}, {"most": 0}])
def test_without_memory(house: House, options) -> None:
    """Nothing is remembered; who asks at the same time still shares."""
    panels = shared(house, **options)

    async def main():
        await passing(house.clock, asyncio.gather(panels.ask(ASKED), panels.ask(ASKED)))
        return await passing(house.clock, panels.ask(ASKED))

    assert told(asyncio.run(main())) == (False, False, 0.0)
    assert len(house.asked) == 10


def test_the_least_recently_used_is_forgotten(house: House) -> None:
    """There is room for so many; to be asked for keeps a result in."""
    panels = shared(house, most=2)
    a, b, c = (Question({"host": name}) for name in "abc")

    async def main():
        for question in (a, b, a, c):
            await passing(house.clock, panels.ask(question))
        house.asked.clear()
        await panels.ask(a)
        await panels.ask(c)
        assert house.asked == []
        panels.forget(a)
        await passing(house.clock, panels.ask(a))
        panels.forget()
        await passing(house.clock, panels.ask(c))

    asyncio.run(main())
    assert len(house.asked) == 10


@pytest.mark.parametrize("fault", ["required", "consolidation", "few"])
def test_what_lacks_something_is_not_remembered(house: House, fault) -> None:
    """A degraded result is given to those who wait for it, and to nobody later."""
    question = ASKED
    if fault == "required":
        house.acting(cpu=CallError("no"))
        question = Question(ASKED.request, required=("cpu",))
    elif fault == "consolidation":
        house.consolidation_error = CallError("no")
    else:
        question = Question(ASKED.request, only=("cpu",))
    panels = shared(house)

    async def main():
        await passing(house.clock, panels.ask(question))
        asked = len(house.asked)
        again = await passing(house.clock, panels.ask(question))
        return asked, again

    asked, again = asyncio.run(main())
    assert not again.cached
    assert len(house.asked) == 2 * asked


def test_a_more_private_answer_is_not_remembered(house: House) -> None:
    """What turns out to be private is given to who has asked, and kept for nobody."""

    async def ask(seat, request):
        return Answer("secret", label=Label.PRIVATE)

    members = [Specialist(str(n), ask) for n in range(3)]
    panels = SharedPanel(in_place(Panel("p", members, house.consolidate, clock=house.clock)), house.clock)

    async def main():
        for label in (Label.INTERNAL, Label.PRIVATE):
            question = Question({}, label)
            await passing(house.clock, panels.ask(question))
            yield (await passing(house.clock, panels.ask(question))).cached

    async def collect():
        return [cached async for cached in main()]

    assert asyncio.run(collect()) == [False, True]


def test_who_shares() -> None:
    """Public results are everybody's, internal ones a tenant's, private ones a user's; whatever changes the answer changes
    the key."""

    def key(label: Label, tenant: str | None, user: str | None, **options) -> str:
        return Question({"a": 1, "b": 2}, label, tenant, user, **options).key

    public = {key(Label.PUBLIC, tenant, user) for tenant in ("x", "y") for user in ("u", "v")}
    internal = {key(Label.INTERNAL, tenant, user) for tenant in ("x", "y") for user in ("u", "v")}
    private = {key(Label.PRIVATE, tenant, user) for tenant in ("x", "y") for user in ("u", "v")}
    assert [len(keys) for keys in (public, internal, private)] == [1, 2, 4]
    assert len(public | internal | private) == 7
    usual = key(Label.INTERNAL, None, None)
    assert usual == Question({"b": 2, "a": 1}).key
    others = [{"version": "2"}, {"required": ("a",)}, {"only": ()}, {"only": ("a",)}]
    assert len({usual, *(key(Label.INTERNAL, None, None, **other) for other in others)}) == 5


def test_who_begins_may_leave(house: House) -> None:
    """The panel goes on for those who joined; when the last one leaves, it has ended."""
    panels = shared(house)

    async def main():
        first, second = (asyncio.ensure_future(panels.ask(ASKED)) for _ in range(2))
        await settle()
        first.cancel()
        await settle()
        assert house.open == 5
        served = await passing(house.clock, second)
        assert first.cancelled()
        third = asyncio.ensure_future(panels.ask(ASKED, fresh=True))
        await settle()
        third.cancel()
        with pytest.raises(asyncio.CancelledError):
            await third
        assert house.open == 0
        assert len(asyncio.all_tasks()) == 1
        return served

    assert asyncio.run(main()).shared


def test_early_results_while_the_panel_goes_on(house: House) -> None:
    """Who takes the first result leaves at the quorum; the panel goes on for the memory, and is ended by `close`."""
    house.acting(cpu=20.0)
    panels = shared(house)

    async def main():
        early = await passing(house.clock, panels.ask(ASKED, early=True))
        at = house.clock.monotonic()
        joined, last = await passing(
            house.clock, asyncio.gather(panels.ask(ASKED, early=True), panels.ask(ASKED))
        )
        after = await panels.ask(ASKED, early=True)
        house.acting(cpu=HANGS)
        await passing(house.clock, panels.ask(ASKED, early=True, fresh=True))
        assert house.open == 1
        await panels.close()
        assert house.open == 0
        assert len(asyncio.all_tasks()) == 1
        return at, early, joined, last, after

    at, early, joined, last, after = asyncio.run(main())
    assert at < 8.0
    assert not early.result.final
    assert (joined.shared, joined.result) == (True, early.result)
    assert last.result.final
    assert last.result.quality == "excellent"
    assert (after.cached, after.result) == (True, last.result)


def test_errors_go_to_everybody(house: House) -> None:
    """What a panel raises, its run being broken, everybody gets; the next call begins a new one."""
    panel = house.panel()
    broken = [CallError("the store is down")]

    class Run:
        async def step(self, name, work):
            if broken:
                raise broken[0]
            return await work()

        async def emit(self, event) -> None:
            raise AssertionError(event)

        async def wait_signal(self, name, *, within=None):
            raise AssertionError(name)

    panels = SharedPanel(lambda question: panel.results(Run(), question.request), house.clock)

    async def main():
        asking = (panels.ask(ASKED) for _ in range(3))
        failures = await asyncio.gather(*asking, return_exceptions=True)
        broken.clear()
        return failures, await passing(house.clock, panels.ask(ASKED))

    failures, served = asyncio.run(main())
    assert [str(failure) for failure in failures] == ["the store is down"] * 3
    assert served.result.final
