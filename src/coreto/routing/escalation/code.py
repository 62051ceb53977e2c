"""Code in an answer that cannot be what was meant: Python, JSON or SQL that does not parse.

Answers are full of code that is not whole on purpose: fragments, ellipses, placeholders, prompts, magics. All
of these are let pass; a false alarm costs a paid call.
"""

import re
import symtable
import textwrap
import warnings

import orjson

from coreto.routing.escalation.exchange import Block, Exchange

_MOST_SOURCE = 6_000
"""Characters of a block: the parser takes 0.1 ms for a kilobyte, and short code fails as often."""

_MOST_JSON = 60_000
_MOST_BLOCKS = 8
_DEEPEST = 40
"""Open brackets or signs in a row. The parser's stack ends at some 200 brackets; people's code at 10."""

_PYTHON = frozenset({"python", "py", "python3", "py3"})
_JSON = frozenset({"json"})
_SQL = frozenset({"sql", "postgresql", "postgres", "mysql", "sqlite"})

_UNFINISHED_ON_PURPOSE = re.compile(
    r"\.\.\.|…|\{\{|\{%|%\}|<[A-Za-zÀ-ÿ_][\w À-ÿ/-]*>|^@@|^[+-] ?\w.*\n[+-] ?\w|^diff |\[seu |\[your ",
    re.MULTILINE,
)
_FOREIGN = re.compile(
    r"^\s*(?:[%!?$]|(?:pip3?|python3?|conda|uv|apt|cd|poetry|brew|sudo|export|source|pytest)\s+[\w./-])|\?\?? *$",
    re.MULTILINE,
)
_FRAGMENT = re.compile(r"\s*(?:elif|else|except|finally|case)\b")
_NEWER = re.compile(
    r"^\s*type \w+|^\s*(?:async )?(?:def|class) \w+\[|\b[tT]r?[\"']|^\s*except \w[\w.]*, |[fF]r?(?:\"[^\"\n]*\{|'[^'\n]*\{)",
    re.MULTILINE,
)
"""Syntax younger than the oldest Python that we run on: PEP 695 and 701 (3.12), 750 and 758 (3.14)."""

_SIGNATURE = re.compile(
    r"(?:@[^\n]*\n)*(?:async )?(?:def|class) \w+\([^()]*(?:\([^()]*\)[^()]*)*\)[^\n:]*\s*\Z"
)
_OLDER = re.compile(r"python ?2(?!\d)|py2", re.IGNORECASE)
_PROMPT = re.compile(r"^\s*(?:>>>|\.\.\.|In ?\[\d+\]:) ?", re.MULTILINE)
_SIGNS = re.compile(r"[-+~]{40}|not not not not|lambda: *lambda: *lambda:")
_BRACKET = re.compile(r"[()\[\]{}]")
_BARE_PYTHON = re.compile(
    r"(?:def \w+\([^\n]*:|import \w+(?: as \w+)?|from \w[\w.]* import [\w, *]+|class \w+[^\n]*:) *\n"
)
_BARE_LINE = re.compile(
    r"[ \t]|#|@|(?:def|class|import|from|if|for|while|with|try|except|else|elif|finally|return|print|async|raise|assert)\b"
    r"|[\w.\[\]\"']+(?:, *\w+)* *(?:[-+*/]?=|\()|[)\]}\"']|$"
)

_COMMENT = re.compile(r"(?:^|[\s,{\[])(?://|/\*|#)", re.MULTILINE)
_BARE_KEYS = re.compile(r"[\[\s]*\{\s*[A-Za-z_$]\w*\s*[:,]")
_LOOSE = re.compile(r"\b(?:NaN|Infinity|undefined|None|True|False)\b")
_WANTS_JSON = re.compile(r"\bjson\b", re.IGNORECASE)

_BARE_JSON = re.compile(r"\{\s*\"[^\"\n]*\"\s*:|\[\s*(?:\{\s*\"|\"[^\"\n]*\",)")

_SQL_NOISE = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL)
_SQL_STRAY = re.compile(r",\s*(?:from|where|group\s+by|order\s+by)\b", re.IGNORECASE)


def find_bad_code(seen: Exchange) -> str | None:
    """What is wrong with the first block of code that does not parse; ``None`` where all do, or none is there."""
    for block in seen.blocks[:_MOST_BLOCKS]:
        flaw = _flaw(block, seen.asked)
        if flaw:
            return flaw
    if not seen.blocks and not seen.open and seen.whole:
        return _bare(seen)
    return None


def _flaw(block: Block, asked: str) -> str | None:
    source = block.source
    if block.language in _PYTHON:
        return None if _OLDER.search(asked) else python_flaw(source)
    if block.language in _JSON:
        return json_flaw(source, strict=_WANTS_JSON.search(asked) is not None)
    if block.language in _SQL:
        return sql_flaw(source)
    if not block.language and _WANTS_JSON.search(asked) and source.lstrip()[:1] in ("{", "["):
        return json_flaw(source)
    return None


def _bare(seen: Exchange) -> str | None:
    """An answer that is nothing but code, without a fence."""
    text = seen.answer
    if _BARE_JSON.match(text) and _WANTS_JSON.search(seen.asked):
        return json_flaw(text)
    if _BARE_PYTHON.match(text) and all(_BARE_LINE.match(line) for line in text.split("\n")):
        return None if _OLDER.search(seen.asked) else python_flaw(text)
    return None


def python_flaw(source: str) -> str | None:
    """Where ``source`` stops being Python; ``None`` when it parses, or is a sketch or too large to say."""
    if len(source) > _MOST_SOURCE or _too_deep(source):
        return None
    session = ">>>" in source or "In [" in source
    code = textwrap.dedent(_typed(source) if session else source).strip("\n")
    if not code.strip() or _FRAGMENT.match(code):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a plain string is a warning, and none of ours
            symtable.symtable(code, "answer", "exec")  # parses; 0.30 ms where ast.parse takes 0.45
    except SyntaxError as error:
        return (
            None
            if session or _excused(code, error)
            else f"Python that does not parse: line {error.lineno or 1}"
        )
    except (ValueError, RecursionError, MemoryError):
        return None
    return None


def _typed(source: str) -> str:
    """What was typed at the prompts of a session; the rest is what it printed."""
    return "\n".join(_PROMPT.sub("", line, count=1) for line in source.split("\n") if _PROMPT.match(line))


def _excused(code: str, error: SyntaxError) -> bool:
    if "nonlocal" in error.msg or "import *" in error.msg:  # right where the fragment comes from
        return True
    if _UNFINISHED_ON_PURPOSE.search(code) or _FOREIGN.search(code) or _NEWER.search(code):
        return True
    if _SIGNATURE.match(code):
        return True
    if isinstance(error, IndentationError) and "expected an indented block" in error.msg:
        # a signature alone, or a body that is still a comment
        last = code.rstrip().rpartition("\n")[2].strip()
        return (
            last.endswith(":")
            or last.startswith("#")
            or re.search(r":\s*\n\s*#[^\n]*(?:\n\s*\n|\n\S)", code) is not None
        )
    return isinstance(error, IndentationError) and code[:1] in (" ", "\t")


def _too_deep(source: str) -> bool:
    if _SIGNS.search(source):
        return True
    if sum(source.count(sign) for sign in "([{") <= _DEEPEST:
        return False
    depth = deepest = 0
    for sign in _BRACKET.findall(source):
        depth += 1 if sign in "([{" else -1
        deepest = max(deepest, depth)
    return deepest > _DEEPEST


def json_flaw(source: str, *, strict: bool = True) -> str | None:
    """Whether ``source`` is broken JSON; comments, ellipses, fragments and lines of JSON are let pass, and
    when not ``strict`` JavaScript's objects."""
    text = source.strip()
    if len(text) > _MOST_JSON or text[:1] not in ("{", "["):
        return None
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if _BARE_KEYS.match(text) and not strict:
            return None
        if "recursion" in error.msg or _UNFINISHED_ON_PURPOSE.search(text) or _LOOSE.search(text):
            return None
        if _COMMENT.search(text) or _lines_parse(text):
            return None
        return f"JSON that does not parse: line {error.lineno}"
    return None


def _lines_parse(text: str) -> bool:
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) < 2 or lines[0].strip() in ("{", "["):
        return False
    try:
        for line in lines[:50]:
            orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def sql_flaw(source: str) -> str | None:
    """Brackets that do not match and commas before a clause; there are too many dialects for more."""
    if len(source) > _MOST_SOURCE or "$$" in source or _UNFINISHED_ON_PURPOSE.search(source):
        return None
    bare = _SQL_NOISE.sub("''", source)
    if bare.count("'") % 2:
        return None
    if bare.count("(") != bare.count(")"):
        return "SQL with brackets that do not match"
    return "SQL with a stray comma" if _SQL_STRAY.search(bare) else None
