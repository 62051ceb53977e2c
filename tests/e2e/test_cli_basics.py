"""The command line itself: help, flags, settings, errors."""

import os
import resource
import subprocess
import sys

import pytest

COMMANDS = (
    ("ask",),
    ("status",),
    ("doctor",),
    ("costs",),
    ("serve",),
    ("init",),
    ("models",),
    ("models", "list"),
    ("models", "pull"),
    ("models", "show"),
    ("config",),
    ("config", "check"),
    ("config", "show"),
    ("keys",),
    ("keys", "create"),
    ("keys", "list"),
    ("keys", "revoke"),
    ("ps",),
    ("insights",),
    ("prompts",),
    ("prompts", "list"),
    ("prompts", "show"),
    ("prompts", "render"),
    ("prompts", "diff"),
    ("prompts", "stats"),
)


def test_alone_prints_help_like_help(cli) -> None:
    """`coreto` alone prints the help with every command and succeeds."""
    alone = cli.run()
    assert alone.out == cli.run("--help").out
    for command in (
        "ask",
        "models",
        "status",
        "doctor",
        "costs",
        "init",
        "config",
        "sim",
        "serve",
        "keys",
        "ps",
        "insights",
        "prompts",
    ):
        assert f" {command} " in alone.out


def test_help_is_quick_and_loads_nothing_heavy(cli) -> None:
    """`coreto --help` costs under 0.5 s of CPU, and the entry point loads none of the heavy libraries."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    cli.run("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5
    heavy = ["pydantic", "sqlalchemy", "aiohttp", "fastapi", "coreto.app", "coreto.settings", "rich"]
    code = f"import sys, coreto.cli.main; print([m for m in {heavy} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_examples(cli, command) -> None:
    """`--help` of every command shows examples."""
    out = cli.run(*command, "--help").out
    assert "Examples:" in out
    assert f"coreto {command[0]}" in out


def test_version_is_the_packages(cli) -> None:
    """`--version` prints the installed version."""
    from importlib.metadata import version

    assert cli.run("--version").out == f"coreto {version('coreto')}\n"


def test_wrong_usage_is_told_apart_from_failure(cli) -> None:
    """Unknown commands, missing arguments and contradicting options exit with 2."""
    assert "nonsense" in cli.run("nonsense", code=2).err
    assert "PROMPT" in cli.run("ask", code=2).err
    assert "not both" in cli.run("ask", "hi", "--role", "brain", "--model", "x/y", code=2).err


def test_bad_configuration_is_one_line_that_names_key_and_file(cli) -> None:
    """A wrong setting ends every command with 2 and one line; `config check` lists them all."""
    cli.write("[server]\nprot = 80\nhost = 3\n")
    ran = cli.run("ask", "hi", code=2)
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert len(ran.err.splitlines()) == 1
    assert "coreto.toml" in ran.err
    listed = cli.run("config", "check", code=2).err.splitlines()
    assert len(listed) == 2
    assert any("prot" in line and "port" in line for line in listed)


def test_named_configuration_must_exist(cli) -> None:
    """`--config` with a file that is not there says so and how to write one."""
    err = cli.run("--config", "other.toml", "status", code=2).err
    assert "other.toml" in err
    assert "coreto init" in err


def test_verbose_shows_where_an_error_came_from(cli) -> None:
    """With -v an error keeps its traceback; without, it never has one."""
    cli.write("nonsense = 1\n")
    process = cli.start("-v", "config", "show")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"Traceback" in err
    assert b"ConfigError" in err


def test_init_writes_a_file_that_passes_its_own_check(cli) -> None:
    """`init` writes a valid file, keeps one that is there, and replaces it with --force."""
    cli.run("init")
    assert "ok: " in cli.run("config", "check").out
    assert "--force" in cli.run("init", code=2).err
    path = cli.folder / "coreto.toml"
    path.write_text("spoilt")
    cli.run("init", "--force")
    assert "spoilt" not in path.read_text()
    cli.run("init", str(cli.folder / "sub" / "mine.toml"))
    assert (cli.folder / "sub" / "mine.toml").is_file()


def test_config_show_tells_origins_and_no_secret(cli) -> None:
    """`config show` names where values come from and never prints a key."""
    cli.env = {"OPENROUTER_API_KEY": "sk-or-very-secret", "FALLBACK_ENABLED": "false"}
    cli.write("offline = true\n")
    shown = cli.run("config", "show", "--json")
    assert "very-secret" not in shown.out + shown.err + cli.run("config", "show").out
    settings = shown.json["settings"]
    assert settings["fallback_enabled"] == {"value": "false", "origin": "environment FALLBACK_ENABLED"}
    assert settings["offline"]["origin"].endswith("coreto.toml")
    assert settings["providers.openrouter.api_key"]["value"] == "****"


def test_sim_passes_its_arguments_on(cli) -> None:
    """`coreto sim` has the simulators' own options and help, and refuses what they refuse."""
    assert "{ollama,openai,llamacpp}" in cli.run("sim").out
    assert "--time-scale" in cli.run("sim", "ollama", "--help").out
    assert "missing.json" in cli.run("sim", "openai", "--faults", "missing.json", code=2).err


def test_a_reader_that_leaves_is_no_error(cli) -> None:
    """When the reader of standard output has left, nothing is said about it."""
    read, write = os.pipe()
    os.close(read)
    process = cli.start("config", "show", stdout=write)
    os.close(write)
    _, err = process.communicate(timeout=60)
    assert err == b""
