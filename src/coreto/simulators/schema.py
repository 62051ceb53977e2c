"""The smallest value that a JSON schema accepts, always the same one for the same schema."""

import math
from typing import Any, cast

_FORMATS = {
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "date-time": "2026-01-01T00:00:00Z",
    "duration": "PT1S",
    "email": "sim@example.org",
    "hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_DEPTH = 24  # a schema that requires itself has no finite instance; stop with null

Schema = dict[str, Any]


def instance_of(schema: Any) -> Any:
    """A minimal valid instance. ``pattern`` and ``not`` are not honoured; a boolean schema gives null."""
    if not isinstance(schema, dict):
        return None
    root = cast("Schema", schema)
    return _build(root, root, 0)


def _build(schema: Schema, root: Schema, depth: int) -> Any:
    if depth > _DEPTH:
        return None
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        options = schema.get(key)
        if options:
            rest = {name: value for name, value in schema.items() if name != key}
            return _build(_merged(rest, options[0], root), root, depth + 1)
    if schema.get("allOf"):
        merged: Schema = {name: value for name, value in schema.items() if name != "allOf"}
        for part in schema["allOf"]:
            merged = _merged(merged, part, root)
        return _build(merged, root, depth + 1)
    return _by_type(_kind(schema), schema, root, depth)


def _by_type(kind: str, schema: Schema, root: Schema, depth: int) -> Any:
    match kind:
        case "object":
            return _object(schema, root, depth)
        case "array":
            return _array(schema, root, depth)
        case "string":
            return _string(schema)
        case "integer":
            return int(_number(schema, whole=True))
        case "number":
            return _number(schema, whole=False)
        case "boolean":
            return True
        case _:
            return None


def _kind(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = cast("list[str]", kind)[0]
    if isinstance(kind, str):
        return kind
    hints = {"properties": "object", "required": "object", "items": "array", "minLength": "string"}
    hints |= {"minimum": "number", "maximum": "number", "format": "string"}
    return next((name for key, name in hints.items() if key in schema), "string")


def _resolved(schema: Schema, root: Schema) -> Schema:
    for _ in range(_DEPTH):
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            break
        target: Any = root
        for step in reference.removeprefix("#").strip("/").split("/"):
            if step and isinstance(target, dict):
                name = step.replace("~1", "/").replace("~0", "~")
                target = cast("Schema", target).get(name, {})
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        schema = {**cast("Schema", target), **rest} if isinstance(target, dict) else rest
    return schema


def _merged(first: Schema, second: Any, root: Schema) -> Schema:
    if not isinstance(second, dict):
        return first
    other = _resolved(cast("Schema", second), root)
    merged = {**first, **other}
    if "properties" in first or "properties" in other:
        merged["properties"] = {**first.get("properties", {}), **other.get("properties", {})}
    if "required" in first or "required" in other:
        merged["required"] = [*first.get("required", []), *other.get("required", [])]
    return merged


def _object(schema: Schema, root: Schema, depth: int) -> dict[str, Any]:
    properties = cast("dict[str, Schema]", schema.get("properties", {}))
    required = cast("list[str]", schema.get("required", []))
    return {name: _build(properties.get(name, {}), root, depth + 1) for name in dict.fromkeys(required)}


def _array(schema: Schema, root: Schema, depth: int) -> list[Any]:
    prefix = cast("list[Schema]", schema.get("prefixItems", []))
    count = max(int(schema.get("minItems", 0)), 0)
    rest = schema.get("items", {})
    items: list[Any] = []
    for index in range(count):
        part = prefix[index] if index < len(prefix) else rest
        value = _build(cast("Schema", part) if isinstance(part, dict) else {}, root, depth + 1)
        if schema.get("uniqueItems") and value in items:
            value = _varied(value, index)
        items.append(value)
    return items


def _varied(value: Any, index: int) -> Any:
    if isinstance(value, str):
        return f"{value}{index}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value + index
    return value


def _string(schema: Schema) -> str:
    text = _FORMATS.get(str(schema.get("format", "")), "sim")
    text = text.ljust(int(schema.get("minLength", 0)), "x")
    longest = schema.get("maxLength")
    return text if longest is None else text[: int(longest)]


def _number(schema: Schema, *, whole: bool) -> float:
    step = schema.get("multipleOf") or (1 if whole else None)
    low, open_low = _bound(schema, "minimum", "exclusiveMinimum")
    high, open_high = _bound(schema, "maximum", "exclusiveMaximum")
    if step:
        value = math.ceil(low / step) * step if low is not None else 0
        if low is not None and open_low and value <= low:
            value += step
        if high is not None and low is None and (value > high or (open_high and value >= high)):
            value = math.floor(high / step) * step
            value -= step if open_high and value >= high else 0
        return value
    if low is None and high is None:
        return 0
    if low is not None and high is not None:
        return low if not open_low else (low + high) / 2
    if low is not None:
        return low + 1 if open_low else low
    assert high is not None
    return min(0, high - 1 if open_high else high)


def _bound(schema: Schema, inclusive: str, exclusive: str) -> tuple[float | None, bool]:
    strict = schema.get(exclusive)
    if isinstance(strict, (int, float)) and not isinstance(strict, bool):
        return strict, True
    return schema.get(inclusive), strict is True
