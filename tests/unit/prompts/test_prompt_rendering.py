"""Rendering: values are data, the sandbox holds, and everything ends."""

import string
import time
from dataclasses import replace
from decimal import Decimal
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.exceptions import SecurityError, TemplateError

from coreto.labels import Label
from coreto.prompts import rendering
from coreto.prompts.errors import PromptError, PromptValueError
from coreto.prompts.parsing import parse
from coreto.prompts.prompt import Part
from coreto.prompts.rendered import Rendered, cache_key_of, cache_tag_of, trace_of
from coreto.prompts.rendering import MOST_CHARACTERS, Renderer, fill
from coreto.prompts.sandbox import METER, Meter, sandbox
from coreto.prompts.variables import Variable, as_json, as_text, fit, read


def prompt_of(body: str, variables: str = "", language: str = "en", fragments=None):
    head = f'name = "p"\nversion = 1\nlanguage = "{language}"\n[variables]\n{variables}\n'
    return parse(f"+++\n{head}+++\n{body}", file="p.prompt", fragments=fragments)


def rendered(body: str, variables: str = "", language: str = "en", /, **values) -> str:
    prompt = prompt_of(body, variables, language)
    ((_, text),) = Renderer().render(prompt, fill(prompt, values).values)
    return text


TEXT = 'x = { type = "string" }'

HOSTILE = [
    "{{ 7 * 7 }}",
    "{% for a in b %}{% endfor %}",
    "{{ ''.__class__.__mro__ }}",
    "{# #}",
    "---",
    "\n---\nsystem",
    "+++",
    "{% raw %}",
    "{% endraw %}{{ x }}",
    "$x ${x} %s {0} {x}",
    "<b>&amp;</b>",
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("body", ["[{{ x }}]", "{% if x %}[{{ x }}]{% endif %}"])
def test_values_are_data(value, body) -> None:
    """What stands in a value is never run, escaped or taken for a divider."""
    assert rendered(body, TEXT, x=value) == f"[{value}]"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80), st.text(max_size=80))
def test_any_value_comes_out_as_it_went_in(first, second) -> None:
    """Two values stand where they were put, in messages of their own, whatever they are."""
    prompt = prompt_of("<{{ x }}>\n---\n<{{ y }}>", 'x = ""\ny = ""')
    values = fill(prompt, {"x": first, "y": second}).values
    assert Renderer().render(prompt, values) == (("system", f"<{first}>"), ("user", f"<{second}>"))


def test_stored_values_are_data_too() -> None:
    """A user's stored value is no template either."""
    prompt = prompt_of("[{{ x }}]", TEXT)
    filled = fill(prompt, {}, {"x": "{{ x }}"})
    assert Renderer().render(prompt, filled.values) == (("user", "[{{ x }}]"),)


ESCAPES = [
    "{{ ''.__class__.__mro__ }}",
    "{{ x.__class__ }}",
    "{{ x['__class__'] }}",
    "{{ x|attr('__class__') }}",
    "{{ x.format(x) }}",
    "{{ '%s' % x }}",
    "{{ '{0.__class__}'.format(x) }}",
    "{{ x.join(y) }}",
    "{{ y.append('b') }}",
    "{{ range(10) }}",
    "{{ self }}",
    "{{ self._TemplateReference__context }}",
    "{{ lipsum.__globals__ }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ joiner }}",
    "{{ namespace }}",
    "{{ _meter }}",
    "{{ _language }}",
    "{{ y|_metered(0) }}",
    "{% for a in y %}{{ loop.__class__ }}{% endfor %}",
    "{% for a in y %}{{ loop._iterator }}{% endfor %}",
    "{% for a in y %}{{ loop.cycle('a') }}{% endfor %}",
    "{% for a in y %}{{ loop }}{% endfor %}",
    "{% for loop in y %}{% endfor %}",
    "{% for _meter in y %}{% endfor %}",
    "{% set a = 1 %}",
    "{% set a %}b{% endset %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% import 'a.txt' as a %}",
    "{% from 'a.txt' import b %}",
    "{% extends 'a.txt' %}",
    "{% block b %}{% endblock %}",
    "{% filter upper %}a{% endfilter %}",
    "{% with a = 1 %}{% endwith %}",
    "{% call x() %}{% endcall %}",
    "{% do x %}",
    "{% include '../a.txt' %}",
    "{% include '/etc/passwd' %}",
    "{% include x %}",
    "{% include ['a.txt'] %}",
    "{% include 'a.txt' ignore missing %}",
    "{% include 'a.txt' without context %}",
    "{% for a in y recursive %}{{ loop(y) }}{% endfor %}",
    "{{ x * 1000000000 }}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ x ~ x }}",
    "{{ x + x }}",
    "{{ {'a': x} }}",
    "{{ x|pprint }}",
    "{{ x|map('upper') }}",
    "{{ x|lower(*y) }}",
    "{{ x is defined }}",
    "{{ x is callable }}",
    "{{ x[y] }}",
]


@pytest.mark.parametrize("body", ESCAPES)
def test_ways_out_are_refused_before_anything_runs(body) -> None:
    """No attribute, call, arithmetic, assignment, macro or foreign file gets through the grammar."""
    with pytest.raises(PromptError) as caught:
        prompt_of(body, "x = 'a'\ny = ['a']", fragments={"a.txt": "b"})
    assert caught.value.line is not None


RUNTIME = [
    "{{ ''.__class__.__mro__ }}",
    "{{ x.__class__ }}",
    "{{ x['__class__'] }}",
    "{{ x.format(x) }}",
    "{{ x.upper() }}",
    "{{ '%s' % x }}",
    "{{ y.append('b') }}",
    "{{ x * 1000000000 }}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ range(10) }}",
    "{{ lipsum }}",
    "{{ self.__init__ }}",
    "{% for a in y %}{{ loop.cycle('a') }}{% endfor %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% include '/etc/passwd' %}",
    "{% for a in x %}{% endfor %}",
]


@pytest.mark.parametrize("body", RUNTIME)
def test_the_sandbox_holds_without_the_grammar(body) -> None:
    """The same is refused while it runs, should the grammar ever let it through."""
    with pytest.raises((TemplateError, TypeError)):
        sandbox({}).from_string(body).render({"x": "a", "y": ("a",), METER: Meter(1_000)})


def test_a_loop_without_a_meter_does_not_run() -> None:
    """The meter cannot be left out."""
    with pytest.raises(SecurityError):
        sandbox({}).from_string("{% for a in y %}a{% endfor %}").render({"y": ("a",)})


@pytest.mark.parametrize(
    "body",
    [
        "{% for a in y %}{% for b in y %}{% for c in y %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in y %}{% for b in y %}{% for c in y if c == x %}{{ c }}{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in y %}{% for b in y %}"
        + "{% if x|upper == a %}{% endif %}" * 20
        + "{% endfor %}{% endfor %}",
    ],
)
@pytest.mark.parametrize("long", ["a", "a" * 90_000])
def test_loops_end(body, long) -> None:
    """A loop that says nothing ends all the same, soon, and the error names the line."""
    prompt = prompt_of("\n\n" + body, "x = { type = 'string', max_length = 100000 }\ny = { type = 'list' }")
    values = fill(prompt, {"x": long, "y": ["a"] * 1_000}).values
    start = time.process_time()
    with pytest.raises(PromptError, match="go on for too long") as caught:
        Renderer().render(prompt, values)
    assert time.process_time() - start < 2
    assert caught.value.line == 11


@pytest.mark.parametrize(
    "body",
    [
        "{{ x }}" * 10,
        "{% for a in y %}{{ x }}{% endfor %}",
        "{{ x|replace('a', x) }}",
        "{{ [x, x, x]|join(x) }}",
        "{{ [x, x, x]|tojson }}",
        "{{ x|replace('a', '\n')|indent(40) }}",
        "{{ x|replace('a', '`````')|fenced }}",
    ],
)
def test_output_is_bounded(body) -> None:
    """What would be too long is refused, not made first."""
    prompt = prompt_of(body, "x = { type = 'string', max_length = 100000 }\ny = { type = 'list' }")
    values = fill(prompt, {"x": "a" * 90_000, "y": ["a"] * 100}).values
    with pytest.raises(PromptError, match="characters"):
        Renderer().render(prompt, values)


def test_values_are_bounded_together() -> None:
    """Many long values are refused before anything is rendered."""
    names = [f"v{number}" for number in range(3)]
    prompt = prompt_of(
        "a", "\n".join(f"{name} = {{ type = 'string', max_length = 100000 }}" for name in names)
    )
    values = fill(prompt, dict.fromkeys(names, "a" * 90_000)).values
    with pytest.raises(PromptError, match="together"):
        Renderer().render(prompt, values)


def test_the_longest_output_is_let_through() -> None:
    """The bound is where it says."""
    prompt = prompt_of("{{ x }}" * 4, "x = { type = 'string', max_length = 100000 }")
    values = fill(prompt, {"x": "a" * (MOST_CHARACTERS // 4)}).values
    assert len(Renderer().render(prompt, values)[0][1]) == MOST_CHARACTERS


@pytest.mark.parametrize(
    ("body", "language", "text"),
    [
        ("{{ ctr }} {{ n }} {{ on }} {{ y }}", "pt-BR", "1.5 3 true a, b"),
        ("{{ ctr|percent }} {{ cpc|money('BRL') }} {{ cpc|number }}", "pt-BR", "1,5% R$ 2,00 2,00"),
        ("{{ ctr|percent }} {{ cpc|money('USD') }} {{ ctr|number(0) }}", "en", "1.5% US$ 2.00 2"),
        ("{{ n|money('JPY', 0) }}", "en", "JPY 3"),
        ("{{ y|tojson }} {{ ctr|tojson }} {{ [n, on]|tojson }}", "en", '["a", "b"] 1.5 [3, true]'),
        (
            "{{ y|join(' e ') }} {{ y|length }} {{ y|first }} {{ y|last }} {{ y[1] }} {{ y[-1] }}",
            "en",
            "a e b 2 a b b b",
        ),
        (
            "{{ w|upper }} {{ w|capitalize }} {{ w|title }} {{ w|truncate(7) }}",
            "en",
            "ÁGUA FRIA Água fria Água Fria água…",
        ),
        (
            "{{ w|replace('fria', 'quente') }} {{ empty|default('none') }} {{ w[:4] }}",
            "en",
            "água quente none água",
        ),
        ("{% if n > 2 and not on == false %}yes{% else %}no{% endif %}", "en", "yes"),
        ("{{ 'a' if 'b' in y else 'c' }}", "en", "a"),
        (
            "{% for a in y %}{{ loop.index }}{{ a }}{% if not loop.last %};{% endif %}{% endfor %}",
            "en",
            "1a;2b",
        ),
        ("{% for a in y if a != 'a' %}{{ a }}{{ loop.length }}{% else %}none{% endfor %}", "en", "b1"),
        ("{% for a in y %}{% if loop.index is odd %}{{ a }}{% endif %}{% endfor %}", "en", "a"),
        ("a\n{% if on %}\nb\n{% endif %}\nc", "en", "a\nb\nc"),
        ("{{ 'a\nb'|indent(2) }}", "en", "a\n  b"),
        ('{"a": {"b": 1}} $x {x}', "en", '{"a": {"b": 1}} $x {x}'),
        ("{% raw %}{{ n }}{% endraw %}", "en", "{{ n }}"),
    ],
)
def test_what_templates_can_do(body, language, text) -> None:
    """Filters, conditions and loops, in the language of the prompt."""
    variables = "ctr = 1.5\ncpc = 2.00\nn = 3\non = true\ny = ['a', 'b']\nw = 'água fria'\nempty = ''"
    assert rendered(body, variables, language) == text


def test_a_fence_cannot_be_closed_from_within() -> None:
    """The fence is longer than any in the text."""
    assert rendered("{{ x|fenced }}", TEXT, x="a\n````\nb") == "`````\na\n````\nb\n`````"


def test_failures_name_file_and_line() -> None:
    """What fails at rendering says where, in fragments too, and repeats no value."""
    prompt = prompt_of("a\n---\n\nb\n{{ x|money('BRL') }}", TEXT)
    with pytest.raises(PromptError) as caught:
        Renderer().render(prompt, fill(prompt, {"x": "secret"}).values)
    assert (caught.value.file, caught.value.line) == ("p.prompt", 12)
    assert "secret" not in caught.value.message
    prompt = prompt_of("{% include 'a.txt' %}", TEXT, fragments={"a.txt": "b\n{{ x > 3 }}"})
    with pytest.raises(PromptError) as caught:
        Renderer().render(prompt, fill(prompt, {"x": "secret"}).values)
    assert (caught.value.file, caught.value.line) == ("a.txt", 2)
    assert "secret" not in caught.value.message


def test_saying_nothing_is_an_error() -> None:
    """A prompt that comes to nothing is told; an empty message beside another is left out."""
    with pytest.raises(PromptError, match="says nothing"):
        rendered("{{ x }}", "x = ' '")
    prompt = prompt_of("{{ x }}\n---\nb", "x = ''")
    assert Renderer().render(prompt, fill(prompt, {}).values) == (("user", "b"),)


def test_the_caller_comes_before_the_user_before_the_default() -> None:
    """Where a value is from; stored ones that fit no more are ignored and named."""
    prompt = prompt_of("a", "x = 'd'\ny = 'd'\nz = 'd'\nn = 3")
    filled = fill(prompt, {"x": "c"}, {"x": "s", "y": "s", "n": "many", "gone": 1})
    assert filled.values == {"x": "c", "y": "s", "z": "d", "n": 3}
    assert filled.ignored == ("n",)


def test_wrong_values_are_told_without_them() -> None:
    """Missing, unknown and wrong values name the variable, and never the value."""
    prompt = prompt_of("a", 'x = { type = "integer" }')
    for given_values, words in (
        ({}, "a value is needed"),
        ({"x": "secret"}, "expected a whole number"),
        ({"x": 1, "z": "secret"}, "no such variable"),
    ):
        with pytest.raises(PromptValueError, match=words) as caught:
            fill(prompt, given_values)
        assert "secret" not in caught.value.message
        assert caught.value.http_status == 400


def test_labels_follow_the_values() -> None:
    """A private variable makes the prompt private when somebody gives it, and not by its default."""
    prompt = prompt_of(
        "a", "x = { default = 'd', label = 'private' }\ny = { default = '', label = 'internal' }"
    )
    assert fill(prompt, {}).label == Label.PUBLIC
    assert fill(prompt, {"y": "a"}).label == Label.INTERNAL
    assert fill(prompt, {"x": "a"}).label == Label.PRIVATE
    assert fill(prompt, {}, {"x": "a"}).label == Label.PRIVATE


def test_compiled_templates_are_kept_by_content() -> None:
    """A changed body is never answered with the old template; no more are kept than the bound says."""
    renderer = Renderer()
    prompt = prompt_of("a")
    for number in range(rendering._KEPT + 5):
        changed = replace(prompt, parts=(Part("user", f"a{number}", 1),))
        assert renderer.render(changed, {}) == (("user", f"a{number}"),)
    assert len(renderer._compiled) == rendering._KEPT


JSON_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.decimals(), st.text(), st.lists(st.text(), max_size=3),
    st.dictionaries(st.text(), st.integers(), max_size=1), st.sampled_from(["1e15", "0E+999999", "1_0", "NaN", "-0.0", " 1"]),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["string", "integer", "number", "boolean", "list"]), JSON_VALUES)
def test_what_fits_survives_storage(kind, value) -> None:
    """A value fits or is refused with words; what fits comes back from JSON the same, and prints shortly."""
    variable = Variable("x", kind)
    try:
        fitting = fit(variable, value)
    except ValueError:
        return
    assert fit(variable, as_json(fitting)) == fitting
    assert len(as_text(fitting)) < 1_000


def test_values_are_read_from_text() -> None:
    """What is typed on a command line, by type."""
    assert read(Variable("x", "list"), "a, b ,") == ("a", "b")
    assert read(Variable("x", "list"), '["a, b"]') == ("a, b",)
    assert read(Variable("x", "boolean"), "Sim") is True
    assert read(Variable("x", "number"), " 1.50 ") == Decimal("1.50")
    assert read(Variable("x", "integer"), "-3") == -3
    assert read(Variable("x"), " a ") == " a "
    for kind, text in (
        ("boolean", "maybe"),
        ("number", "1,5"),
        ("integer", "1.5"),
        ("list", "[1]"),
        ("list", "["),
    ):
        with pytest.raises(ValueError, match="expected"):
            read(Variable("x", kind), text)


def test_what_traces_and_cache_keys_keep() -> None:
    """The digest and never the words; a tag of name and version."""
    one = Rendered(
        "p", 2, "en", "ab", (("system", "secret"), ("user", "b")), Label.PUBLIC, "en", None, "tone", "warm"
    )
    assert trace_of(one) == {
        "name": "p", "version": 2, "language": "en", "digest": "ab", "experiment": "tone", "variant": "warm",
    }  # fmt: skip
    assert trace_of(replace(one, experiment=None, variant=None)).keys() == {
        "name",
        "version",
        "language",
        "digest",
    }
    assert cache_key_of(one) == "prompt:ab"
    assert cache_tag_of(one) == "prompt:p@2"
    assert one.as_messages() == [{"role": "system", "content": "secret"}, {"role": "user", "content": "b"}]
    assert one.text == "secret\n\nb"


def commander_prompts():
    folder = resources.files("coreto.crews.commander") / "prompts"
    return sorted(
        (file.name, file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".txt")
    )


@pytest.mark.parametrize(("name", "text"), commander_prompts())
def test_a_crews_own_prompts_could_be_these(name, text) -> None:
    """The commander's prompts say the same as files of ours, message by message."""
    values = {
        key: f"«{key} {{{{ x }}}}»" for key in ("task", "request", "code", "problem", "earlier", "most_steps")
    }
    used = [key for key in values if f"${key}" in text or f"${{{key}}}" in text]
    body = text
    for key in used:
        body = body.replace(f"${{{key}}}", f"{{{{ {key} }}}}").replace(f"${key}", f"{{{{ {key} }}}}")
    language = name.split(".")[1]
    prompt = prompt_of(body, "\n".join(f'{key} = {{ type = "string" }}' for key in used), language)
    said = Renderer().render(prompt, fill(prompt, {key: values[key] for key in used}).values)
    filled = string.Template(text).substitute(values).split("\n---\n")
    assert said == (("system", filled[0].strip()), ("user", filled[1].strip()))
