"""Who leaves memory for whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.residency.policy import Candidate, LeastRegret, NoRoom, Tenant

POLICY = LeastRegret()


def victims(size, *tenants, budget=16):
    return POLICY.victims(Candidate("new", size), tenants, budget)


def test_nobody_leaves_when_it_fits():
    """With room enough, nobody goes."""
    assert victims(6, Tenant("a", 10)) == ()


def test_itself_does_not_count():
    """A model that is there already needs no room beside itself."""
    assert victims(10, Tenant("new", 10)) == ()


def test_never_a_busy_one():
    """A busy model stays, even where it would be the cheapest to evict."""
    assert victims(8, Tenant("small", 4, busy=True), Tenant("large", 10)) == ("large",)


def test_no_room_says_who_holds_it():
    """Without room for now, the answer has the figures and is not hopeless."""
    found = victims(8_000_000_000, Tenant("a", 10_000_000_000, busy=True), budget=16_000_000_000)
    assert found == NoRoom("new", 8_000_000_000, 16_000_000_000, 10_000_000_000)
    assert not found.hopeless
    assert str(found) == "'new' needs 7.5 GB of 14.9 GB, of which 9.3 GB are in use"


def test_hopeless_when_larger_than_everything():
    """A model above the budget never fits, whoever leaves."""
    assert victims(20, Tenant("a", 10)).hopeless


def test_fewest_bytes():
    """Of two ways to make room, the one that gives up fewer bytes."""
    assert victims(8, Tenant("a", 4), Tenant("b", 5), Tenant("c", 7), budget=18) == ("c",)
    assert set(victims(8, Tenant("a", 4), Tenant("b", 4), Tenant("c", 10), budget=18)) == {"a", "b"}


def test_what_is_needed_again_stays():
    """A larger model that nobody asks for leaves before a smaller one that is waited for."""
    assert victims(8, Tenant("wanted", 8, needs=3), Tenant("idle", 9), budget=20) == ("idle",)


def test_home_is_kept_when_possible():
    """The home model goes last, even where somebody needs the other, but it does go when nothing else helps."""
    home, guest = Tenant("home", 6, home=True), Tenant("guest", 7, needs=2)
    assert victims(5, home, guest, budget=16) == ("guest",)
    assert set(victims(16, home, guest, budget=16)) == {"home", "guest"}


def test_the_longest_unused_of_equals():
    """Of equal ones, the one unused for longest leaves."""
    assert victims(4, Tenant("new-ish", 8, last_used=9.0), Tenant("old", 8, last_used=1.0)) == ("old",)


def test_many_small_models_are_cleared_greedily():
    """With more idle models than can be tried in all sets, enough leave, and none for nothing."""
    crowd = [Tenant(f"m{i}", 1 + i % 3) for i in range(20)]
    budget = sum(tenant.size for tenant in crowd)
    gone = POLICY.victims(Candidate("new", 9), crowd, budget)
    freed = sorted(tenant.size for tenant in crowd if tenant.id in gone)
    assert sum(freed) >= 9
    assert sum(freed) - freed[0] < 9


TENANTS = st.lists(
    st.tuples(st.integers(1, 12), st.booleans(), st.integers(0, 3), st.integers(0, 5)), max_size=15
)


@given(TENANTS, st.integers(0, 20), st.integers(1, 40), st.booleans())
def test_always_enough_and_never_needless(rows, size, budget, home):
    """Whatever is asked: enough leaves, none busy, none that could have stayed; or the room is truly not there."""
    tenants = [
        Tenant(f"m{i}", row[0], row[1], row[2], float(row[3]), home=home and i == 0)
        for i, row in enumerate(rows)
    ]
    found = POLICY.victims(Candidate("new", size), tenants, budget)
    busy = sum(tenant.size for tenant in tenants if tenant.busy)
    if isinstance(found, NoRoom):
        assert busy + size > budget
        return
    by_name = {tenant.id: tenant for tenant in tenants}
    assert not any(by_name[name].busy for name in found)
    left = sum(tenant.size for tenant in tenants) - sum(by_name[name].size for name in found) + size
    assert left <= budget
    assert all(left + by_name[name].size > budget for name in found)
    assert POLICY.victims(Candidate("new", size), tenants, budget) == found


@pytest.mark.parametrize("count", [12, 13])
def test_both_ways_agree_on_equal_models(count):
    """Trying all sets and going one by one give the same answer where all are alike."""
    crowd = [Tenant(f"m{i:02}", 2, last_used=float(i)) for i in range(count)]
    assert POLICY.victims(Candidate("new", 5), crowd, 2 * count) == ("m00", "m01", "m02")
