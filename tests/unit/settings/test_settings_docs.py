"""The how-to about hybrid use says only what is so."""

import re
import textwrap
from pathlib import Path

import pytest

from coreto.settings.defaults import default_roles
from coreto.settings.dotenv import parse_dotenv
from coreto.settings.variables import ESTABLISHED, OWN, ROLE_MODELS

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "usar-hibrido.pt-BR.md"
TEXT = PAGE.read_text(encoding="utf-8")
KNOWN = {variable.name for variable in (*ESTABLISHED, *ROLE_MODELS, *OWN)} | {"OLLAMA_API_KEY"}


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^([ ]*)```{language}\n(.*?)^\1```", TEXT, flags=re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(body) for _, body in found]


@pytest.mark.parametrize("toml", blocks("toml"))
def test_every_toml_example_loads(load_text, toml: str) -> None:
    """Each configuration shown is good."""
    assert load_text(toml, env={"OPENROUTER_API_KEY": "k"}).warnings == ()


def test_every_env_example_loads(load_text) -> None:
    """Each `.env` shown is good and names only variables that exist."""
    examples = [block for block in blocks("sh") if re.search(r"^[A-Z_]+=", block, flags=re.MULTILINE)]
    assert len(examples) == 2
    for example in examples:
        assert set(parse_dotenv(example)) <= KNOWN
        assert load_text(dotenv=example).warnings == ()


def test_every_variable_and_role_exists() -> None:
    """What the page calls a variable or a role of the defaults is one."""
    variables = set(re.findall(r"`([A-Z]+_[A-Z_]+)(?:=\w+)?`", TEXT))
    assert len(variables) > 10
    assert variables <= KNOWN
    roles = set(re.findall(r"^\| `(\w+)` \(", TEXT, flags=re.MULTILINE))
    assert {"brain", "executor", "supervisor", "script"} == roles
    assert roles <= set(default_roles())


def test_links_lead_somewhere() -> None:
    """Relative links of the page lead to files of the repository."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in link]
    assert len(links) >= 2
    assert all((PAGE.parent / link).exists() for link in links)
