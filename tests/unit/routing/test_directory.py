"""Names to plans: what is in a chain, what was dropped and why, what is nearest."""

from dataclasses import replace

import pytest

from coreto.clock import SystemClock
from coreto.errors import ConfigError, MissingModelError, RetiredError, UnknownModelError
from coreto.gateway.prepare import prepared
from coreto.messages import Call, Limits
from coreto.providers.base import Health, ModelInfo
from coreto.providers.discovery import Found
from coreto.providers.factory import Site
from coreto.providers.rules import Rules
from coreto.resilience.output import Expectation
from coreto.routing.directory import DirectoryBuilder
from coreto.settings.load import load
from coreto.testing.provider import FakeProvider

UP = Health(ok=True, detail="up")
DOWN = Health(ok=False, detail="nothing listens there", code="unreachable")


def site(name, kind="openai", *, local=True, **more):
    fake = FakeProvider(local=local)
    return Site(name, kind, local, fake, Limits(attempt=40.0), embedder=fake, **more)


SITES = {
    "ollama": site("ollama", "ollama"),
    "ollama-cloud": site("ollama-cloud", "ollama-cloud", local=False),
    "openrouter": site("openrouter", "openrouter", local=False),
    "embedded": site("embedded", "embedded"),
    "lab": site("lab"),
}
INVENTORY = {
    "ollama": Found(
        UP,
        (
            ModelInfo("phi3:mini", 22, 4096),
            ModelInfo("mine:latest", 384, local=False),
            ModelInfo("llama3.2:latest", 2, 131072),
            ModelInfo("nomic-embed-text:latest", 1),
            ModelInfo("gpt-oss:120b-cloud", 1, local=False),
        ),
    ),
    "embedded": Found(UP, (ModelInfo("smollm2", 1, 2048),)),
    "lab": Found(UP, (ModelInfo("small"), ModelInfo("text-embedding-3-small"))),
}


def build(tmp_path, toml="", *, sites=SITES, inventory=INVENTORY, rules=None):
    file = tmp_path / "coreto.toml"
    lab = '[providers.lab]\nbase_url = "http://127.0.0.1:9/v1"\n'
    file.write_text(f"discovery = false\n{toml}\n{lab}")
    loaded = load(config=file, env={}, cwd=tmp_path)
    builder = DirectoryBuilder(
        loaded.settings,
        sites,
        inventory,
        rules=rules or Rules({}),
        explicit_roles=loaded.explicit_roles,
        clock=SystemClock(),
    )
    return builder.build()


def chain(plan):
    return [candidate.deployment.id for candidate in plan.candidates]


def test_directory_default_chains_lose_what_is_not_there(tmp_path):
    """A default chain keeps what is reachable and pulled, and says why the rest is gone and how to get it."""
    directory = build(tmp_path)
    plan = directory.plan("executor")
    assert "ollama/qwen2.5-coder:14b" not in chain(plan)
    assert (
        dict(plan.dropped)["ollama/qwen2.5-coder:14b"]
        == "not pulled: `coreto models pull ollama/qwen2.5-coder:14b`"
    )
    assert chain(directory.plan("supervisor"))[0] == "ollama/phi3:mini"


def test_directory_default_chain_of_a_server_that_is_down(tmp_path):
    """Models of a server that is down leave the default chains, with its own words."""
    directory = build(tmp_path, inventory={**INVENTORY, "ollama": Found(DOWN)})
    plan = directory.plan("supervisor")
    assert dict(plan.dropped)["ollama/phi3:mini"] == "nothing listens there"
    assert not any(name.startswith("ollama/") for name in chain(plan))


def test_directory_explicit_chains_stay_as_written(tmp_path):
    """A user's own chain keeps what is down or not pulled now: it may be back when it is asked."""
    toml = '[roles.mine]\nchain = ["ollama/nobody:7b", "lab/x"]\n'
    plan = build(tmp_path, toml, inventory={"ollama": Found(DOWN)}).plan("mine")
    assert chain(plan) == ["ollama/nobody:7b", "lab/x"]
    assert plan.dropped == ()


def test_directory_brain_takes_what_was_found(tmp_path):
    """The default brain gets every local chat model that was found, before the embedded one; no embedder."""
    names = chain(build(tmp_path).plan("brain"))
    assert names[-1] == "embedded/smollm2"
    assert {"ollama/phi3:mini", "ollama/llama3.2:latest", "lab/small"} <= set(names)
    assert not any("embed-" in name or "embedding" in name for name in names)
    assert not any(name in names for name in ("ollama/mine:latest", "ollama/gpt-oss:120b-cloud"))
    own = build(tmp_path, '[roles.brain]\nchain = ["lab/x"]\n')
    assert chain(own.plan("brain")) == ["lab/x"]
    assert chain(own.plan("auto")) == ["lab/x"]


def test_directory_retired_models_are_replaced(tmp_path):
    """Retired models are replaced in chains with a warning, each once; the trace never sees the old name."""
    directory = build(tmp_path)
    assert chain(directory.plan("brain"))[:2] == [
        "ollama-cloud/qwen3.5:397b",
        "ollama-cloud/deepseek-v4-flash",
    ]
    assert len(directory.warnings) == len(set(directory.warnings)) == 2
    assert directory.plan("brain").baseline.id == "ollama-cloud/qwen3.5:397b"


def test_directory_names(tmp_path):
    """A role, ``auto`` and any model of a known provider have a plan; others get the nearest names."""
    directory = build(tmp_path, '[roles.chat]\nchain = ["lab/x"]\n')
    assert directory.plan("chat").role == "chat"
    own = directory.plan("openrouter/meta/llama-3:free")
    assert (own.role, own.fallback, chain(own)) == (None, False, ["openrouter/meta/llama-3:free"])
    with pytest.raises(UnknownModelError) as bare:
        directory.plan("phi3:mini")
    assert bare.value.nearest == ("ollama/phi3:mini",)
    with pytest.raises(UnknownModelError) as typo:
        directory.plan("chatt")
    assert "chat" in typo.value.nearest
    for name in ("", "nobody/x", "lab/", "rules"):
        with pytest.raises(UnknownModelError):
            directory.plan(name)


@pytest.mark.parametrize(
    "name", ["ollama-cloud/x", "openrouter/x/y", "ollama/gpt-oss:20b-cloud", "ollama/mine"]
)
def test_directory_offline(tmp_path, name):
    """Offline, nothing off the machine has a candidate: not by name, not in a chain, not as an heir."""
    toml = f'offline = true\n[roles.far]\nchain = ["{name}", "lab/x"]\n'
    directory = build(tmp_path, toml)
    assert directory.plan(name).candidates == ()
    assert directory.plan(name).dropped == ((name, "offline"),)
    assert chain(directory.plan("far")) == ["lab/x"]
    assert all(deployment.local for deployment in directory.deployments.values())


def test_directory_local(tmp_path):
    """What runs on this machine: not the cloud, not its models behind the local daemon, by whatever name."""
    directory = build(tmp_path)

    def local(name):
        return directory.plan(name).candidates[0].deployment.local

    assert local("ollama/phi3:mini")
    assert local("ollama/unheard:7b")
    assert local("lab/x")
    assert local("embedded/smollm2")
    for name in ("ollama/x:cloud", "ollama/x:7b-cloud", "ollama/mine", "ollama/mine:latest", "openrouter/x"):
        assert not local(name), name
    accounts = {
        name: directory.plan(name).candidates[0].deployment.account for name in ("ollama/x:cloud", "lab/x")
    }
    assert accounts == {"ollama/x:cloud": "ollama-cloud", "lab/x": "lab"}


def test_directory_unusable_and_disabled(tmp_path):
    """A provider without its key, or switched off, has no candidates anywhere and says why."""
    sites = {**SITES, "openrouter": replace(SITES["openrouter"], unusable="no key: set OPENROUTER_API_KEY")}
    toml = '[roles.far]\nchain = ["openrouter/x/y", "lab/x"]\n[providers.ollama]\nenabled = false\n'
    directory = build(tmp_path, toml, sites={k: v for k, v in sites.items() if k != "ollama"})
    assert directory.plan("far").dropped == (("openrouter/x/y", "no key: set OPENROUTER_API_KEY"),)
    assert directory.plan("openrouter/x/y").candidates == ()
    assert dict(directory.plan("supervisor").dropped)["ollama/phi3:mini"] == "provider 'ollama' is disabled"


def test_directory_what_is_known_of_a_model(tmp_path):
    """The user's word on a model goes before what its server lists, that before what its name tells."""
    toml = '[models."ollama/phi3:mini"]\nmemory = 3_000_000_000\ncontext = 1024\n'
    own = build(tmp_path, toml).plan("ollama/phi3:mini").candidates[0].deployment
    assert (own.memory, own.context) == (3_000_000_000, 1024)
    listed = build(tmp_path).plan("ollama/llama3.2").candidates[0].deployment
    assert (listed.memory, listed.context) == (2, 131072)
    named = build(tmp_path).plan("openrouter/anthropic/claude-3-haiku").candidates[0].deployment
    assert (named.memory, named.context) == (None, 200_000)


def test_directory_successors(tmp_path):
    """An heir is declared by the user, known to the catalogue or offered by the provider, in this order."""
    toml = '[models."lab/old"]\nsuccessor = "new"\n'
    directory = build(tmp_path, toml)

    def heir(name, *offered):
        error = RetiredError("gone") if offered else MissingModelError("gone")
        if offered:
            error.successors = offered
        found = directory.successor(directory.plan(name).candidates[0], error)
        return found and found.deployment.id

    assert heir("lab/old", "offered") == "lab/new"
    assert heir("lab/x", "offered") == "lab/offered"
    assert heir("lab/x") is None
    assert heir("lab/x", "x") is None
    assert heir("ollama-cloud/qwen3-coder:480b") == "ollama-cloud/qwen3.5:397b"


def test_directory_rules_need_rules(tmp_path):
    """``rules`` are a candidate of the roles that have some."""
    toml = '[roles.a]\nchain = ["lab/x", "rules"]\n[roles.b]\nchain = ["lab/x", "rules"]\n'
    directory = build(tmp_path, toml, rules=Rules({"a": lambda _: "x"}))
    assert chain(directory.plan("a")) == ["lab/x", "rules"]
    assert dict(directory.plan("b").dropped) == {"rules": "this role has no rules"}
    assert "rules" not in directory.deployments


@pytest.mark.parametrize(
    ("text", "word"), [(None, "cannot read"), ("{", "not a JSON schema"), ('{"type": "wrong"}', "schema")]
)
def test_directory_bad_schema_files(tmp_path, text, word):
    """A role's schema that is missing, broken or no schema is a configuration error naming key and file."""
    path = tmp_path / "schema.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=r"roles\.x\.response_schema") as caught:
        build(tmp_path, f'[roles.x]\nchain = ["lab/x"]\nresponse_schema = "{path}"\n')
    assert "schema.json" in caught.value.message
    assert word in caught.value.message


@pytest.mark.parametrize(
    ("toml", "name", "window"),
    [
        ('[roles.x]\nchain = ["lab/b"]\ncontext = 512\n', "x", 512),
        ('[roles.x]\nchain = ["lab/b"]\n[models."lab/b"]\ncontext = 4096\n', "x", 4096),
        ('[roles.x]\nchain = ["lab/b"]\ncontext = 512\n[models."lab/b"]\ncontext = 4096\n', "x", 512),
        ('[roles.x]\nchain = ["lab/b"]\n[models."lab/b"]\ncontext = 4096\n', "lab/b", 4096),
        ('[roles.x]\nchain = ["lab/b"]\n', "x", None),
    ],
)
def test_directory_window(tmp_path, toml, name, window):
    """The window is fixed where the role or the model declares it, and left to the engine elsewhere."""
    assert build(tmp_path, toml).plan(name).candidates[0].window == window


def test_prepare_role_settings(tmp_path):
    """The role's settings fill what the caller left open; the caller's body is not changed in place."""
    toml = '[roles.x]\nchain = ["lab/b"]\ntemperature = 0.0\nmax_tokens = 9\njson_answer = true\n'
    plan = build(tmp_path, toml).plan("x")
    body = {"messages": [], "max_completion_tokens": 5}
    call = prepared(Call("c", body, "x", deadline=50.0), plan, 99.0)
    assert call.body == {**body, "temperature": 0.0, "response_format": {"type": "json_object"}}
    assert body == {"messages": [], "max_completion_tokens": 5}
    assert (call.role, call.deadline) == ("x", 50.0)
    given = prepared(
        Call("c", {"temperature": 2, "max_tokens": 1, "response_format": {"type": "text"}}, "x"), plan, 9.0
    )
    assert given.body == {"temperature": 2, "max_tokens": 1, "response_format": {"type": "text"}}
    assert plan.expected == Expectation(json=True)
