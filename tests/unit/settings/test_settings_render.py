"""The settings as text, and the files written from them."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from coreto.settings.dotenv import parse_dotenv
from coreto.settings.draft import dotted, split_dotted
from coreto.settings.render import env_example, init_text, reference_markdown, show
from coreto.settings.units import parse_bytes

ROOT = Path(__file__).parents[3]
KEYS = dict.fromkeys(
    (
        "CORETO_API_KEY",
        "OLLAMA_API_KEY",
        "OPENROUTER_API_KEY",
        "LAB_API_KEY",
        "PEXELS_API_KEY",
        "PIXABAY_API_KEY",
    ),
    "k",
)


def test_init_file_loads(load_text) -> None:
    """The file that `coreto init` writes is good as it is and changes nothing."""
    before = load_text()
    after = load_text(init_text())
    assert after.settings == before.settings
    assert after.warnings == ()


def test_init_file_loads_with_everything_on(load_text) -> None:
    """Every setting that is commented out in that file is good when the sign is taken away."""
    text = re.sub(r"^#(?=[\w\[])", "", init_text(), flags=re.MULTILINE)
    loaded = load_text(text, env=KEYS)
    assert loaded.settings.roles["chat"].chain[0] == "lab/my-model"
    assert loaded.explicit_roles == set(loaded.settings.roles)
    assert {"budgets", "cache", "database", "media", "models"} <= set(tomllib.loads(text))


def test_init_file_explains_every_setting() -> None:
    """Each setting has a line above it that says what it is for, the first time it occurs."""
    lines = init_text().splitlines()
    seen: set[str] = set()
    for above, line in pairwise(lines):
        match = re.match(r"#?(\w+) = ", line)
        if match and match[1] not in seen:
            seen.add(match[1])
            assert above.startswith("# "), line
    assert {"language", "port", "api_keys", "chain", "monthly_usd"} <= seen


@pytest.mark.parametrize(
    ("path", "text"),
    [("docs/reference/configuration.md", reference_markdown), (".env.example", env_example)],
)
def test_written_files_are_up_to_date(path: str, text) -> None:
    """The files written from the schema are those in the repository.

    To renew them: ``python -m coreto.settings.render``.
    """
    assert (ROOT / path).read_text(encoding="utf-8") == text()


def test_env_example_loads(load_text) -> None:
    """`.env.example` is good as it is, and with every line that has a value switched on it changes nothing
    but the models that it names."""
    assert load_text(dotenv=env_example()).origins == load_text().origins
    switched_on = re.sub(
        r"^#(?=[A-Z])", "", env_example().replace("#CORETO_CONFIG", "# CORETO_CONFIG"), flags=re.MULTILINE
    )
    assert len(parse_dotenv(switched_on)) > 30
    settings = load_text(dotenv=switched_on).settings
    default = load_text(dotenv="# none").settings
    assert settings.crews == default.crews
    assert settings.media == default.media
    assert settings.roles["brain"] == default.roles["brain"]
    assert settings.roles["executor"] == default.roles["executor"]


def test_show_names_keys_as_in_the_file(load_text) -> None:
    """A row's key is what the file calls it, and its value is TOML."""
    loaded = load_text('[models."ollama/phi3:mini"]\nmemory = "1 GB"\n[server]\napi_keys = ["a", "b"]\n')
    rows = {row.key: row for row in show(loaded)}
    assert rows['models."ollama/phi3:mini".memory'].value == str(2**30)
    assert rows["server.api_keys"].value == "[****, ****]"
    assert rows["server.api_keys"].origin == str(loaded.file)
    assert rows["data_dir"].value == "(not set)"
    assert len(rows) == len(show(loaded))


def test_dotted_keys() -> None:
    """A key is written as in TOML and read back."""
    for key in (("a",), ("a", "b-c"), ("models", "ollama/phi3:mini", "context"), ("models", "a.b", "c")):
        assert split_dotted(dotted(key)) == key
    assert dotted(("roles", "chat", "chain", 0)) == "roles.chat.chain[0]"
    for text in ("", "a..b", "a.", ".a", 'a."b'):
        with pytest.raises(ValueError, match="is not a dotted key"):
            split_dotted(text)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("16 GB", 16 * 2**30),
        ("2.4gb", round(2.4 * 2**30)),
        ("512 MiB", 2**29),
        ("1k", 1024),
        (7, 7),
        ("7", 7),
    ],
)
def test_sizes(value: object, size: int) -> None:
    """A size is a number of bytes or a number with its unit."""
    assert parse_bytes(value) == size


@pytest.mark.parametrize("value", [True, -1, "16 XB", "GB", "", None, 1.5, "-1 GB"])
def test_what_is_no_size(value: object) -> None:
    """Anything else is refused with the form of a size."""
    with pytest.raises(ValueError, match='a size such as "16 GB"'):
        parse_bytes(value)
