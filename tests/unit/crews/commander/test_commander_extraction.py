"""The code in an answer."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.crews.commander.extraction import code_of, fenced, parses

FENCED = "```python\nprint(1)\n```"

CASES = [
    # fences
    (FENCED, "print(1)"),
    (f"Here you are:\n\n{FENCED}\n\nIt prints 1.", "print(1)"),
    ("```\nprint(1)\n```", "print(1)"),
    ("~~~py\nprint(1)\n~~~", "print(1)"),
    ("```Python3\nprint(1)\n```", "print(1)"),
    ("``` {.python}\nprint(1)\n```", "print(1)"),
    ("```python title='a.py'\nprint(1)\n```", "print(1)"),
    ("```python\r\nprint(1)\r\n```", "print(1)"),
    ("1. Code:\n   ```python\n   if x:\n       print(1)\n   ```", "if x:\n    print(1)"),
    ("````python\nprint('''\n```\n''')\n````", "print('''\n```\n''')"),
    # without an end
    ("```python\nprint(1)", "print(1)"),
    ("~~~\nprint(1)\n", "print(1)"),
    ("print(1)\n```", "print(1)"),
    # several
    ("```bash\npip install x\n```\n```python\nprint(1)\n```", "print(1)"),
    (
        "```python\ndef f(): return 1\n```\nUse:\n```python\nprint(f())\n```",
        "def f(): return 1\n\nprint(f())",
    ),
    (
        "```python\ndef f(): return 1\n```\nBetter:\n```python\ndef f():\n    return 1 + 0\n```",
        "def f():\n    return 1 + 0",
    ),
    (f"{FENCED}\nAgain:\n{FENCED}", "print(1)"),
    ("```python\nprint(\n```\n```python\nprint(2)\n```", "print(2)"),
    ("```python\nprint(1)\n```\nOutput:\n```\n1\n```", "print(1)"),
    # no fence
    ("print(1)", "print(1)"),
    ("import math\nprint(math.pi)\n\nThis prints pi.", "import math\nprint(math.pi)"),
    ("Sure! Here it is:\n\nx = 1\nprint(x)\n\nHope it helps!", "x = 1\nprint(x)"),
    ("Use `print(1)`.", "print(1)"),
    # thoughts
    ("<think>```python\nprint(0)\n```</think>\n```python\nprint(1)\n```", "print(1)"),
    # broken code comes from a fence only
    ("```python\nprint(1\n```", "print(1"),
    # an interpreter's transcript
    ("```python\n>>> x = 1\n>>> print(x)\n1\n```", "x = 1\nprint(x)"),
    # nothing that does anything
    ("```python\n# Your code here\n```", None),
    ("```\n20\n21\n```", None),
    # nothing
    ("", None),
    ("I cannot do that.", None),
    ("Yes", None),
    ("42", None),
    ("```bash\nls\n```", None),
    ("```python\n```", None),
    ("Either `print(1)` or `print(2)`", None),
    ('{"title": "x"}', None),
]


@pytest.mark.parametrize(("answer", "code"), CASES)
def test_code_of(answer, code):
    """Each form that models answer in."""
    assert code_of(answer) == code


def test_no_end_to_it():
    """Very long or deep answers are taken in their stride."""
    assert code_of("x" * 1_000_000) is None
    assert code_of("```python\n" + "(" * 10_000) is not None
    assert code_of("a = 1\n" * 20_000) is not None
    assert not parses("(" * 10_000)


@given(st.text())
def test_anything_goes_in(text):
    """Whatever comes in, out comes nothing, or text that is not blank and holds no NUL."""
    code = code_of(text)
    assert code is None or (code.strip() and "\0" not in code)


MARKS = st.sampled_from(
    [
        "```",
        "~~~",
        "````",
        "```python",
        "~~~ py",
        "\n",
        "print(1)",
        "x = ",
        " ",
        "text",
        "`",
        "<think>",
        "</think>",
    ]
)


@given(st.lists(MARKS, max_size=30).map("".join))
def test_any_mix_of_fences(text):
    """Fences in any order are read; their blocks lie within the text."""
    code = code_of(text)
    assert code is None or code.strip()
    assert all(block.code in text or "\n" in block.code for block in fenced(text))


CODE = st.lists(
    st.sampled_from(
        [
            "x = 1",
            "print(2)",
            "def f():\n    return 3",
            "for i in range(3):\n    print(i)",
            "import math",
            "s = 'a`b'",
        ]
    ),
    min_size=1,
    max_size=6,
).map("\n".join)
PROSE = st.text("abc dé.,!?", max_size=40)


@given(CODE, PROSE, PROSE, st.sampled_from(["```", "~~~", "`````"]), st.booleans())
def test_fenced_code_comes_out_as_it_is(code, before, after, mark, closed):
    """A fenced program is found whole, whatever is said around it."""
    end = f"\n{mark}\n{after}" if closed else ""
    assert code_of(f"{before}\n{mark}python\n{code}{end}") == code


@given(CODE)
def test_loose_code_can_be_parsed(code):
    """Code without a fence is taken as a whole, or in a part that can be parsed."""
    found = code_of(f"Here it is, as you asked!\n\n{code}\n\nThat is all, I hope.")
    assert found is not None
    ast.parse(found)
