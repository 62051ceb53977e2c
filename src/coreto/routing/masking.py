"""Masking: a cloud model gets placeholders for what is sensitive; its answer gets the values back.

A :class:`Mask` lives for one call. Placeholders are stable within it (the same value, the same
placeholder) and never one that the texts already hold.
"""

import re
from collections.abc import Callable
from itertools import accumulate
from typing import Any, cast

import orjson

from coreto.messages import Json, as_object, as_objects
from coreto.routing.privacy import detect_sensitive
from coreto.routing.sensitive import placeholders
from coreto.routing.sensitive.folding import fold
from coreto.routing.sensitive.placeholders import LABELS, Revealer
from coreto.routing.sensitive.spans import PROSE, Span
from coreto.routing.texts import texts_of

SHORT = 5
"""Values shorter than this ("7741") are only looked for as whole words: they are parts of other numbers."""

_DIGITS = 7
"""Digits from which a value is known by its digits alone, whatever stands between them."""

_BEGUN = 6
"""Characters from which the beginning of a value tells something of it; of digits, four."""
_BEGUN_DIGITS = 4

_BETWEEN = re.compile(r"(?<=\d)[^\w\n]{1,3}(?=\d)", re.ASCII)


class Mask:
    """What was hidden in one call. ``unmaskable``: something sensitive was told in sentences, which no
    placeholder hides; such a call must stay on the machine."""

    def __init__(self) -> None:
        self.unmaskable = False
        self._values: dict[str, str] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._taken: set[tuple[str, int]] = set()
        self._known: re.Pattern[str] | None = None
        self._learned: dict[str, list[Span]] = {}
        self._safe: set[str] = set()

    def __repr__(self) -> str:
        return f"Mask({len(self._values)} values{', unmaskable' if self.unmaskable else ''})"

    def hide(self, text: str) -> str:
        """``text`` with each sensitive span, and each value hidden before, replaced by its placeholder."""
        self._taken |= placeholders.taken(text)
        return self._replace(text, self._learn(text))

    def hide_body(self, body: Json) -> Json:
        """A chat request (OpenAI shape) with everything a model reads hidden; ``body`` stays as it is.

        Every text is read before the first is changed, so that a value found in one is hidden in all.
        """

        def read(text: str) -> str:
            self._taken |= placeholders.taken(text)
            return text

        def learn(text: str) -> str:
            self._learn(text)
            return text

        _map_body(body, read, self)
        _map_body(body, learn, self)
        for message in as_objects(body.get("messages")):
            texts = [part["text"] for part in as_objects(message.get("content")) if _is_text(part)]
            if any(_crosses(texts, between) for between in ("", " ")):
                self.unmaskable = True  # a part of the value would be left in one of them
        return _map_body(body, self.hide, self)

    def reveal(self, text: str, *, escape: bool = False) -> str:
        """``text`` with the values back in place; ``escape`` them for a text that is JSON."""
        return placeholders.reveal(text, self._revealed(escape=escape))

    def revealer(self, *, escape: bool = False) -> Revealer:
        """The same for a text that comes in pieces. Values hidden later are not known to it."""
        return Revealer(self._revealed(escape=escape))

    def is_clean(self, text: str) -> bool:
        """Whether none of the values stands in ``text``, nor their digits with other separators."""
        plain = fold(text).plain
        digits = _BETWEEN.sub("", plain)
        return not any(
            _stands_in(value, text, digits)
            for name, value in self._values.items()
            if not name.startswith("TEXT_")
        )

    def covers(self, body: Json) -> bool:
        """Whether ``body``, which :meth:`hide_body` gave, may leave: nothing was met that cannot be hidden, none
        of its texts holds a value or anything else that is sensitive, and none ends in the middle of a value, as
        the beginning of an answer does that broke off there."""
        return not self.unmaskable and all(map(self._is_safe, texts_of(body)))

    def _is_safe(self, text: str) -> bool:
        if not self.is_clean(text) or any(_ends_within(text, value) for value in self._values.values()):
            return False
        if text not in self._safe:
            if detect_sensitive(text).sensitive:
                return False
            self._safe.add(text)
        return True

    def hide_json(self, text: str) -> str:
        """The JSON ``text`` with its strings and numbers hidden; what is no JSON is hidden as a text.

        A value is read together with its key, which often says what it is. Numbers become strings.
        """
        try:
            value: object = orjson.loads(text)
        except orjson.JSONDecodeError:
            return self.hide(text)
        self._taken |= placeholders.taken(text)
        hidden = self._hide_value(value, "")
        return text if hidden == value else orjson.dumps(hidden).decode()

    def _hide_value(self, value: object, key: str) -> object:
        match value:
            case str():
                return self._hide_after(f"{key}: " if key else "", value)
            case bool():
                return value
            case int() | float():
                hidden = self._hide_after(f"{key}: " if key else "", str(value))
                return value if hidden == str(value) else hidden
            case list():
                return [self._hide_value(item, key) for item in cast("list[object]", value)]
            case dict():
                return {
                    name: self._hide_value(item, name)
                    for name, item in cast("dict[str, object]", value).items()
                }
            case _:
                return value

    def _hide_after(self, prefix: str, text: str) -> str:
        spans = self._learn(prefix + text)
        size = len(prefix)
        inside = [Span(max(0, s.start - size), s.end - size, s.kind) for s in spans if s.end > size]
        for span in inside:
            self._name(span.kind, text[span.start : span.end])
        return self._replace(text, inside)

    def _learn(self, text: str) -> list[Span]:
        """The spans of ``text`` that a placeholder can hide, their values known from now on."""
        known = self._learned.get(text)
        if known is not None:
            return known
        found = self._learned[text] = []
        for span in detect_sensitive(text).spans:
            if span.kind in PROSE:
                self.unmaskable = True
            else:
                found.append(span)
                self._name(span.kind, text[span.start : span.end])
        return found

    def _name(self, kind: str, value: str) -> str:
        """The placeholder for ``value``: the one it has, or the next that nobody uses."""
        label = placeholders.label_of(kind)
        label = label if label in LABELS else "TEXT"
        name = self._names.get((label, value))
        if name is None:
            number = 1
            while (label, number) in self._taken:
                number += 1
            self._taken.add((label, number))
            name = f"{label}_{number}"
            self._names[label, value] = name
            self._values[name] = value
            self._known = None
        return name

    def _replace(self, text: str, spans: list[Span]) -> str:
        out: list[str] = []
        at = 0
        for span in spans:
            out += [
                self._replace_known(text, at, span.start),
                f"[{self._name(span.kind, text[span.start : span.end])}]",
            ]
            at = span.end
        out.append(self._replace_known(text, at, len(text)))
        return "".join(out)

    def _replace_known(self, text: str, start: int, end: int) -> str:
        """A part of ``text`` without detected spans: known values and look-alike placeholders hidden."""
        if not self._values or start == end:
            return text[start:end]
        out: list[str] = []
        at = start
        for match in self._pattern().finditer(text, start, end):
            written = match.group()
            out += [text[at : match.start()], f"[{self._name_of(written)}]"]
            at = match.end()
        out.append(text[at:end])
        return "".join(out)

    def _name_of(self, written: str) -> str:
        for label in LABELS:
            if (label, written) in self._names:
                return self._names[label, written]
        digits = _digits_of(written)
        if len(digits) >= _DIGITS:
            for (label, value), _ in list(self._names.items()):
                if _digits_of(value) == digits:
                    return self._name(label, written)
        return self._name("TEXT", written)

    def _pattern(self) -> re.Pattern[str]:
        if self._known is None:
            parts: list[str] = []
            for value in sorted(set(self._values.values()), key=len, reverse=True):
                whole = re.escape(value)
                parts.append(whole if len(value) >= SHORT else rf"(?<!\w){whole}(?!\w)")
                digits = _digits_of(value)
                if len(digits) >= _DIGITS and not re.search("[A-Za-z]", value):
                    parts.append(r"[^\w\n]{0,3}".join(digits))
            written = placeholders.forms(tuple(self._values)).pattern
            written = written.replace("(?P<full>", "(?:").replace("(?P<bare>", "(?:")
            self._known = re.compile("|".join([*parts, written]), re.ASCII)
        return self._known

    def _revealed(self, *, escape: bool) -> dict[str, str]:
        if not escape:
            return dict(self._values)
        return {name: orjson.dumps(value).decode()[1:-1] for name, value in self._values.items()}


def _digits_of(text: str) -> str:
    return "".join(c for c in fold(text).plain if "0" <= c <= "9")


def _stands_in(value: str, text: str, digits: str) -> bool:
    if len(value) < SHORT:
        return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) is not None
    if value in text:
        return True
    own = _digits_of(value)
    return len(own) >= _DIGITS and not re.search("[A-Za-z]", value) and own in digits


def _ends_within(text: str, value: str) -> bool:
    """Whether ``text`` ends with a part of ``value`` that is long enough to tell something."""
    least = next((n for n in range(1, len(value)) if n >= _BEGUN or _many_digits(value[:n])), len(value))
    return any(text.endswith(value[:n]) for n in range(least, len(value)))


def _is_text(part: Json) -> bool:
    return isinstance(part.get("text"), str)


def _crosses(texts: list[str], between: str) -> bool:
    """Whether something sensitive begins in one of ``texts`` and ends in another."""
    if len(texts) < 2:
        return False
    ends = accumulate(len(text) + len(between) for text in texts)
    seams = [end - len(between) for end in ends][:-1]
    spans = detect_sensitive(between.join(texts)).spans
    return any(span.start < seam < span.end for span in spans for seam in seams)


def _many_digits(text: str) -> bool:
    return sum(c.isdigit() for c in text) >= _BEGUN_DIGITS


def _map_body(body: Json, change: Callable[[str], str], mask: Mask) -> Json:
    """``body`` with ``change`` made to every text that a model reads."""
    out = dict(body)
    if isinstance(body.get("messages"), list):
        out["messages"] = [
            _map_message(message, change, mask) for message in cast("list[object]", body["messages"])
        ]
    for key in ("tools", "functions", "response_format"):
        if body.get(key):
            out[key] = _map_descriptions(body[key], change)
    for key in ("user", "prompt", "input", "instructions"):
        if isinstance(body.get(key), str):
            out[key] = change(body[key])
    prediction = as_object(body.get("prediction"))
    if prediction:
        out["prediction"] = {**prediction, "content": _map_content(prediction.get("content"), change, mask)}
    return out


def _map_message(message: object, change: Callable[[str], str], mask: Mask) -> object:
    if not isinstance(message, dict):
        return message
    out = dict(cast("Json", message))
    out["content"] = _map_content(out.get("content"), change, mask) if "content" in out else None
    if "content" not in message:
        del out["content"]
    for key in ("refusal", "reasoning", "reasoning_content"):
        if isinstance(out.get(key), str):
            out[key] = change(out[key])
    if isinstance(out.get("name"), str):
        # names must be of letters, digits, `_` and `-` on most wires: no brackets
        out["name"] = change(out["name"]).replace("[", "").replace("]", "")
    if isinstance(out.get("tool_calls"), list):
        out["tool_calls"] = [
            {**call, "function": _map_function(as_object(call.get("function")), change, mask)}
            for call in as_objects(out["tool_calls"])
        ]
    if isinstance(out.get("function_call"), dict):
        out["function_call"] = _map_function(as_object(out["function_call"]), change, mask)
    return out


def _map_function(function: Json, change: Callable[[str], str], mask: Mask) -> Json:
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        return function
    return {**function, "arguments": mask.hide_json(arguments) if change == mask.hide else change(arguments)}


def _map_content(content: object, change: Callable[[str], str], mask: Mask) -> Any:
    if isinstance(content, str):
        return change(content)
    if not isinstance(content, list):
        return content
    parts: list[object] = []
    for part in cast("list[object]", content):
        if isinstance(part, str):
            parts.append(change(part))
        elif isinstance(part, dict):
            parts.append(_map_part(cast("Json", part), change, mask))
        else:
            parts.append(part)
    return parts


def _map_part(part: Json, change: Callable[[str], str], mask: Mask) -> Json:
    if isinstance(part.get("text"), str):
        return {**part, "text": change(part["text"])}
    url = as_object(part.get("image_url")).get("url")
    if isinstance(url, str) and not url.startswith("data:") and detect_sensitive(url).sensitive:
        mask.unmaskable = True  # an address with a placeholder in it leads nowhere
    return part


def _map_descriptions(value: object, change: Callable[[str], str]) -> Any:
    """``value`` with the descriptions, defaults and examples in it changed; names and types stay."""
    if isinstance(value, list):
        return [_map_descriptions(item, change) for item in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    out: Json = {}
    for key, item in cast("Json", value).items():
        if key in ("description", "title", "default", "$comment") and isinstance(item, str):
            out[key] = change(item)
        elif key in ("examples", "enum") and isinstance(item, list):
            out[key] = [change(one) if isinstance(one, str) else one for one in cast("list[object]", item)]
        else:
            out[key] = _map_descriptions(item, change)
    return out
