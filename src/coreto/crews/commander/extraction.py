"""Finds the Python in a model's answer. Pure; whatever comes in, out comes code or nothing.

Models are asked for one fenced block. They also give several, none at all, prose around it, or stop midway.
"""

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

MOST = 50_000
"""Characters of an answer that are looked at, and of code that is taken."""

_LINES_MOST = 400
_STARTS_MOST = 6
_TRIMS_MOST = 40

_FENCE = re.compile(r"^[ \t]*(?P<mark>`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*)$", re.MULTILINE)
_PYTHON = frozenset({"python", "python3", "py", "py3", "python-3"})
_THOUGHT = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_INLINE = re.compile(r"`([^`\n]+)`")
_START = re.compile(
    r"(?:import|from|def|class|async|print|for|while|if|with|try|@|[A-Za-z_][\w.\[\], ]*\s*=[^=])"
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. ``info``: the first word beside its fence, in lower case."""

    info: str
    code: str


def code_of(answer: str) -> str | None:
    """The Python program in ``answer``; ``None``: there is none.

    Of several blocks those marked as Python count; they are put together where they go together, else the longest
    one that can be parsed is taken. Code that cannot be parsed comes only from a fence.
    """
    text = _THOUGHT.sub("", answer[:MOST]).replace("\r\n", "\n").replace("\0", "")
    blocks = [block for block in fenced(text) if block.code.strip()]
    marked = [block.code for block in blocks if block.info in _PYTHON]
    if found := _joined(marked or [block.code for block in blocks if not block.info]):
        return found
    if blocks:
        return None  # all in other languages
    return _loose(_FENCE.sub("", text))


def fenced(text: str) -> Iterator[Block]:
    """The fenced blocks of ``text`` in order; the last one may lack its end."""
    at = 0
    while opening := _FENCE.search(text, at):
        mark, info = opening["mark"], opening["info"].strip().strip("{}.").lower()
        start = min(opening.end() + 1, len(text))
        closing = _closing(text, start, mark)
        end, at = (closing.start(), closing.end()) if closing else (len(text), len(text))
        yield Block(re.split(r"[\s,:{]", info, maxsplit=1)[0], _flush(text[start:end]))


def parses(code: str) -> bool:
    """Whether ``code`` is Python by its form."""
    return _tree(code) is not None


def _closing(text: str, start: int, mark: str) -> re.Match[str] | None:
    for match in _FENCE.finditer(text, start):
        if match["mark"].startswith(mark) and not match["info"].strip():
            return match
    return None


def _flush(code: str) -> str:
    """``code`` without the indentation that all its lines share, prompts, and empty lines around it."""
    lines = code.split("\n")
    depth = min((len(line) - len(line.lstrip(" ")) for line in lines if line.strip()), default=0)
    flush = [line[depth:] if line.strip() else "" for line in lines]
    if flush[0].startswith(">>> "):  # an interpreter's transcript: what was typed
        flush = [line[4:] for line in flush if line.startswith((">>> ", "... "))]
    return "\n".join(flush).strip("\n")


def _joined(blocks: Sequence[str]) -> str | None:
    """The blocks as one program if they can be parsed and no two define the same, else the longest of the best."""
    broken = [code for code in blocks if not parses(code)]
    good = [code for code in dict.fromkeys(blocks) if works(code)]
    if not good:
        return max(broken, key=len, default=None)
    names = [_defined(code) for code in good]
    if sum(map(len, names)) == len(frozenset[str]().union(*names)):
        whole = "\n\n".join(good)
        if parses(whole):  # not with a `from __future__` in the second
            return whole
    return max(good, key=len)


def _defined(code: str) -> frozenset[str]:
    tree = _tree(code)
    body = tree.body if tree else []
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return frozenset(node.name for node in body if isinstance(node, kinds))


def _loose(text: str) -> str | None:
    """Code without a fence: the whole text, a part of it between prose, or one span in backticks."""
    if works(text):
        return _flush(text)
    lines = text.split("\n")[:_LINES_MOST]
    starts = [i for i, line in enumerate(lines) if _START.match(line)]
    for start in starts[:_STARTS_MOST]:
        for end in range(len(lines), max(start, len(lines) - _TRIMS_MOST), -1):
            part = "\n".join(lines[start:end])
            if works(part):
                return _flush(part)
    spans = _INLINE.findall(text)
    return _only(span for span in spans if works(span))


def _only(spans: Iterable[str]) -> str | None:
    found = list(dict.fromkeys(spans))
    return found[0] if len(found) == 1 else None


def works(code: str) -> bool:
    """Whether ``code`` is Python that does something: words and numbers alone can be parsed too."""
    tree = _tree(code)
    if tree is None:
        return False
    return any(not isinstance(node, ast.Expr) or _calls(node) for node in tree.body)


def _calls(node: ast.Expr) -> bool:
    return isinstance(node.value, ast.Call | ast.Await | ast.ListComp)


def _tree(code: str) -> ast.Module | None:
    if len(code) > MOST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes, which are the model's
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError, SystemError):
        return None  # the last: CPython 3.11 loses count when a finalizer parses meanwhile
