"""The work of one flight: look further, ask upstream, keep the answer."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager

from coreto.cache.answers import Answer, Assembler, replay
from coreto.cache.shelf import Matcher, Shelf, Terms
from coreto.cache.store import Entry
from coreto.messages import Call, Chunk, Item, Restart, Trace, Whole

Inner = Callable[[Call], AbstractAsyncContextManager[AsyncIterator[Item]]]


class Question:
    """One call that the cache could not answer at once, for all who ask the same meanwhile.

    ``key``: the answer's; ``seat``: of those who may share the call itself.
    """

    def __init__(self, key: str, seat: str, call: Call, terms: Terms, inner: Inner, shelf: Shelf) -> None:
        self.key = key
        self.seat = seat
        self.call = call
        self.terms = terms
        self._tags = dict.fromkeys(terms.tags)
        self._inner = inner
        self._shelf = shelf
        self._revoked: list[Matcher] = []
        self._whole: Whole | None = None
        self._pieces: Assembler | None = None
        self._trace: Trace | None = None
        self._entry: Entry | None = None

    def tag(self, tags: Iterable[str]) -> None:
        """Add tags to the answer: those of a call that shares it."""
        self._tags.update(dict.fromkeys(tags))

    def revoke(self, matches: Matcher) -> bool:
        """Do not keep the answer if ``matches`` one of its names; whether it does one known by now."""
        self._revoked.append(matches)
        return any(map(matches, self._names()))

    async def run(self) -> AsyncGenerator[Item, None]:
        """The items of the stored answer, or of the upstream call; its trace is the last."""
        shelf, call = self._shelf, self.call
        answer = None if self.terms.refresh else await shelf.look_up(self.key, call.label)
        if answer is not None:
            for item in replay(answer, stream=call.stream):
                yield item
            yield answer.trace_for(call)
            return
        shelf.counts.misses += 1
        async with self._inner(call) as items:
            async for item in items:
                self._note(item)
                yield item

    def finish(self) -> bool:
        """Whether the answer will be kept; if not, nobody who asks from now on may have it."""
        if self._trace is None:  # it came from the store
            return True
        answer = None
        if self._whole is not None:
            answer = Answer(self._whole.body, self._whole.raw, self._trace)
        elif self._pieces is not None:
            answer = Answer(self._pieces.whole(), None, self._trace)
        if answer is not None and not self._is_revoked():
            tags = self._names()[1:]
            self._entry = self._shelf.entry(answer, self.call, self.terms, key=self.key, tags=tags)
        self._shelf.counts.unstorable += self._entry is None
        return self._entry is not None

    async def after(self) -> None:
        """Keep the answer."""
        if self._entry is None:
            return
        await self._shelf.put(self._entry)
        if self._is_revoked():  # while it was being written
            await self._shelf.store.delete(self.key)

    def _is_revoked(self) -> bool:
        return any(matches(name) for matches in self._revoked for name in self._names())

    def _names(self) -> tuple[str, ...]:
        """The key and the tags by which the answer can be invalidated, as far as they are known."""
        call, trace = self.call, self._trace
        told = (
            ("role", call.role if trace is None else trace.role),
            ("deployment", None if trace is None else trace.deployment),
            ("user", call.user),
        )
        own = (f"{kind}:{one_line(value)}" for kind, value in told if value)
        return (self.key, *dict.fromkeys((*own, *self._tags)))

    def _note(self, item: Item) -> None:
        match item:
            case Chunk():
                if self._pieces is None:
                    self._pieces = Assembler()
                self._pieces.add(item.body)
            case Whole():
                self._whole = item
            case Restart():
                self._pieces = None
            case Trace():
                self._trace = item


def one_line(text: str) -> str:
    """``text`` as a tag can hold it."""
    return " ".join(text.encode(errors="replace").decode().split())
