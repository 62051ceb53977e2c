"""Prompts' files: what is read, and how every mistake is told."""

import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreto.labels import Label
from coreto.prompts.errors import PromptError
from coreto.prompts.parsing import LARGEST, parse
from coreto.prompts.prompt import digest_of
from coreto.prompts.rendering import Renderer, fill

HEAD = 'name = "brief"\nversion = 2\nlanguage = "pt-BR"\n'


def text_of(body: str = "Olá", head: str = "") -> str:
    return f"+++\n{HEAD}{head}+++\n{body}"


def problem(text: str, fragments=None) -> tuple[int | None, str]:
    """Line and words of the error in ``text``."""
    with pytest.raises(PromptError) as caught:
        parse(text, file="brief.prompt", fragments=fragments)
    assert caught.value.line is not None
    assert caught.value.message.startswith(f"{caught.value.file}:{caught.value.line}: ")
    return caught.value.line, caught.value.problem


def test_everything_that_a_file_can_say() -> None:
    """Every key is read, floats as decimals, and a default alone says its type."""
    head = """
description = "A campaign's brief"
role = "brain"
label = "internal"
[variables]
objective = { type = "string", description = "what for", max_length = 500 }
tone = { default = "amigável", choices = ["amigável", "sóbrio"] }
ctr = { default = 1.5, min = 0, max = 100 }
budget = { type = "number", label = "private" }
posts = 3
emoji = false
channels = ["feed", "stories"]
"""
    prompt = parse(
        "\ufeff" + text_of("\nSeja {{ tone }}.\n\n---\n\n{{ objective }}\n", head).replace("\n", "\r\n"),
        file="x",
    )
    assert (prompt.name, prompt.version, prompt.language, prompt.role) == ("brief", 2, "pt-BR", "brain")
    assert prompt.title == "brief@2.pt-BR"
    assert prompt.label == Label.INTERNAL
    assert [(part.speaker, part.body) for part in prompt.parts] == [
        ("system", "Seja {{ tone }}."),
        ("user", "{{ objective }}"),
    ]
    kinds = {one.name: (one.kind, one.default) for one in prompt.variables}
    assert kinds == {
        "objective": ("string", None),
        "tone": ("string", "amigável"),
        "ctr": ("number", Decimal("1.5")),
        "budget": ("number", None),
        "posts": ("integer", 3),
        "emoji": ("boolean", False),
        "channels": ("list", ("feed", "stories")),
    }
    assert prompt.variable("budget").label == Label.PRIVATE
    assert prompt.variable("objective").longest == 500


def test_one_text_is_the_users() -> None:
    """Without a divider there is a user's message; with nothing above or below it, that message is left out."""
    assert [part.speaker for part in parse(text_of("a"), file="x").parts] == ["user"]
    assert [part.speaker for part in parse(text_of("---\na"), file="x").parts] == ["user"]
    assert [part.speaker for part in parse(text_of("a\n---\n"), file="x").parts] == ["system"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "begins with a line"),
        ("Olá", 1, "begins with a line"),
        ("+++\nname = 1\n", 3, "no closing line"),
        ("+++\nname = \n+++\na", 2, "Invalid value"),
        ("+++\n\n\nname = [\n+++\na", 4, ""),
        ('+++\nversion = 1\nlanguage = "en"\n+++\na', 2, "name is missing"),
        (text_of().replace("brief", "A b"), 2, "cannot be a name"),
        (text_of().replace("= 2", "= 0"), 3, "version: expected 1"),
        (text_of().replace("= 2", "= true"), 3, "version: expected a whole number"),
        (text_of().replace("pt-BR", "de"), 4, "language: expected one of pt-BR, en"),
        (text_of(head="colour = 1\n"), 5, "unknown key 'colour'"),
        (text_of(head='label = "secret"\n'), 5, "label: unknown label"),
        (text_of(head="variables = 3\n"), 5, "variables: expected a table"),
        (text_of(head="[variables]\nA = 1\n"), 6, "cannot be called 'A'"),
        (text_of(head="[variables]\nloop = 1\n"), 6, "cannot be called 'loop'"),
        (text_of(head="[variables]\na = {}\n"), 6, "needs a type or a default"),
        (text_of(head='[variables.a]\ntype = "text"\n'), 6, "type: expected one of string"),
        (
            text_of(head='[variables.a]\ntype = "number"\ndefault = "x"\n'),
            7,
            "default: expected a number",
        ),
        (text_of(head="[variables.a]\ndefault = 5\nmax = 4\n"), 6, "default: expected 4 or less"),
        (text_of(head='[variables.a]\nchoices = ["x"]\ndefault = "y"\n'), 7, "default: expected one of: x"),
        (text_of(head='[variables.a]\nmin = 1\ndefault = "y"\n'), 6, "min: only numbers"),
        (text_of(head="[variables]\na = 2026-01-01\n"), 6, "default: expected a value of one of the types"),
        (text_of(""), 5, "no text below"),
        (text_of("a\n---\nb\n---\nc"), 9, "a second line ---"),
        (
            text_of("a\n\n{{ tom }}", "[variables]\ntone = 1\n"),
            10,
            "'tom' is not a variable of this prompt; there is: tone",
        ),
        (text_of("a\n---\n\n{% if %}"), 9, ""),
        (text_of("a\n{% for %}"), 7, ""),
        (text_of("a\n{{ 'b'|nothing }}"), 7, "no filter 'nothing'"),
        (text_of("a\n{% include 'b.txt' %}"), 7, "no fragment 'b.txt'"),
        ("+++\n" + "a" * LARGEST, 1, "longer than"),
        (text_of("a\n\ud800"), 7, "half of a surrogate"),
        (text_of("a\n{{ '\\ud800' }}"), 7, "half of a surrogate"),
    ],
)
def test_mistakes_name_their_line(text, line, words) -> None:
    """Each mistake is told with the line where it stands, counted in the file."""
    found, said = problem(text)
    assert words in said
    assert found == line


def test_a_fragments_mistake_names_the_fragment() -> None:
    """An error in an included file is that file's, with its own line."""
    with pytest.raises(PromptError) as caught:
        parse(text_of("{% include 'tone.txt' %}"), file="brief.prompt", fragments={"tone.txt": "a\n{{ b }}"})
    assert (caught.value.file, caught.value.line) == ("tone.txt", 2)


def test_fragments_are_part_of_what_is_said() -> None:
    """An include is filled with the prompt's values, and its text counts in the digest; unused ones do not."""
    text = text_of("{% include 'tone.txt' %}!", "[variables]\nwho = 'Ana'\n")
    prompt = parse(text, file="x", fragments={"tone.txt": "Olá, {{ who }}", "unused.txt": "{{ nonsense"})
    assert Renderer().render(prompt, fill(prompt, {}).values) == (("user", "Olá, Ana!"),)
    assert set(prompt.fragments) == {"tone.txt"}
    same = parse(text, file="y", fragments={"tone.txt": "Olá, {{ who }}", "unused.txt": "other"})
    other = parse(text, file="x", fragments={"tone.txt": "Oi, {{ who }}"})
    assert digest_of(prompt) == digest_of(same) != digest_of(other)


@pytest.mark.parametrize(
    "changed",
    [
        text_of("Oi"),
        text_of("---\nOlá\n---".replace("---\n", "", 1)),
        text_of(head='role = "brain"\n'),
        text_of(head="[variables]\na = 1\n"),
        text_of().replace("pt-BR", "en"),
    ],
)
def test_the_digest_is_of_what_a_model_is_told(changed) -> None:
    """Every change of content changes it; name, version, file, description and empty lines do not."""
    first = digest_of(parse(text_of(), file="x"))
    assert digest_of(parse(changed, file="x")) != first
    same = text_of("\n\nOlá\n\n", 'description = "d"\n').replace("= 2", "= 3").replace("brief", "other")
    assert digest_of(parse(same, file="y")) == first


def only_prompt_errors(text: str, fragments=None) -> None:
    prompt = None
    told = None
    try:
        prompt = parse(text, file="some.prompt", fragments=fragments)
    except PromptError as error:
        told = error
    if prompt is None:
        assert told.line >= 1
        assert re.match(r"(some.prompt|b.txt):\d+: ", told.message)
        return
    digest_of(prompt)
    try:
        Renderer().render(prompt, fill(prompt, {}).values)
    except PromptError:
        return


WORDS = """
+++ --- {{ }} {% %} {# #} {%- -%} if endif for endfor in else include macro set raw endraw call loop . | ( ) [ ] { } , :
~ * ** + - == not and 'a' 'b.txt' x y 1 99999 1e9 _ __class__ import filter block extends with recursive join replace
range name version language variables = true \\ " ' é
"""
PIECES = st.sampled_from([*WORDS.split(), "\n", "\r", "\t", "\0", "\ud800"])
GARBAGE = st.lists(PIECES, max_size=40).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=200), GARBAGE))
def test_garbage_is_told_as_a_prompts_mistake(text) -> None:
    """Whatever the file is, nothing but PromptError comes out, with file and line."""
    only_prompt_errors(text)


@settings(max_examples=300, deadline=None)
@given(GARBAGE, GARBAGE)
def test_garbage_within_a_prompt_is_told_too(head, body) -> None:
    """The same for settings and templates that are nearly right."""
    only_prompt_errors(f"+++\n{HEAD}{head}\n+++\n{body}")
    only_prompt_errors(f"+++\n{HEAD}[variables]\nx = 1\ny = ['a']\n+++\n{body}", {"b.txt": head})


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["a", "b", "=", ".", "[", "]", '"', "1", "{", "}", "\n", "type", "default", "1e999"]),
        max_size=30,
    )
)
def test_garbage_variables(tokens) -> None:
    """The same for variables."""
    only_prompt_errors(f"+++\n{HEAD}[variables]\n{' '.join(tokens)}\n+++\na")


@pytest.mark.parametrize(
    "body",
    [
        "{{ " + "(" * 20_000,
        "{% if x %}" * 5_000,
        "{{ " + "not " * 10_000 + "x }}",
        "{{ " + "[" * 3_000 + "]" * 3_000 + " }}",
        "{{ x" + "[0]" * 5_000 + " }}",
        "{{ x }}" * 5_000,
        "{{ " + "9" * 5_000 + " }}",
        "{% for a in y %}" * 30 + "{% endfor %}" * 30,
        "{{ x" + "|lower" * 3_000 + " }}",
        "{{ x }}" + "{# " * 9_000,
    ],
    ids=range(10),
)
def test_what_is_nested_or_long_is_refused(body) -> None:
    """Depth and size are bounded: a mistake with a line, not a crash."""
    line, _ = problem(text_of(body, "[variables]\nx = 'a'\ny = ['a']\n"))
    assert line == 9


def test_long_settings_are_quick() -> None:
    """Lines that a regular expression could hang on are read in no time."""
    for head in (
        " " * 60_000,
        "a" * 60_000,
        "x = " + "[" * 5_000,
        '"' * 50_000,
        "a." * 20_000 + "b = 1",
        "a." * 1_900 + "b = 1",
    ):
        only_prompt_errors(text_of(head=head + "\n"))
