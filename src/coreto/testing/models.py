"""Models as a crew sees them: scripted answers by role, with traces, and a record of what was asked and announced."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

from coreto.clock import Clock, SystemClock
from coreto.errors import CallError, CoretoError
from coreto.labels import Label
from coreto.messages import Attempt, Call, Item, Trace, Whole
from coreto.testing.provider import Say, streamed, whole_body

Answerer = Callable[[Call], Say | CoretoError]
Entry = Say | str | CoretoError | Answerer
"""A scripted answer, its text alone, the error in its place, or a function that makes one of the call."""


class ScriptedModels:
    """Plays a script for each role: one entry a call, the last one for ever; a role without a script says hello.

    ``scripts``: role -> entries. The trace names the deployment ``fake/<role>``; ``labels``: what a role's calls
    are found to be, if stricter than asked for; ``costs`` in nano-dollars (``None``: no price is known). An error's
    trace is there as the gateway's is. ``calls`` and ``announced`` list what came, in order; ``log`` both together.
    ``opens`` and ``closes`` count contexts, and :attr:`leaks` is their difference. ``deaf``: what announcing raises.
    """

    def __init__(
        self,
        scripts: Mapping[str, Sequence[Entry]] | None = None,
        *,
        labels: Mapping[str, Label] | None = None,
        costs: Mapping[str, int | None] | None = None,
        clock: Clock | None = None,
        deaf: CoretoError | None = None,
    ) -> None:
        self.scripts = {role: list(entries) for role, entries in (scripts or {}).items()}
        self.calls: list[Call] = []
        self.announced: list[tuple[str, tuple[tuple[str, int], ...]]] = []
        #: plans whose calls were said to stay on this machine
        self.kept_here: set[str] = set()
        self.log: list[str] = []
        self.opens = 0
        self.closes = 0
        self._labels = dict(labels or {})
        self._costs = dict(costs or {})
        self._clock = clock or SystemClock()
        self._deaf = deaf

    @property
    def leaks(self) -> int:
        """Contexts that were entered and not left."""
        return self.opens - self.closes

    def roles(self) -> list[str]:
        """The roles that were called, in order."""
        return [call.model for call in self.calls]

    async def announce(self, plan: str, steps: Sequence[tuple[str, int]], *, private: bool = False) -> None:
        self.announced.append((plan, tuple(steps)))
        if private:
            self.kept_here.add(plan)
        self.log.append("announce")
        await self._clock.sleep(0)
        if self._deaf is not None:
            raise self._deaf

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        return self._opened(call)

    @asynccontextmanager
    async def _opened(self, call: Call) -> AsyncGenerator[AsyncIterator[Item], None]:
        self.opens += 1
        try:
            async with aclosing(self._play(call)) as items:
                yield items
        finally:
            self.closes += 1

    async def _play(self, call: Call) -> AsyncGenerator[Item, None]:
        self.calls.append(call)
        self.log.append(call.model)
        said = self._next(call)
        try:
            if isinstance(said, CoretoError):
                raise said
            await self._clock.sleep(said.delay)
            if not call.stream:
                if said.error is not None:
                    raise said.error
                yield Whole(whole_body(said, call))
            else:
                async with aclosing(streamed(said, call, self._clock)) as items:
                    async for item in items:
                        yield item
        except CallError as error:
            error.trace = self._trace(call, None, error.code)
            raise
        yield self._trace(call, f"fake/{call.model}", "ok")

    def _next(self, call: Call) -> Say | CoretoError:
        script = self.scripts.get(call.model)
        entry: Entry = Say() if not script else script.pop(0) if len(script) > 1 else script[0]
        if isinstance(entry, str):
            return Say(entry)
        return entry if isinstance(entry, Say | CoretoError) else entry(call)

    def _trace(self, call: Call, deployment: str | None, outcome: str) -> Trace:
        label = max(call.label, self._labels.get(call.model, call.label))
        cost = self._costs.get(call.model, 0) if outcome == "ok" else 0
        attempt = Attempt(f"fake/{call.model}", outcome, cost_nusd=cost)
        return Trace(call.id, deployment, call.role, label, attempts=(attempt,))
