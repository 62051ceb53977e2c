"""Chains of roles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.errors import ConfigError
from coreto.settings.chains import expand, resolve
from coreto.settings.model import ProviderSettings, RoleSettings

PROVIDERS = {"ollama": ProviderSettings(), "ollama-cloud": ProviderSettings(), "embedded": ProviderSettings()}


def chains(**roles: list[str]) -> dict[str, tuple[str, ...]]:
    expanded = expand({name: RoleSettings(chain=tuple(chain)) for name, chain in roles.items()}, PROVIDERS)
    return {name: role.chain for name, role in expanded.items()}


def error(**roles: list[str]) -> str:
    with pytest.raises(ConfigError) as caught:
        chains(**roles)
    return caught.value.message


def test_roles_are_spliced() -> None:
    """A role's name gives way to its deployments, through any depth, each kept once."""
    assert chains(a=["ollama/x", "b"], b=["ollama/y", "c", "ollama/x"], c=["ollama/z"]) == {
        "a": ("ollama/x", "ollama/y", "ollama/z"),
        "b": ("ollama/y", "ollama/z", "ollama/x"),
        "c": ("ollama/z",),
    }


def test_rules_are_not_lent() -> None:
    """The rules of a role answer for that role alone."""
    assert chains(a=["b"], b=["ollama/y", "rules"]) == {"a": ("ollama/y",), "b": ("ollama/y", "rules")}


def test_embedded_default_is_not_lent_where_it_cannot_serve() -> None:
    """A role that wants JSON takes no embedded default from another, but keeps one that it names."""
    roles = {
        "brain": RoleSettings(chain=("ollama/y", "embedded/smollm2")),
        "json": RoleSettings(chain=("brain", "rules"), json_answer=True),
        "own": RoleSettings(chain=("brain", "embedded/smollm2"), json_answer=True),
        "plain": RoleSettings(chain=("brain",)),
        "small": RoleSettings(chain=("embedded/smollm2",)),
        "last": RoleSettings(chain=("small",), json_answer=True),
    }
    expanded = {name: role.chain for name, role in expand(roles, PROVIDERS).items()}
    assert expanded["json"] == ("ollama/y", "rules")
    assert expanded["last"] == ("embedded/smollm2",)
    assert expanded["own"] == expanded["plain"] == ("ollama/y", "embedded/smollm2")


def test_cloud_suffix_is_stripped() -> None:
    """On ollama.com a cloud model has no suffix; through the local daemon it keeps it."""
    assert chains(a=["ollama-cloud/q:480b-cloud", "ollama-cloud/m:cloud", "ollama/q:480b-cloud"])["a"] == (
        "ollama-cloud/q:480b",
        "ollama-cloud/m",
        "ollama/q:480b-cloud",
    )


@pytest.mark.parametrize(
    ("chain", "message"),
    [
        (["olama/x"], "unknown provider 'olama' in roles.a.chain[0]; did you mean 'ollama'?"),
        (["ollama/x", "brian"], "unknown role 'brian' in roles.a.chain[1]; did you mean 'brain'?"),
        (["ruls"], "unknown role 'ruls' in roles.a.chain[0]; did you mean 'rules'?"),
        (["ollama"], "unknown role 'ollama' in roles.a.chain[0]; a deployment is written ollama/MODEL"),
        (["ollama/"], "roles.a.chain[0]: expected ollama/MODEL"),
        (["rules", "ollama/x"], "roles.a.chain[0]: 'rules' always answers, so it must be the last entry"),
        (["a"], "roles.a.chain leads back to itself: a -> a"),
    ],
)
def test_bad_entries(chain: list[str], message: str) -> None:
    """A wrong entry is named by its place, with the nearest valid name."""
    assert error(a=chain, brain=["ollama/y"]) == message


def test_cycles_are_named_once() -> None:
    """A cycle through several roles is one problem that shows the way."""
    _, problems = resolve({"a": ["b"], "b": ["c"], "c": ["a"]}, providers=PROVIDERS)
    assert [problem.text for problem in problems] == ["roles.a.chain leads back to itself: a -> b -> c -> a"]


@pytest.mark.parametrize("name", ["rules", "auto", "x/y"])
def test_reserved_names(name: str) -> None:
    """A role may not take a name that means something else in a request or a chain."""
    assert "is not 'rules' or 'auto'" in error(**{name: ["ollama/x"]})


ENTRIES = st.sampled_from(["a", "b", "c", "ollama/x", "ollama/y", "embedded/smollm2", "rules"])


@given(st.fixed_dictionaries({n: st.lists(ENTRIES, max_size=4) for n in "abc"}))
def test_resolve_always_ends(roles: dict[str, list[str]]) -> None:
    """Whatever the chains, they resolve to deployments without duplicates, or a problem says why not."""
    resolved, problems = resolve(roles, providers=PROVIDERS)
    for name, chain in resolved.items():
        assert len(set(chain)) == len(chain)
        assert not set(chain) & set(roles)
        if not problems:
            assert set(chain) >= {e for e in roles[name] if e not in roles}
            assert "rules" not in chain[:-1]
