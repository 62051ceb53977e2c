"""Who leaves memory for whom: a pure question, asked often and speculatively, so that it must not log."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

from coreto.residency.model import ModelId

#: Idle models up to which every combination is tried (4096); of more, the cheapest go one by one.
_EXACT = 12


@dataclass(frozen=True, slots=True)
class Candidate:
    """The model that needs room. ``size`` in bytes."""

    id: ModelId
    size: int


@dataclass(frozen=True, slots=True)
class Tenant:
    """A model in memory, as eviction sees it.

    ``size`` in bytes; ``busy``: may not go now (in use, or being loaded); ``needs``: calls that are waiting for it
    or announced; ``last_used`` in monotonic seconds; ``home``: the one that the machine belongs to.
    """

    id: ModelId
    size: int
    busy: bool = False
    needs: int = 0
    last_used: float = 0.0
    home: bool = False


@dataclass(frozen=True, slots=True)
class NoRoom:
    """There is no room, in bytes: ``needed`` of ``budget``, of which ``busy`` cannot be freed now."""

    model: ModelId
    needed: int
    budget: int
    busy: int

    @property
    def hopeless(self) -> bool:
        """Even an empty memory would be too small."""
        return self.needed > self.budget

    def __str__(self) -> str:
        held = f", of which {gigabytes(self.busy)} are in use" if self.busy and not self.hopeless else ""
        return f"{self.model!r} needs {gigabytes(self.needed)} of {gigabytes(self.budget)}{held}"


class EvictionPolicy(Protocol):
    """Chooses who leaves."""

    def victims(
        self, target: Candidate, resident: Sequence[Tenant], budget: int
    ) -> tuple[ModelId, ...] | NoRoom:
        """The models to unload so that ``target`` fits into ``budget`` bytes; none where it fits as it is.

        Never a busy one. Pure: equal questions get equal answers."""
        ...


class LeastRegret:
    """Evicts what will be missed least.

    Of all sets of idle models that free enough, the one with the least of, in this order: the home model; bytes
    of models that somebody will need again (each is a reload); bytes at all; then the one unused for longest.
    """

    __slots__ = ()

    def victims(
        self, target: Candidate, resident: Sequence[Tenant], budget: int
    ) -> tuple[ModelId, ...] | NoRoom:
        others = [tenant for tenant in resident if tenant.id != target.id]
        excess = sum(tenant.size for tenant in others) + target.size - budget
        if excess <= 0:
            return ()
        idle = [tenant for tenant in others if not tenant.busy]
        if sum(tenant.size for tenant in idle) < excess:
            busy = sum(tenant.size for tenant in others if tenant.busy)
            return NoRoom(target.id, target.size, budget, busy)
        chosen = _cheapest(idle, excess) if len(idle) <= _EXACT else _one_by_one(idle, excess)
        return tuple(tenant.id for tenant in chosen)


def _cheapest(idle: Sequence[Tenant], excess: int) -> tuple[Tenant, ...]:
    sets = (
        chosen
        for count in range(1, len(idle) + 1)
        for chosen in combinations(idle, count)
        if sum(tenant.size for tenant in chosen) >= excess
    )
    return min(sets, key=_regret)


def _one_by_one(idle: Sequence[Tenant], excess: int) -> tuple[Tenant, ...]:
    chosen: list[Tenant] = []
    freed = 0
    for tenant in sorted(idle, key=lambda tenant: _regret((tenant,))):
        if freed >= excess:
            break
        chosen.append(tenant)
        freed += tenant.size
    for tenant in reversed(chosen[:-1]):  # a large one that came last may have made a small one needless
        if freed - tenant.size >= excess:
            chosen.remove(tenant)
            freed -= tenant.size
    return tuple(chosen)


def _regret(chosen: Iterable[Tenant]) -> tuple[int, int, int, float, tuple[ModelId, ...]]:
    gone = tuple(chosen)
    return (
        sum(tenant.home for tenant in gone),
        sum(tenant.size for tenant in gone if tenant.needs),
        sum(tenant.size for tenant in gone),
        sum(tenant.last_used for tenant in gone),
        tuple(tenant.id for tenant in gone),
    )


def gigabytes(size: int) -> str:
    """``size`` bytes as people say it: 1 GB is 2**30, as in the settings."""
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.0f} MB"
