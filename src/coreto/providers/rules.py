"""The last resort of a chain: a plain function of the request, no model at all."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass

from coreto.errors import UnsupportedError
from coreto.messages import Call, Chunk, Item, Json, Whole, as_objects, prompt_text
from coreto.providers.base import Health, Items, ModelInfo

RuleFunction = Callable[[Json], str | None]
"""From an OpenAI chat request to an answer; ``None`` when the rules do not cover it."""


@dataclass(frozen=True, slots=True)
class WordRule:
    """``answer`` when one of ``words`` occurs in the last message, in any case; no words: always."""

    words: tuple[str, ...]
    answer: str


def by_words(rules: Sequence[WordRule]) -> RuleFunction:
    """A rule function: the first rule that matches the newest message answers."""

    def decide(body: Json) -> str | None:
        newest = prompt_text({"messages": as_objects(body.get("messages"))[-1:]}).casefold()
        for rule in rules:
            if not rule.words or any(word.casefold() in newest for word in rule.words):
                return rule.answer
        return None

    return decide


class Rules:
    """Answers by the function registered for the call's role."""

    def __init__(
        self, functions: Mapping[str, RuleFunction], *, now: Callable[[], float] = time.time
    ) -> None:
        self._functions = dict(functions)
        self._now = now

    def covers(self, role: str) -> bool:
        """Whether ``role`` has rules."""
        return role in self._functions

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        return aclosing(self._answer(call))

    async def _answer(self, call: Call) -> Items:
        function = self._functions.get(call.role or "")
        answer = function(call.body) if function else None
        if answer is None:
            raise UnsupportedError(f"no rule of role {call.role!r} covers this request")
        usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        base: Json = {"id": f"chatcmpl-{call.id}", "created": int(self._now()), "model": "rules"}
        message = {"role": "assistant", "content": answer}
        if not call.stream:
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            yield Whole({**base, "object": "chat.completion", "choices": [choice], "usage": usage})
            return
        base["object"] = "chat.completion.chunk"
        yield Chunk({**base, "choices": [{"index": 0, "delta": message, "finish_reason": None}]})
        yield Chunk({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage})

    async def models(self) -> tuple[ModelInfo, ...]:
        return ()

    async def health(self) -> Health:
        return Health(ok=True, detail=f"{len(self._functions)} roles have rules")

    async def close(self) -> None:
        return None
