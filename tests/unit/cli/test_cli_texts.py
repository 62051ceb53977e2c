"""The catalogue of texts."""

import ast
import re
import string
from pathlib import Path

import pytest

import coreto.cli
from coreto.cli.texts import CATALOGUE, Texts

SOURCES = sorted(Path(coreto.cli.__file__).parent.rglob("*.py"))
PREFIXES = {key.partition(".")[0] for key in CATALOGUE}


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("key", CATALOGUE)
def test_both_languages_say_the_same(key) -> None:
    """Every text is there in both languages, with the same placeholders."""
    entry = CATALOGUE[key]
    assert entry.keys() == {"en", "pt-BR"}
    assert placeholders(entry["en"]) == placeholders(entry["pt-BR"])
    assert all(text.strip() for text in entry.values())


def test_every_key_that_the_source_names_is_there() -> None:
    """A text that is used exists, and one that exists is used (keys made of parts: by their beginning)."""
    named, begun = set(), set()
    for path in SOURCES:
        if path.name.startswith("texts"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                first = node.values[0]
                if isinstance(first, ast.Constant) and "." in str(first.value):
                    begun.add(str(first.value))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                named.add(node.value)
    begun = {start for start in begun if start.partition(".")[0] in PREFIXES}
    unused = [
        key for key in CATALOGUE if key not in named and not any(key.startswith(start) for start in begun)
    ]
    relative = {f"costs.{part}" for part in named} | {f"status.{part}" for part in named}
    assert [key for key in unused if key not in relative] == []
    wanted = {name for name in named if name.partition(".")[0] in PREFIXES and name.count(".") == 1}
    wanted = {name for name in wanted if re.fullmatch(r"[a-z_]+\.[a-z_]+", name)}
    assert wanted <= CATALOGUE.keys()


def test_values_may_be_called_key() -> None:
    """A placeholder may have any name, and braces in a value stay as they are."""
    assert "{x}" in Texts()("doctor.signed_out.mend", key="{x}")


def test_decimals() -> None:
    """Portuguese writes a comma."""
    assert (Texts().decimal, Texts("pt-BR").decimal) == (".", ",")
