"""What a simulated model says: scripted answers first, else a sentence that tells who answered what.

The sentence is ``<model> answers <digest of the prompt>: <words>``; model, prompt and seed decide it.
"""

import hashlib
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

_WORDS = (
    "the",
    "band",
    "plays",
    "local",
    "and",
    "cloud",
    "tunes",
    "in",
    "one",
    "open",
    "square",
    "while",
    "every",
    "neighbour",
    "listens",
    "to",
    "brass",
    "wood",
    "drums",
    "and",
    "strings",
    "under",
    "a",
    "quiet",
    "evening",
    "sky",
)


class ScriptError(ValueError):
    """A script entry that cannot be understood; the message names the entry and the key."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply, before any wire shape. Token counts of 0 mean: estimate."""

    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict[str, Any])
    chunks: int | None = None


@dataclass(slots=True)
class _Entry:
    match: str | None
    model: str | None
    answer: Answer
    left: int | None


class Script:
    """Scripted answers: the first entry that fits and is not used up is taken."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, items: Any) -> None:
        """Append entries ``{match, model, content, tool_calls, reasoning, finish_reason, usage, times}``.

        ``match`` is a substring of the prompt (all messages), ``model`` the exact name, ``times`` 1 by
        default and null for ever. Raises `ScriptError`.
        """
        if isinstance(items, dict):
            items = [items]
        if not isinstance(items, list):
            raise ScriptError("script: expected a list of objects")
        self._entries.extend(_entry(index, item) for index, item in enumerate(cast("list[Any]", items)))

    def clear(self) -> None:
        """Forget every entry."""
        self._entries.clear()

    def take(self, model: str, prompt: str) -> Answer | None:
        """The scripted answer for this call, used up once."""
        for index, entry in enumerate(self._entries):
            if entry.model is not None and entry.model != model:
                continue
            if entry.match is not None and entry.match not in prompt:
                continue
            if entry.left is not None:
                entry.left -= 1
                if entry.left <= 0:
                    del self._entries[index]
            return entry.answer
        return None


_KEYS = {"match", "model", "content", "tool_calls", "reasoning", "finish_reason", "usage", "times"}


def _entry(index: int, item: Any) -> _Entry:
    if not isinstance(item, dict):
        raise ScriptError(f"script entry {index}: expected an object")
    values = cast("dict[str, Any]", item)
    unknown = sorted(set(values) - _KEYS)
    if unknown:
        raise ScriptError(
            f"script entry {index}: unknown key {unknown[0]!r}; known: {', '.join(sorted(_KEYS))}"
        )
    answer = Answer(
        content=str(values.get("content") or ""),
        reasoning=str(values.get("reasoning") or ""),
        tool_calls=tuple(cast("Iterable[dict[str, Any]]", values.get("tool_calls") or ())),
        finish_reason=values.get("finish_reason"),
        usage=dict(cast("dict[str, Any]", values.get("usage") or {})),
    )
    return _Entry(
        values.get("match"), values.get("model"), answer, cast("int | None", values.get("times", 1))
    )


def sentence(model: str, prompt: str, seed: int = 0, chunks: int | None = None) -> str:
    """The default answer; with `chunks` it has exactly that many words."""
    digest = digest_of(prompt)
    draw = random.Random(f"{seed}:{model}:{digest}")  # noqa: S311 - repeatable, not secret
    words = [model, "answers", f"{digest}:"]
    count = chunks if chunks is not None else draw.randint(8, 20)
    while len(words) < count:
        words.append(draw.choice(_WORDS))
    return " ".join(words[:count])


def digest_of(text: str) -> str:
    """Eight hex digits that stand for a text."""
    return hashlib.blake2s(text.encode(), digest_size=4).hexdigest()


def tokens(text: str) -> int:
    """Estimated tokens: four characters each, at least one for a text that is not empty."""
    return -(-len(text) // 4)


def pieces(text: str, count: int | None = None) -> list[str]:
    """The text in word-sized pieces, or in `count` pieces when it is long enough; they join to the text."""
    if not text:
        return []
    if count is None:
        words = text.split(" ")
        return [word if index == 0 else f" {word}" for index, word in enumerate(words)]
    count = max(1, min(count, len(text)))
    return [text[index * len(text) // count : (index + 1) * len(text) // count] for index in range(count)]


def limited(text: str, most: int | None) -> tuple[str, bool]:
    """The text cut to `most` estimated tokens, and whether it was cut."""
    if most is None or most < 0 or tokens(text) <= most:
        return text, False
    return text[: most * 4], True


def text_of(messages: Any) -> str:
    """All text of chat messages (string or parts), one line per message."""
    if not isinstance(messages, list):
        return ""
    return "\n".join(_content(cast("dict[str, Any]", item)) for item in cast("list[Any]", messages) if item)


def _content(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = cast("list[dict[str, Any]]", content)
        return " ".join(str(part.get("text", "")) for part in parts)
    return ""


def vector(text: str, size: int, seed: int = 0) -> list[float]:
    """A unit vector decided by the text."""
    draw = random.Random(f"{seed}:{text}")  # noqa: S311 - repeatable, not secret
    raw = [draw.uniform(-1, 1) for _ in range(size)]
    length = sum(value * value for value in raw) ** 0.5 or 1.0
    return [round(value / length, 7) for value in raw]


def function_of(call: dict[str, Any]) -> tuple[str, Any]:
    """Name and arguments of a scripted tool call, in OpenAI's or Ollama's shape or flat."""
    function = cast("dict[str, Any]", call.get("function") or call)
    return str(function.get("name", "")), function.get("arguments", {})
