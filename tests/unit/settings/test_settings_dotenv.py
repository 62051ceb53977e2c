"""`.env` files."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.errors import ConfigError
from coreto.settings.dotenv import parse_dotenv, read_dotenv


def values(text: str) -> dict[str, str]:
    return {name: entry.value for name, entry in parse_dotenv(text).items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1", {"A": "1"}),
        ("A=1 # one", {"A": "1"}),
        ("A=1\t# one", {"A": "1"}),
        ("A=a#b", {"A": "a#b"}),
        ("A=# nothing", {"A": ""}),
        ("A=   # nothing", {"A": ""}),
        ("A=", {"A": ""}),
        ("A = spaced out  ", {"A": "spaced out"}),
        ("export A=1", {"A": "1"}),
        ("  export\tA = 1", {"A": "1"}),
        ("A='x # y' # z", {"A": "x # y"}),
        ('A="x # y"# z', {"A": "x # y"}),
        (r'A="tab\tline\n\"quoted\" \\ \$"', {"A": 'tab\tline\n"quoted" \\ $'}),
        (r"A='it\'s \n raw \\'", {"A": "it's \\n raw \\"}),
        ("A=''", {"A": ""}),
        ("A=it's", {"A": "it's"}),
        ("A=b=c", {"A": "b=c"}),
        ("# comment\n\n   # another\nA=1\r\nB=2\rC=3", {"A": "1", "B": "2", "C": "3"}),
        ("\ufeffA=1", {"A": "1"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=é 日本", {"A": "é 日本"}),
        ("", {}),
    ],
)
def test_forms(text: str, expected: dict[str, str]) -> None:
    """Each form of a line gives the value that a shell user expects."""
    assert values(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\nnonsense", ".env:2: expected NAME=value"),
        ("1A=2", ".env:1: expected NAME=value"),
        ("=2", ".env:1: expected NAME=value"),
        ("A B=2", ".env:1: expected NAME=value"),
        ('\n\nA="open', '.env:3: A: expected a closing " on the same line'),
        ("A='open", ".env:1: A: expected a closing ' on the same line"),
        ("A='x' y", ".env:1: A: expected nothing but a comment after the closing quote"),
    ],
)
def test_bad_line(text: str, message: str) -> None:
    """A line that cannot be read is named by file and line."""
    with pytest.raises(ConfigError) as caught:
        parse_dotenv(text)
    assert caught.value.message == message


def test_bad_line_hides_the_value() -> None:
    """The message of a bad line never shows what is on it, since that may be a key."""
    for text in ("sk-secret-123", 'OPENROUTER_API_KEY="sk-secret-123', "K='sk-secret-123' sk-secret-123"):
        with pytest.raises(ConfigError) as caught:
            parse_dotenv(text)
        assert "secret" not in caught.value.message


def test_line_numbers() -> None:
    """Each value knows its line."""
    entries = parse_dotenv("# one\nA=1\n\nB=2\r\nC=3")
    assert {name: entry.line for name, entry in entries.items()} == {"A": 2, "B": 4, "C": 5}


def test_missing_and_unreadable_files(tmp_path) -> None:
    """No file means no variables; a file that is not text is an error that names it."""
    path = tmp_path / ".env"
    assert read_dotenv(path) == {}
    path.write_bytes(b"\xff\xfeA")
    with pytest.raises(ConfigError) as caught:
        read_dotenv(path)
    assert caught.value.message == f"{path}: cannot be read: it is not UTF-8 text"


NAMES = st.text(string.ascii_letters + "_", min_size=1, max_size=8)
LINES = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=20)


@given(NAMES, LINES)
def test_double_quotes_round_trip(name: str, value: str) -> None:
    """Any one-line text survives double quotes with quotes and backslashes escaped."""
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    assert values(f'{name} = "{quoted}" # comment') == {name: value}


@given(NAMES, LINES)
def test_single_quotes_round_trip(name: str, value: str) -> None:
    """Any one-line text survives single quotes with quotes and backslashes escaped."""
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    assert values(f"export {name}='{quoted}'") == {name: value}


@given(st.dictionaries(NAMES, st.text(string.ascii_letters + string.digits + "#:/.-", max_size=12)))
def test_bare_values_round_trip(pairs: dict[str, str]) -> None:
    """Values without white space need no quotes, whatever `#` they contain after the first character."""
    pairs = {name: value for name, value in pairs.items() if not value.startswith("#")}
    assert values("\r\n".join(f"{name}={value} # why" for name, value in pairs.items())) == pairs


@given(st.text(max_size=60))
def test_any_text_parses_or_is_refused(text: str) -> None:
    """Any text gives values or one ConfigError with a line number, never another exception."""
    message = ".env:"
    try:
        parse_dotenv(text)
    except ConfigError as error:
        message = error.message
    assert message.startswith(".env:")
