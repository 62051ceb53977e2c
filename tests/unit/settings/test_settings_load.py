"""`coreto.toml` and how the layers come together."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from coreto.errors import ConfigError
from coreto.settings.load import check, load
from coreto.settings.render import show

EXAMPLE = """
language = "pt-BR"
offline = false

[server]
host = "127.0.0.1"
port = 8080
api_keys = ["env:CORETO_API_KEY"]          # required when host is not loopback

[providers.ollama]                          # kind is implied by the well-known names
host = "http://127.0.0.1:11434"
memory_budget = "16 GB"
timeout = 120

[providers.openrouter]
api_key = "env:OPENROUTER_API_KEY"

[providers.lab]                             # any OpenAI-compatible server
kind = "openai"
base_url = "http://127.0.0.1:9911/v1"
local = false                               # default: true for loopback hosts
timeout = 2.0                               # seconds per attempt
stall_timeout = 2.0                         # between tokens

[providers.backup]
base_url = "http://127.0.0.1:9912/v1"

[models."ollama/phi3:mini"]
memory = "2.4 GB"
context = 4096

[roles.supervisor]
chain = ["ollama/phi3:mini", "openrouter/qwen/qwen-2.5-7b-instruct", "rules"]
temperature = 0.0
max_tokens = 10

[roles.chat]
chain = ["lab/primary", "backup/secondary"]
stream_failover = "continue"                # hold | continue | restart
fallback = true
cache_ttl = 0                               # > 0: cache and single-flight for this role

[budgets]
monthly_usd = 5.0
when_exceeded = "local"                     # local | refuse

[cache]
backend = "sqlite"                          # memory | sqlite | redis://…

[database]
url = "sqlite"                              # or postgresql://…
"""
KEYS = {"CORETO_API_KEY": "k-server", "OPENROUTER_API_KEY": "k-router"}


def message(run, *args, **kwargs) -> str:
    with pytest.raises(ConfigError) as caught:
        run(*args, **kwargs)
    assert "\n" not in caught.value.message
    return caught.value.message


def unplaced(text: str) -> str:
    """The message without the line of the file, which a test of its own is about."""
    return re.sub(r"(coreto\.toml):\d+: ", r"\1: ", text)


def test_the_example_of_the_design(load_text, cwd) -> None:
    """The example of the architecture loads and means what it says."""
    loaded = load_text(EXAMPLE, env=KEYS)
    effective = loaded.settings
    assert effective.language == "pt-BR"
    assert effective.server.api_keys == (SecretStr("k-server"),)
    assert effective.providers["ollama"].memory_budget == 16 * 2**30
    assert effective.providers["openrouter"].api_key == SecretStr("k-router")
    lab, backup = effective.providers["lab"], effective.providers["backup"]
    assert (lab.kind, lab.local, lab.timeout, lab.stall_timeout) == ("openai", False, 2.0, 2.0)
    assert (backup.kind, backup.local) == ("openai", True)
    assert effective.models["ollama/phi3:mini"].context == 4096
    assert effective.roles["chat"].chain == ("lab/primary", "backup/secondary")
    assert loaded.explicit_roles == {"supervisor", "chat"}
    assert loaded.file == cwd / "coreto.toml"
    assert loaded.origins['models."ollama/phi3:mini".context'] == str(loaded.file)
    assert loaded.origins["roles.supervisor.timeout"] == "default"


def test_no_configuration_at_all(load_text) -> None:
    """Without file and variables there are the well-known providers and the default roles."""
    loaded = load_text()
    assert set(loaded.settings.providers) == {"ollama", "ollama-cloud", "openrouter", "openai", "embedded"}
    assert {name: provider.local for name, provider in loaded.settings.providers.items()} == {
        "ollama": True,
        "ollama-cloud": False,
        "openrouter": False,
        "openai": False,
        "embedded": True,
    }
    assert loaded.file is None
    assert loaded.warnings == ()
    assert loaded.explicit_roles == frozenset()
    assert set(loaded.origins.values()) == {"default"}


def test_default_roles_have_their_last_resorts(load_text) -> None:
    """The embedded model ends the chains that it can serve, and only those."""
    roles = load_text().settings.roles
    with_embedded = {name for name, role in roles.items() if "embedded/smollm2" in role.chain}
    assert with_embedded == {"brain", "executor", "ui", "specialist", "consolidator"}
    with_rules = {name for name, role in roles.items() if role.chain[-1] == "rules"}
    assert with_rules == {"supervisor", "visual", "audio", "editor", "consolidator"}


def test_precedence(load_text, cwd) -> None:
    """Flags go before the environment, it before `.env`, that before the file, that before the default."""
    toml = 'log_level = "error"\nrequest_timeout = 1\ntrack_costs = false\nlanguage = "pt-BR"\n'
    loaded = load_text(
        toml,
        dotenv="LOG_LEVEL=info\nREQUEST_TIMEOUT=2\n",
        env={"LOG_LEVEL": "debug"},
        language="en",
        track_latency=None,
    )
    found = {row.key: (row.value, row.origin) for row in show(loaded)}
    assert found["log_level"] == ('"debug"', "environment LOG_LEVEL")
    assert found["request_timeout"] == ("2.0", str(cwd / ".env"))
    assert found["track_costs"] == ("false", str(cwd / "coreto.toml"))
    assert found["language"] == ('"en"', "flag")
    assert found["track_latency"] == ("true", "default")


def test_flags_by_dotted_key(load_text) -> None:
    """A flag may reach any key, names with dots and slashes in quotes."""
    loaded = load_text(
        EXAMPLE,
        env=KEYS,
        **{"server.port": 9, 'models."ollama/phi3:mini".context': 99, "roles.chat.chain": ("brain",)},
    )
    assert loaded.settings.server.port == 9
    assert loaded.settings.models["ollama/phi3:mini"].context == 99
    assert loaded.settings.roles["chat"].chain == loaded.settings.roles["brain"].chain
    assert loaded.origins["roles.chat.chain"] == "flag"


def test_flags_that_are_tables(cwd) -> None:
    """A table among the flags is laid over the others' settings, key by key."""
    overrides = {
        "roles": {"chat": {"chain": ["lab/x", "brain"]}},
        "providers.lab": {"base_url": "http://127.0.0.1:1/v1"},
    }
    loaded = load(env={}, cwd=cwd, overrides=overrides)
    assert loaded.settings.roles["chat"].chain[0] == "lab/x"
    assert "brain" in loaded.settings.roles
    assert loaded.settings.providers["lab"].local
    assert loaded.explicit_roles == {"chat"}
    assert loaded.origins["providers.lab.base_url"] == "flag"


def test_bad_flags(load_text) -> None:
    """A flag that is wrong is named as a flag."""
    assert message(load_text, **{"server.port": 70000}) == (
        "flag: server.port: expected a number of at most 65535, not 70000"
    )
    assert message(load_text, **{"server..port": 1}) == "flag: 'server..port' is not a dotted key"


def test_a_table_is_laid_over_the_default(load_text) -> None:
    """A role's table without a chain keeps the default chain, which then is not the user's own."""
    loaded = load_text("[roles.supervisor]\ntemperature = 0.5\n[providers.ollama]\nenabled = false\n")
    supervisor = loaded.settings.roles["supervisor"]
    assert (supervisor.temperature, supervisor.max_tokens) == (0.5, 10)
    assert supervisor.chain[0] == "ollama/phi3:mini"
    assert loaded.explicit_roles == frozenset()
    assert loaded.settings.providers["ollama"].base_url == "http://127.0.0.1:11434"


def test_where_the_file_is_found(tmp_path, cwd, monkeypatch) -> None:
    """The named file, else $CORETO_CONFIG, else the working directory's, else the user's."""
    monkeypatch.setattr(
        "coreto.settings.load.platformdirs.user_config_dir", lambda *a, **k: str(tmp_path / "user")
    )
    files = {name: tmp_path / name / "coreto.toml" for name in ("flag", "variable", "work", "user")}
    for file in files.values():
        file.parent.mkdir(exist_ok=True)
        file.write_text("")
    env = {"CORETO_CONFIG": str(files["variable"])}
    assert load(config=files["flag"], env=env, cwd=cwd).file == files["flag"]
    assert load(env=env, cwd=cwd).file == files["variable"]
    assert load(env={}, cwd=cwd).file == files["work"]
    files["work"].unlink()
    assert load(env={}, cwd=cwd).file == files["user"]
    files["user"].unlink()
    assert load(env={}, cwd=cwd).file is None
    (cwd / ".env").write_text("CORETO_CONFIG=../variable/coreto.toml")
    assert load(env={}, cwd=cwd).file == cwd / "../variable/coreto.toml"


def test_a_named_file_must_be_there(cwd) -> None:
    """A file that is named and missing is an error that says who named it."""
    missing = cwd / "no.toml"
    assert message(load, config=Path("no.toml"), env={}, cwd=cwd) == (
        f"{missing}: no such file (named by --config); `coreto init` writes one"
    )
    assert message(load, env={"CORETO_CONFIG": "no.toml"}, cwd=cwd) == (
        f"{missing}: no such file (named by environment variable CORETO_CONFIG); `coreto init` writes one"
    )


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ("srver = 1", "unknown key 'srver'; did you mean 'server'?"),
        ("[roles.brain.chain]\nx = 1", "roles.brain.chain: expected no table here"),
        ("[server]\nprot = 1", "unknown key 'prot' in [server]; did you mean 'port'?"),
        ("[server]\nport = '80'", "server.port: expected a whole number, not '80'"),
        ("[server]\nport = 70000", "server.port: expected a number of at most 65535, not 70000"),
        ("server = 3", "server: expected a table"),
        ("[[server]]\nport = 1", "server: expected a table"),
        ("offline = 'no'", "offline: expected true or false, not 'no'"),
        ("language = 'pt'", "language: expected 'pt-BR' or 'en', not 'pt'"),
        ("request_timeout = 0", "request_timeout: expected a number above 0, not 0"),
        ("request_timeout = inf", "request_timeout: expected a finite number, not inf"),
        ("request_timeout = true", "request_timeout: expected a number, not true"),
        ("data_dir = 3", "data_dir: expected text in quotes, not 3"),
        ("[budgets]\ndaily_usd = -1", "budgets.daily_usd: expected a number of at least 0, not -1"),
        ("[budgets]\ntimezone = 'Sao Paulo'", "budgets.timezone: expected the name of a time zone such as \"America/Sao_Paulo\", not 'Sao Paulo'"),
        ("[budgets.roles.brian]\ndaily_usd = 1", "unknown role 'brian' in [budgets.roles]; did you mean 'brain'?"),
        ("[budgets.users.ana]\nweekly_usd = 1", "unknown key 'weekly_usd' in [budgets.users.ana]; did you mean 'daily_usd'?"),
        ("[providers.ollama]\nmemory_budget = '16 XB'", "providers.ollama.memory_budget: expected a size such as \"16 GB\" or a number of bytes, not '16 XB'"),
        ("[providers.ollama]\nmemory_budget = 0", 'providers.ollama.memory_budget: expected a size above 0 such as "16 GB", or "auto", not 0'),
        ("[providers.ollama]\nkeep_alive = true", 'providers.ollama.keep_alive: expected a number of seconds or text such as "5m", not true'),
        ("[providers.ollama]\nurl = 'x'", "unknown key 'url' in [providers.ollama]; did you mean 'base_url'?"),
        ("[providers.ollama]\nhost = 'ftp://x'", 'providers.ollama.host: expected an address such as "http://127.0.0.1:11434"'),
        ("[providers]\nollama = 1", "providers.ollama: expected a table"),
        ("[providers]\nlab = 1", "providers.lab: expected a table, not 1"),
        ("[providers.lab]\nlocal = true", 'providers.lab: needs kind and base_url, e.g. kind = "openai", base_url = "http://127.0.0.1:8000/v1"'),
        ("[providers.lab]", 'providers.lab: needs kind and base_url, e.g. kind = "openai", base_url = "http://127.0.0.1:8000/v1"'),
        ("[providers.lab]\nkind = 'openai'", "providers.lab: needs base_url, the address of the server"),
        ("[providers.gpu]\nkind = 'ollama'", "providers.gpu: needs host, the address of the server"),
        ("[providers.lab]\nkind = 'opnai'\nbase_url='http://h/v1'", "providers.lab.kind: expected 'ollama', 'ollama-cloud', 'openai', 'openrouter', 'llamacpp' or 'embedded', not 'opnai'; did you mean 'openai'?"),
        ("[providers.lab]\nbase_url = 'h:1/v1'", 'providers.lab.base_url: expected a URL such as "http://h:1/v1"'),
        ("[providers.lab]\nbase_url = 'http://a/v1'\nhost = 'http://b/v1'", "providers.lab: host and base_url are two names for one thing; keep one of them"),
        ("[providers.openrouter]\nlocal = true", "providers.openrouter.local: expected false: openrouter is never on this machine"),
        ('[providers."a/b"]\nkind = "embedded"', 'providers."a/b": a provider\'s name has no slash'),
        ('[models."olama/x"]\ncontext = 99', "unknown provider 'olama' in models.\"olama/x\"; did you mean 'ollama'?"),
        ("[models.phi3]\ncontext = 99", "models.phi3: expected the name of a deployment, provider/model"),
        ("[roles.chat]", "roles.chat.chain: is missing"),
        ("[roles.chat]\ntimeout = 1", "roles.chat.chain: is missing"),
        ("[roles.chat]\nchain = []", "roles.chat.chain: expected at least one entry"),
        ("[roles.chat]\nchain = 'brain'", "roles.chat.chain: expected a list in brackets, not 'brain'"),
        ("[roles.chat]\nchain = [1]", "roles.chat.chain[0]: expected text in quotes, not 1"),
        ("[roles.chat]\nchain = ['olama/x']", "unknown provider 'olama' in roles.chat.chain[0]; did you mean 'ollama'?"),
        ("[roles.chat]\nchain = ['brian']", "unknown role 'brian' in roles.chat.chain[0]; did you mean 'brain'?"),
        ("[roles.chat]\nchain = ['brain']\nrules = [{ anwser = 'x', answer = 'y' }]", "unknown key 'anwser' in [roles.chat.rules[0]]; did you mean 'answer'?"),
        ("[roles.chat]\nchain = ['brain']\nstream_failover = 'contnue'", "roles.chat.stream_failover: expected 'hold', 'continue' or 'restart', not 'contnue'; did you mean 'continue'?"),
        ("[server]\nhost = '0.0.0.0'", 'server.api_keys: needed to listen on 0.0.0.0, beyond this machine, e.g. api_keys = ["env:CORETO_API_KEY"]'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_file(load_text, cwd, toml: str, expected: str) -> None:
    """Each mistake gets one line: file, key, what was expected and the nearest valid name."""
    file = cwd / "coreto.toml"
    assert unplaced(message(load_text, toml)) == f"{file}: {expected}"
    assert [unplaced(problem) for problem in check(env={}, cwd=cwd)] == [f"{file}: {expected}"]


def test_mistakes_have_their_line(load_text, cwd) -> None:
    """A mistake is named by the line of its key, or of its table where a key is missing."""
    toml = """# one
offline = 2

[providers.lab]  # a table
kind = "openai"

[roles."a.b"]
chain = [
    "brain",
    "olama/x = 1",
]
temperature = 9
[roles.empty]
[[roles.chat.rules]]
anwser = 1
"""
    with pytest.raises(ConfigError):
        load_text(toml)
    found = {p.split(": ")[1]: int(p.split(":")[1]) for p in check(env={}, cwd=cwd)}
    assert found == {
        "offline": 2,
        "providers.lab": 5,
        "unknown provider 'olama' in roles.\"a.b\".chain[1]; did you mean 'ollama'?": 8,
        'roles."a.b".temperature': 12,
        "roles.empty.chain": 13,
        "roles.chat.chain": 14,
        "roles.chat.rules[0].answer": 14,
        "unknown key 'anwser' in [roles.chat.rules[0]]; did you mean 'answer'?": 14,
    }


def test_files_that_cannot_be_read(load_text, cwd) -> None:
    """A file that is not TOML or not text is named, with the line where there is one."""
    file = cwd / "coreto.toml"
    assert message(load_text, "a = 1\nb = = 2").startswith(
        f"{file}: not valid TOML: Invalid value (at line 2"
    )
    file.write_bytes(b"\xff\xfe")
    assert message(load_text) == f"{file}: cannot be read: it is not UTF-8 text"
    file.unlink()
    assert message(load_text, dotenv="nonsense") == f"{cwd / '.env'}:1: expected NAME=value"


def test_several_mistakes(load_text, cwd) -> None:
    """The first mistake is shown and the others counted; the check lists them all."""
    text = message(load_text, "srver = 1\noffline = 3\n[roles.chat]\nchain = ['brian']")
    assert text.endswith(" (and 2 more; `coreto config check` lists them)")
    problems = check(env={}, cwd=cwd)
    assert len(problems) == 3
    assert text.startswith(problems[0])
    (cwd / "coreto.toml").unlink()
    assert check(env={}, cwd=cwd) == []


def test_missing_secret(load_text, cwd) -> None:
    """A secret whose variable is not set names the key, the file and the variable."""
    file = cwd / "coreto.toml"
    for toml, key in (
        ('[providers.openrouter]\napi_key = "env:NO_KEY"', "providers.openrouter.api_key"),
        ('[providers.openrouter.headers]\nX-Key = "env:NO_KEY"', "providers.openrouter.headers.X-Key"),
        ('[server]\napi_keys = ["env:NO_KEY"]', "server.api_keys[0]"),
        ('[media]\npexels_api_key = "env:NO_KEY"', "media.pexels_api_key"),
        ('[database]\nurl = "env:NO_KEY"', "database.url"),
    ):
        expected = f"{file}: {key}: environment variable NO_KEY is not set (nor is it in {cwd / '.env'})"
        assert unplaced(message(load_text, toml)) == expected


def test_secret_of_a_provider_that_is_off(load_text) -> None:
    """A provider that is switched off needs no key."""
    toml = '[providers.openrouter]\nenabled = false\napi_key = "env:NO_KEY"'
    assert load_text(toml).settings.providers["openrouter"].api_key is None
    toml = '[providers.ollama-cloud]\napi_key = "env:NO_KEY"'
    assert (
        load_text(toml, env={"OLLAMA_CLOUD_ENABLED": "no"}).settings.providers["ollama-cloud"].api_key is None
    )


def test_secret_from_dotenv(load_text) -> None:
    """``env:NAME`` finds its variable in `.env` too."""
    loaded = load_text('[providers.openrouter]\napi_key = "env:MINE"', dotenv="MINE=s3cret # mine")
    assert loaded.settings.providers["openrouter"].api_key == SecretStr("s3cret")
    assert loaded.warnings == ()


def test_secret_written_out(load_text, cwd) -> None:
    """A secret in the file works, with a warning that does not repeat it."""
    loaded = load_text('[providers.openrouter]\napi_key = "s3cret"')
    assert loaded.warnings == (
        f'{cwd / "coreto.toml"}:2: a secret is written out in providers.openrouter.api_key; "env:NAME" keeps it out of the file',
    )


def test_secrets_are_never_shown(load_text, cwd) -> None:
    """No secret is in the repr, the rows of `config show`, the warnings, the digest or an error."""
    toml = """
        [server]
        api_keys = ["s3cret-1"]
        [providers.openrouter]
        api_key = "s3cret-2"
        headers = { Authorization = "Bearer s3cret-3" }
        [providers.lab]
        base_url = "http://user:s3cret-4@127.0.0.1:1/v1"
        [media]
        pexels_api_key = "s3cret-5"
        [cache]
        backend = "redis://:s3cret-6@h"
        """
    env = {"OPENAI_API_KEY": "s3cret-7", "CORETO_DATABASE_URL": "postgresql://u:s3cret-8@h/db"}
    loaded = load_text(toml, env=env)
    shown = "\n".join(f"{row.key} {row.value} {row.origin}" for row in show(loaded))
    for text in (
        repr(loaded),
        str(loaded.settings),
        shown,
        *loaded.warnings,
        loaded.digest,
        repr(loaded.origins),
    ):
        assert "s3cret" not in text
    for key in ("providers.openrouter.api_key", "providers.openrouter.headers.Authorization"):
        assert f"{key} ****" in shown
    bad = toml.replace("127.0.0.1:1/v1", "bad port:x") + "\nurl = 1\n[database]\nurl = ['s3cret-9']"
    (cwd / "coreto.toml").write_text(bad.replace('"s3cret-2"', '["s3cret-2"]'))
    problems = check(env={}, cwd=cwd)
    assert len(problems) >= 4
    assert "s3cret" not in "\n".join(problems)


def test_digest_tells_configurations_apart(load_text) -> None:
    """Two loads have the same digest exactly when the effective settings, secrets included, are equal."""
    first = load_text(env={"OPENROUTER_API_KEY": "a"})
    assert load_text(env={"OPENROUTER_API_KEY": "a"}).digest == first.digest
    assert load_text(dotenv="OPENROUTER_API_KEY=a").digest == first.digest
    assert load_text(env={"OPENROUTER_API_KEY": "b"}).digest != first.digest
    assert load_text(env={"OPENROUTER_API_KEY": "a", "LOG_LEVEL": "debug"}).digest != first.digest


def test_paths_count_from_the_file(load_text, tmp_path, cwd) -> None:
    """A relative path in the file is in the file's folder, wherever the command runs."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "c.toml").write_text('data_dir = "d"\n[models."embedded/m"]\npath = "m.gguf"\n')
    effective = load(config=folder / "c.toml", env={"CORETO_MODELS_DIR": "m"}, cwd=cwd).settings
    assert effective.data_dir == folder / "d"
    assert effective.models_dir == cwd / "m"
    assert effective.models["embedded/m"].path == folder / "m.gguf"


def test_kinds_with_an_address_of_their_own(load_text) -> None:
    """A second account of a public service needs only its kind; a named local Ollama its host."""
    toml = '[providers.second]\nkind = "openrouter"\n[providers.gpu]\nkind = "ollama"\nhost = "10.0.0.2"\n'
    providers = load_text(toml).settings.providers
    assert providers["second"].base_url == "https://openrouter.ai/api/v1"
    assert (providers["gpu"].host, providers["gpu"].base_url) == ("http://10.0.0.2:11434",) * 2
    assert (providers["second"].local, providers["gpu"].local) == (False, False)


def test_public_kinds_are_never_local(load_text) -> None:
    """Ollama Cloud and OpenRouter are off this machine even behind a loopback address."""
    env = {"OLLAMA_CLOUD_BASE_URL": "http://127.0.0.1:7000"}
    toml = '[providers.openrouter]\nbase_url = "http://127.0.0.1:7001/v1"\n'
    providers = load_text(toml, env=env).settings.providers
    assert (providers["ollama-cloud"].local, providers["openrouter"].local) == (False, False)


def test_variable_goes_before_either_name_of_the_address(load_text) -> None:
    """OLLAMA_HOST wins over the file's address, whichever name the file uses."""
    for name in ("host", "base_url"):
        loaded = load_text(f'[providers.ollama]\n{name} = "http://file:1"', env={"OLLAMA_HOST": "env:2"})
        assert loaded.settings.providers["ollama"].base_url == "http://env:2"
    assert (
        load_text('[providers.ollama]\nbase_url = "http://file:1"').settings.providers["ollama"].host
        == "http://file:1"
    )


def test_listening_beyond_this_machine(load_text) -> None:
    """With keys the server may listen anywhere; without, on this machine only."""
    assert (
        load_text('[server]\nhost = "0.0.0.0"\napi_keys = ["env:K"]', env={"K": "k"}).settings.server.host
        == "0.0.0.0"
    )
    assert load_text('[server]\nhost = "localhost"').settings.server.api_keys == ()


def test_settings_are_frozen(load_text) -> None:
    """Nobody changes the settings after they are loaded."""
    loaded = load_text()
    with pytest.raises(ValueError, match="frozen"):
        loaded.settings.offline = True
    with pytest.raises(TypeError):
        loaded.origins["offline"] = "me"


SECTIONS = ["", "[server]", "[providers.ollama]", "[providers.lab]", '[models."ollama/x"]', "[roles.brain]", "[roles.chat]", "[crews]", "[[roles.chat.rules]]"]  # fmt: skip
NAMES = [
    "server", "providers", "roles", "offline", "request_timeout", "host", "port", "api_keys", "api_key", "kind", "base_url",
    "headers", "timeout", "enabled", "local", "memory", "chain", "labels", "rules", "json_answer", "answer", "contains", "x",
]  # fmt: skip
VALUES = ["1", "-1", "1.5", "nan", "true", "''", "'rules'", "'brain'", "'http://h/v1'", "'env:X'", "[]", "[1]", "['brain']", "['']", "['lab/x', 'rules']", "{}", "{ a = 1 }", "1979-05-27", "[[1]]", "'openai'", "'[::'"]  # fmt: skip
FILES = st.lists(
    st.tuples(
        st.sampled_from(SECTIONS),
        st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), max_size=4),
    ),
    max_size=4,
    unique_by=lambda part: part[0],
)


@given(FILES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_loads_or_is_refused(cwd, parts: list[tuple[str, dict[str, str]]]) -> None:
    """Whatever is in the file, it loads or every problem is one line; nothing else is raised."""
    parts = sorted(parts, key=lambda part: part[0])  # the top level comes first
    text = "\n".join([head + "\n" + "\n".join(f"{k} = {v}" for k, v in body.items()) for head, body in parts])
    (cwd / "coreto.toml").write_text(text)
    problems = check(env={"OLLAMA_CLOUD_MODEL": "m", "SLM_TIMEOUT": "3"}, cwd=cwd)
    assert all(problem and "\n" not in problem for problem in problems)
    if not problems:
        assert (
            load(env={"OLLAMA_CLOUD_MODEL": "m", "SLM_TIMEOUT": "3"}, cwd=cwd).settings.roles["brain"].chain
        )
