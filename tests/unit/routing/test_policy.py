"""Who is asked, in which order: decisions over every kind of standing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.labels import Label
from coreto.messages import PREFERENCES
from coreto.providers.catalog import Deployment
from coreto.routing.policy import Standing, View, Wanted, decide


def at(name, *, local=False, **more):
    provider = name.partition("/")[0]
    return Deployment(
        name, provider, name.partition("/")[2], local=local, account=provider, endpoint=provider, **more
    )


CLOUD = at("cloud/big")
OTHER = at("other/medium")
HOME = at("home/good", local=True)
TINY = at("embedded/tiny", local=True, small=True)
CHAIN = (CLOUD, OTHER, HOME, TINY)


def order(wanted, chain=CHAIN, **standings):
    named = {one.id: standings[one.provider] for one in chain if one.provider in standings}
    return [name.partition("/")[0] for name in decide(wanted, chain, View(named)).order]


NOTHING_KNOWN = View()


def reasons(wanted, chain=CHAIN, view=NOTHING_KNOWN):
    return dict(decide(wanted, chain, view).dropped)


def test_the_chain_is_kept_as_written():
    """Without a preference nothing is ranked, whatever is known."""
    scarce = Standing(headroom=0.0, nusd=10**9, latency_ms=9e9, blocked="rate: too many")
    assert order(Wanted(), cloud=scarce) == ["cloud", "other", "home", "embedded"]


@pytest.mark.parametrize(
    ("prefer", "wanted"),
    [
        ("local", ["home", "cloud", "other", "embedded"]),
        ("cloud", ["cloud", "other", "home", "embedded"]),
        ("cheap", ["home", "other", "cloud", "embedded"]),
        ("fast", ["other", "home", "cloud", "embedded"]),
    ],
)
def test_preferences(prefer, wanted):
    """Each preference ranks by its own figure; what is not known comes after what is, the tiny model last."""
    figures = {
        "cloud": Standing(nusd=None, latency_ms=None),
        "other": Standing(nusd=500, latency_ms=80.0),
        "home": Standing(nusd=0, latency_ms=300.0),
        "embedded": Standing(nusd=0, latency_ms=1.0),
    }
    assert order(Wanted(prefer=prefer), **figures) == wanted


def test_an_account_that_runs_out_is_spared():
    """With next to nothing left of its allowance a deployment goes behind its equals."""
    assert order(Wanted(prefer="cloud"), cloud=Standing(headroom=0.01)) == [
        "other", "home", "cloud", "embedded",
    ]  # fmt: skip
    assert order(Wanted(prefer="cloud"), cloud=Standing(headroom=0.5))[0] == "cloud"


def test_private_data_stays():
    """No preference brings private data to a deployment off this machine, unless it leaves as placeholders."""
    for prefer in PREFERENCES:
        private = Wanted(label=Label.PRIVATE, prefer=prefer)
        assert order(private) == ["home", "embedded"]
        assert set(reasons(private).values()) == {"private data stays on this machine"}
    assert len(order(Wanted(label=Label.PRIVATE, masked=True))) == 4


def test_what_surely_does_not_fit_is_dropped():
    """A prompt that is far beyond a window is not sent there; a fixed window goes before the model's own."""
    small = at("home/small", local=True, context=4_096)
    assert reasons(Wanted(tokens=10_000), (small, CLOUD)) == {
        "home/small": "a prompt of about 10000 tokens does not fit a window of 4096"
    }
    assert reasons(Wanted(tokens=5_000), (small, CLOUD)) == {}  # an estimate: the server decides
    fixed = View(windows={"cloud/big": 2_048})
    assert list(reasons(Wanted(tokens=5_000), (CLOUD, HOME), fixed)) == ["cloud/big"]


def test_what_cannot_do_it_is_dropped():
    """A model whose abilities are known must have those that are needed; of others nothing is assumed."""
    chat = at("home/chat", local=True, capabilities=frozenset({"completion"}))
    able = at("home/able", local=True, capabilities=frozenset({"completion", "tools", "vision"}))
    wanted = Wanted(needs=frozenset({"tools", "vision"}))
    assert reasons(wanted, (chat, able, CLOUD)) == {"home/chat": "it has no tools and no vision"}


def test_a_spent_budget_leaves_what_is_free():
    """A limit that is reached drops what costs, with the limit's own words."""
    spent = Standing(unaffordable="the monthly limit is reached")
    view = View({"cloud/big": spent, "other/medium": spent})
    decision = decide(Wanted(), CHAIN, view)
    assert decision.order == ("home/good", "embedded/tiny")
    assert set(dict(decision.dropped).values()) == {"the monthly limit is reached"}


def test_every_choice_is_explained():
    """Kept or dropped, each deployment has a reason in words; what is out of service says so, and stays."""
    view = View({"cloud/big": Standing(blocked="timeout: circuit open", latency_ms=812.4, nusd=123_000)})
    decision = decide(Wanted(label=Label.PRIVATE, masked=True), CHAIN, view)
    shown = {choice.deployment.id: choice.as_json() for choice in decision.choices}
    assert shown["cloud/big"] == {
        "deployment": "cloud/big",
        "local": False,
        "kept": True,
        "reason": "in the cloud, private data as placeholders, about $0.000123, 812 ms seen, "
        "out of service for now (timeout: circuit open)",
    }
    assert all(choice["reason"] for choice in shown.values())


_STANDINGS = st.builds(
    Standing,
    blocked=st.none() | st.just("x: y"),
    unaffordable=st.none() | st.just("limit"),
    latency_ms=st.none() | st.floats(0, 1e6),
    nusd=st.none() | st.integers(0, 10**12),
    headroom=st.none() | st.floats(0, 1),
)


@given(
    st.permutations(CHAIN),
    st.dictionaries(st.sampled_from([one.id for one in CHAIN]), _STANDINGS),
    st.sampled_from(PREFERENCES),
    st.sampled_from(list(Label)),
    st.integers(0, 10**6),
)
def test_decisions_lose_nobody_and_leak_nothing(chain, standings, prefer, label, tokens):
    """Every deployment is kept once or dropped once with a reason; private data never goes off the machine;
    the same question gets the same answer."""
    wanted = Wanted(label=label, tokens=tokens, prefer=prefer)
    decision = decide(wanted, chain, View(standings))
    names = [choice.deployment.id for choice in decision.choices]
    assert sorted(names) == sorted(one.id for one in chain)
    assert all(choice.reason for choice in decision.choices)
    kept = [choice.deployment for choice in decision.choices if choice.kept]
    assert label < Label.PRIVATE or all(one.local for one in kept)
    assert decide(wanted, chain, View(standings)) == decision
    if prefer == "local":
        ranks = [(one.small, _scarce(standings, one), not one.local) for one in kept]
        assert ranks == sorted(ranks)


def _scarce(standings, deployment):
    headroom = standings.get(deployment.id, Standing()).headroom
    return (math.inf if headroom is None else headroom) < 0.05
