"""`coreto prompts`: as a process, in a folder with prompts of its own."""

import pytest

from coreto.prompts.experiments import Audience
from coreto.prompts.files import load_folder
from coreto.prompts.service import Prompts, Wish
from coreto.stores.database import open_database
from coreto.stores.migrate import ensure_schema
from coreto.stores.prompts import SqlPromptStore

PROMPT = """+++
name = "brief"
version = VERSION
language = "LANGUAGE"
description = "An ad's brief"

[variables]
product = { type = "string", description = "what is sold" }
tone = { default = "amigável", choices = ["amigável", "sóbrio"] }
ctr = 1.5
+++
Seja {{ tone }}.
---
Produto: {{ product }}, CTR {{ ctr|percent }} (vVERSION)
"""
EXPERIMENT = '[tone]\nprompt = "brief"\noutcome = "clicked"\n[tone.variants]\nplain = 1\nwarm = 2\n'
COMMANDS = ("list", "show", "render", "diff", "stats", "label", "set")


def text_of(version: int, language: str = "pt-BR") -> str:
    return PROMPT.replace("VERSION", str(version)).replace("LANGUAGE", language)


@pytest.fixture
def folder(cli):
    """Two versions in Portuguese, the second in English too."""
    cli.write()
    made = cli.folder / "prompts"
    made.mkdir()
    for version, language in ((1, "pt-BR"), (2, "pt-BR"), (2, "en")):
        path = made / f"brief.{language}.v{version}.prompt"
        path.write_text(text_of(version, language), encoding="utf-8")
    return made


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(cli, command) -> None:
    """`--help` of each shows examples, and `coreto prompts` alone lists them."""
    assert f"coreto prompts {command}" in cli.run("prompts", command, "--help").out
    assert f" {command} " in cli.run("prompts").out


@pytest.mark.slow
def test_list_and_show(cli, folder) -> None:
    """What is there, with labels; a prompt with its variables."""
    cli.run("prompts", "label", "brief", "production", "1")
    (line,) = cli.run("prompts", "list", "--json").json["prompts"]
    assert (line["versions"], line["languages"], line["labels"]) == (
        [1, 2],
        ["en", "pt-BR"],
        {"production": 1},
    )
    assert "production=1" in cli.run("prompts", "list").out
    shown = cli.run("prompts", "show", "brief@latest", "--language", "en", "--json").json
    assert (shown["version"], shown["language"], shown["used_digest"]) == (2, "en", None)
    assert [one["default"] for one in shown["variables"]] == [None, "amigável", "1.5"]
    out = cli.run("prompts", "show", "brief").out
    assert "brief@1.en" not in out
    assert "(required)" in out
    assert "{{ product }}" in out


def test_render_is_what_a_model_would_be_told(cli, folder) -> None:
    """The text on standard output, about it on standard error; another language, version and JSON on demand."""
    ran = cli.run("prompts", "render", "brief", "--language", "pt-BR", "--var", "product=café {{ tone }}")
    assert ran.out == "[system]\nSeja amigável.\n\n[user]\nProduto: café {{ tone }}, CTR 1,5% (v2)\n"
    assert ran.err.startswith("— brief@2 in pt-BR · ")
    told = cli.run("prompts", "render", "brief@1", "--var", "product=x", "--var", "ctr=2.25", "--json").json
    assert (told["asked"], told["language"], told["version"], told["label"]) == ("en", "pt-BR", 1, "public")
    assert told["messages"][1] == {"role": "user", "content": "Produto: x, CTR 2,25% (v1)"}


@pytest.mark.slow
def test_portuguese(cli, folder) -> None:
    """With the language set, prompts and words are Portuguese."""
    cli.write('language = "pt-BR"\n')
    ran = cli.run("prompts", "render", "brief", "--var", "product=café")
    assert ran.out.startswith("[sistema]")
    assert "em pt-BR" in ran.err
    assert "obrigatória" in cli.run("prompts", "show", "brief").out
    assert "é a versão 2" in cli.run("prompts", "label", "brief", "production", "2").out


@pytest.mark.slow
def test_a_users_values(cli, folder) -> None:
    """`set` keeps them by type, `render --user` uses them, `--unset` forgets."""
    cli.run("prompts", "set", "brief", "--user", "ana", "--var", "product=chá", "--var", "ctr=2.00")
    told = cli.run("prompts", "render", "brief", "--user", "ana", "-l", "pt-BR").out
    assert "Produto: chá, CTR 2,00%" in told
    assert "ctr" in cli.run("prompts", "set", "brief", "--user", "ana", "--unset", "ctr").out
    assert "CTR 1,5%" in cli.run("prompts", "render", "brief", "--user", "ana", "-l", "pt-BR").out
    assert "--unset" in cli.run("prompts", "set", "brief", "--user", "ana", code=2).err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("render", "brief"), "variable 'product': a value is needed"),
        (("render", "brief", "--var", "product"), "expected name=value"),
        (("render", "brief", "--var", "nothing=1"), "there is: product, tone, ctr"),
        (("render", "brief", "--var", "product=x", "--var", "ctr=1,5"), "variable 'ctr': expected a number"),
        (("render", "brief", "--var", "product=x", "--var", "tone=rude"), "expected one of: amigável, sóbrio"),
        (("show", "nothing"), "no prompt 'nothing'; there is: brief"),
        (("show", "brief@7"), "no version 7 of prompt 'brief'; there is: 1, 2"),
        (("show", "brief@canary"), "no label 'canary'"),
        (("show", "A b"), "cannot be a name"),
        (("label", "brief", "latest", "1"), "nobody moves it"),
        (("diff", "brief", "1"), "was not used yet"),
        (("diff", "brief", "1", "2", "3"), "two versions at most"),
        (("stats", "brief"), "no experiment 'brief'"),
        (("list", "--folder", "nowhere"), "nowhere: no such folder of prompts"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(cli, folder, args, words) -> None:
    """What cannot be is told in a line, and ends with 2."""
    assert words in cli.run("prompts", *args, code=2).err


def test_a_broken_file_is_named_with_its_line(cli, folder) -> None:
    """One that cannot be read stops the command with file and line."""
    path = folder / "brief.en.v2.prompt"
    path.write_text(text_of(2, "en").replace("{{ product }}", "{{ produto }}"), encoding="utf-8")
    assert "brief.en.v2.prompt:14: 'produto' is not a variable" in cli.run("prompts", "list", code=2).err


def service(cli) -> tuple[Prompts, object]:
    database = open_database("sqlite", cli.folder / "data")
    ensure_schema(database)
    return Prompts(load_folder(cli.folder / "prompts"), SqlPromptStore(database)), database


@pytest.mark.slow
def test_diff_of_versions_and_of_what_was_used(cli, folder) -> None:
    """The latest two, two by name, and a file that was edited after its use."""
    lines = cli.run("prompts", "diff", "brief", "-l", "pt-BR", "--json").json["diff"]
    assert "-version = 1" in lines
    assert "+version = 2" in lines
    cli.run("prompts", "label", "brief", "production", "2")
    assert (
        cli.run("prompts", "diff", "brief", "1", "production", "-l", "pt-BR", "--json").json["diff"] == lines
    )
    prompts, database = service(cli)
    prompts.render(Wish("brief", 1), {"product": "x"})
    database.close()
    assert cli.run("prompts", "diff", "brief", "1").out == "no difference\n"
    path = folder / "brief.pt-BR.v1.prompt"
    path.write_text(path.read_text(encoding="utf-8").replace("Seja", "Fique"), encoding="utf-8")
    out = cli.run("prompts", "diff", "brief", "1").out
    assert "-Seja {{ tone }}." in out
    assert "+Fique {{ tone }}." in out
    assert "give the change a new version" in cli.run("prompts", "show", "brief@1").out


@pytest.mark.slow
def test_stats_of_variants(cli, folder) -> None:
    """Exposures, outcomes and rates with their interval, as a table and as JSON; a preview counts nothing."""
    (folder / "experiments.toml").write_text(EXPERIMENT)
    prompts, database = service(cli)
    for number in range(20):
        audience = Audience(user=f"u{number}")
        prompts.render(Wish("brief", audience=audience), {"product": "x"})
        prompts.measure("tone", audience, success=number % 4 == 0)
    database.close()
    ran = cli.run("prompts", "render", "brief", "--user", "u1", "--var", "product=x")
    assert "of tone" in ran.err
    told = cli.run("prompts", "stats", "tone", "--json").json
    assert (told["prompt"], told["outcome"]) == ("brief", "clicked")
    assert sum(one["exposures"] for one in told["variants"]) == 20
    assert sum(one["successes"] for one in told["variants"]) == 5
    assert all(one["low"] <= one["rate"] <= one["high"] for one in told["variants"])
    out = cli.run("prompts", "stats", "brief").out
    assert "95 % interval" in out
    assert "warm" in out
    assert (
        sum(
            one["outcomes"]
            for one in cli.run("prompts", "stats", "tone", "--outcome", "liked", "--json").json["variants"]
        )
        == 0
    )
