"""So much at once: places that are taken and given back, with a queue before them."""

import asyncio
from collections import deque


class Places:
    """``most`` places; who finds them taken waits, first come, first served."""

    __slots__ = ("_queue", "most", "taken")

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._queue)

    async def enter(self, within: float | None) -> bool:
        """Take a place; whether one had to be waited for. Every entry needs a :meth:`leave`.

        Raises ``TimeoutError`` when no place is free ``within`` so many seconds (``None``: however long).
        """
        if self.taken < self.most and not self._queue:
            self.taken += 1
            return False
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            async with asyncio.timeout(within):
                await place
        except BaseException:
            self._give_up(place)
            raise
        return True

    def leave(self) -> None:
        """Give a place back."""
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)  # the place changes hands: `taken` stays
                return
        self.taken -= 1

    def _give_up(self, place: "asyncio.Future[None]") -> None:
        if place.done() and not place.cancelled():
            self.leave()  # it came in the moment of leaving
        elif place in self._queue:
            self._queue.remove(place)
