"""What one caller sees of the items of a call that may be another's. Pure."""

from collections.abc import Iterable

from coreto.cache.answers import Answer, Assembler, replay
from coreto.labels import Label
from coreto.messages import Call, Chunk, Item, Restart, Trace, Whole, as_object


class View:
    """Turns the items of a stream into a whole answer or the other way round, as ``call`` asked for."""

    __slots__ = ("_pieces", "_stream", "_unmapped", "_usage")

    def __init__(self, call: Call) -> None:
        self._stream = call.stream
        self._usage = bool(as_object(call.body.get("stream_options")).get("include_usage"))
        self._pieces: Assembler | None = None
        self._unmapped: tuple[str, ...] = ()

    def wants(self, item: Item) -> bool:
        """Whether ``item`` is for this caller: a chunk that only tells the usage is for who asked for it."""
        return self._usage or not isinstance(item, Chunk) or bool(item.body.get("choices"))

    def of(self, item: Item) -> Iterable[Item]:
        """``item`` in the form that this caller asked for."""
        if self._stream and isinstance(item, Chunk):  # first, for every chunk passes here
            return (item,) if self._usage or item.body.get("choices") else ()
        match item:
            case Restart() if self._stream:
                return (item,)
            case Chunk():
                self._gather(item)
                return ()
            case Restart():
                self._pieces = None
                return ()
            case Whole() if self._stream:
                trace = Trace("", None, None, Label.INTERNAL, unmapped=item.unmapped)
                return filter(self.wants, replay(Answer(item.body, item.raw, trace), stream=True))
            case Whole():
                return (item,)
            case Trace():
                return (*self.rest(), item)

    def rest(self) -> Iterable[Item]:
        """What was gathered and not yet shown."""
        pieces, self._pieces = self._pieces, None
        return () if pieces is None else (Whole(pieces.whole(), unmapped=self._unmapped),)

    def _gather(self, chunk: Chunk) -> None:
        if self._pieces is None:
            self._pieces = Assembler()
        self._pieces.add(chunk.body)
        self._unmapped = chunk.unmapped or self._unmapped
