"""A question and its answer as the checks read them: what is code, what is prose, each cut to a bound."""

import re
from dataclasses import dataclass

LONGEST = 16_000
"""Characters of an answer that are looked at; faults of longer ones show at their start or their end."""

_COUNTED = 200_000
"""Characters up to which fences are counted: nobody answers more, and a megabyte of them takes 10 ms."""

#: No tildes: models do not fence with them, and reStructuredText underlines its headings so.
_FENCE = re.compile(r"^([ \t>]*)(```+)[ \t]*([^\n`]*)$", re.MULTILINE)
_INFO = re.compile(r"[\w+#.-]+")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. ``language``: the first word after the fence in lower case, empty without one."""

    language: str
    source: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """``answer``: its first :data:`LONGEST` characters; ``tail``: the last 4,000 of the whole of it; ``prose``: the
    answer without its fenced blocks; ``open``: it ends inside one; ``asked``: the question's first and
    last 1,000 characters."""

    asked: str
    answer: str
    tail: str
    prose: str
    blocks: tuple[Block, ...]
    open: bool

    @property
    def whole(self) -> bool:
        """Whether ``answer`` is all of it."""
        return len(self.answer) < LONGEST


def exchange(question: str, answer: str) -> Exchange:
    """Read ``question`` and ``answer`` once, for all checks."""
    text = answer[:LONGEST].replace("\r\n", "\n").strip()
    blocks, prose, is_open = _split(text)
    if len(answer) > LONGEST:
        fences = answer.count("\n```") + answer.startswith("```")
        is_open = len(answer) < _COUNTED and fences % 2 == 1
    asked = question if len(question) <= 2_000 else f"{question[:1_000]}\n{question[-1_000:]}"
    return Exchange(asked, text, answer[-4_000:].strip(), prose, blocks, is_open)


def _split(text: str) -> tuple[tuple[Block, ...], str, bool]:
    """The closed fenced blocks of ``text``, what stands outside of fences, and whether the last is open."""
    if "```" not in text:
        return (), text, False
    blocks: list[Block] = []
    prose: list[str] = []
    opening: re.Match[str] | None = None
    after = 0
    for fence in _FENCE.finditer(text):
        if opening is None:
            prose.append(text[after : fence.start()])
            opening = fence
        elif _closes(opening, fence):
            info = _INFO.match(opening[3])
            indent = opening[1]
            source = text[opening.end() + 1 : max(opening.end() + 1, fence.start())]
            if indent:
                source = "\n".join(line.removeprefix(indent) for line in source.split("\n"))
            blocks.append(Block(info[0].lower() if info else "", source))
            opening = None
        after = fence.end()
    if opening is None:
        prose.append(text[after:])
    return tuple(blocks), "\n".join(prose).strip(), opening is not None


def _closes(opening: re.Match[str], fence: re.Match[str]) -> bool:
    """A fence closes another that is no longer, when nothing stands behind it."""
    return fence[2].startswith(opening[2]) and not fence[3].strip()
