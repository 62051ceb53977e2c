"""How long a request would wait, so that the gateway can go to the cloud when that is longer than it may."""

from coreto.residency import turns
from coreto.residency.model import ModelId
from coreto.residency.state import Entry, House, Phase


def predicted_wait(house: House, model: ModelId, view: turns.View, coming: int = 0) -> float:
    """Seconds until a request for ``model`` that came now would start; infinite where the host lacks the model.
    ``coming``: others for it that the house does not know of yet, less those that have ended.

    The sum of: what runs and waits for the model already; where it is not in memory, its load; before that, the
    turns of those who have the memory now and of those who wait for longer, each no longer than a turn may be.
    """
    entry = house.entries.get(model)
    if entry is None:
        return float("inf")
    own = _queued(house, entry, coming)
    if entry.phase is Phase.READY:
        return own + _turns_before(house, entry, view) if _is_barred(view, entry) else own
    loading = next((e for e in house.entries.values() if e.phase is Phase.LOADING), None)
    if loading is not None:
        passed = view.now - loading.moving_since
        left = max(house.rates.load_seconds(loading.hosted.id, loading.size) - passed, 0.0)
        if loading is entry:
            return left + own
        own += left
    before = max(_turns_before(house, entry, view), _brake(house, entry, view))
    return own + before + house.load_seconds(entry)


def _queued(house: House, entry: Entry, coming: int = 0) -> float:
    """Seconds of work that is before a new request of the same model."""
    service = house.rates.service_seconds(entry.hosted.id)
    before = len(entry.queue) + len(entry.holders) + coming - (entry.hosted.slots - 1)
    return max(before, 0) * service / entry.hosted.slots


def _turns_before(house: House, entry: Entry, view: turns.View) -> float:
    """Seconds until those who compete for the memory have had their turns."""
    limit = turns.bound(view)
    arrived = entry.head.arrived if entry.head else view.now
    total = 0.0
    for other in house.entries.values():
        if other is entry or _fit_together(house, entry, other):
            continue
        waits_longer = other.head is not None and other.head.arrived <= arrived
        if other.phase in (Phase.READY, Phase.LOADING) or waits_longer:
            total += min(_queued(house, other), limit)
            if other.phase not in (Phase.READY, Phase.LOADING):
                total += house.load_seconds(other)
    return total


def _brake(house: House, entry: Entry, view: turns.View) -> float:
    """Seconds that the brake would hold the switch back."""
    leaving = [
        o for o in house.entries.values() if o.phase is Phase.READY and not _fit_together(house, entry, o)
    ]
    if not leaving or entry is house.entries.get(house.target or ""):
        return 0.0
    price = house.load_seconds(entry) + sum(house.load_seconds(other) for other in leaving)
    waited = view.now * len(entry.queue) - entry.arrived_sum
    return turns.brake_seconds(view, price, waited, len(entry.queue) + 1)


def _fit_together(house: House, one: Entry, other: Entry) -> bool:
    size = other.size or house.need(other)
    return (one.size or house.need(one)) + size <= house.budget


def _is_barred(view: turns.View, entry: Entry) -> bool:
    return any(queue.model != entry.hosted.id for queue in turns.due(view))
