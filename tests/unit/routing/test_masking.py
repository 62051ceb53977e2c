"""Values go out as placeholders and come back whole, however the answer is cut or written."""

import copy

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreto.routing.masking import Mask

CPF = "529.982.247-25"
EMAIL = "ana.lima@exemplo.com"
PHONE = "+55 81 99812-3344"
KEY = "ghp" + "_0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R"
SECRETS = (CPF, "52998224725", EMAIL, PHONE, KEY, "11.222.333/0001-81")
LOOKALIKES = (
    "[CPF_1]",
    "[cpf_2]",
    "CPF_1",
    "[EMAIL_1",
    "[ CPF 1 ]",
    r"\[PHONE_1\]",
    "_1]",
    "[",
    "]",
    "\\",
    "CPF",
    "[TEXT_1]",
    " ",
    "\n",
    "1",
)
TEXTS = st.lists(
    st.sampled_from([*SECRETS, *LOOKALIKES, "cpf ", "olá ", ", "]) | st.text(max_size=12), max_size=12
).map("".join)
SPACED = st.lists(st.sampled_from([*SECRETS, *LOOKALIKES, "olá"]), min_size=1, max_size=12).map(" ".join)


@settings(max_examples=400, deadline=None)
@given(st.one_of(TEXTS, SPACED))
def test_mask_reveals_what_it_hid(text):
    """Hidden and revealed, any text is what it was, also one that is full of placeholders already."""
    mask = Mask()
    assert mask.reveal(mask.hide(text)) == text


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(TEXTS, SPACED), max_size=4))
def test_mask_reveals_several_texts(texts):
    """The same holds when one mask hides many texts, each revealed after all were hidden."""
    mask = Mask()
    hidden = [mask.hide(text) for text in texts]
    assert [mask.reveal(text) for text in hidden] == texts


@settings(max_examples=300, deadline=None)
@given(st.one_of(TEXTS, SPACED), st.data())
def test_mask_revealer_equals_the_whole(text, data):
    """A stream cut anywhere gives, put together, what the whole gives."""
    mask = Mask()
    mask.hide(" ".join(SECRETS))
    whole = mask.hide(text) + data.draw(TEXTS)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    revealer = mask.revealer()
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert "".join([*(revealer.feed(piece) for piece in pieces), revealer.finish()]) == mask.reveal(whole)


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_mask_revealer_equals_the_whole_letter_by_letter(text):
    """A stream of single characters loses and adds nothing."""
    mask = Mask()
    whole = mask.hide(" ".join(SECRETS)) + mask.hide(text)
    revealer = mask.revealer()
    assert "".join([*map(revealer.feed, whole), revealer.finish()]) == mask.reveal(whole)


def test_mask_revealer_holds_back_only_a_beginning():
    """Text that cannot become a placeholder is passed on at once, a bracket waits for what follows."""
    mask = Mask()
    assert mask.hide(f"cpf {CPF}") == "cpf [CPF_1]"
    revealer = mask.revealer()
    assert revealer.feed("the number is ") in ("the number is ", "the number is")
    assert revealer.feed("so [").rstrip().endswith("so")
    assert revealer.feed("CPF") == ""
    assert revealer.feed("_1").strip() == ""
    assert revealer.feed("], done") == f"{CPF}, done"
    assert revealer.feed(" [x] ok.") == " [x] ok."
    assert revealer.finish() == ""


@settings(max_examples=200, deadline=None)
@given(SPACED)
def test_mask_lets_no_value_out(text):
    """No value that was found stands in a hidden text, and the mask says so."""
    mask = Mask()
    hidden = mask.hide(text)
    assert mask.is_clean(hidden)
    assert not any(secret in hidden for secret in SECRETS)


def test_mask_is_stable():
    """The same value has the same placeholder in all texts of a call, another value another one."""
    mask = Mask()
    assert mask.hide(f"{EMAIL} e bia@exemplo.com") == "[EMAIL_1] e [EMAIL_2]"
    assert mask.hide(f"para bia@exemplo.com, cópia {EMAIL}") == "para [EMAIL_2], cópia [EMAIL_1]"


def test_mask_never_takes_a_placeholder_that_is_there():
    """A text's own placeholders keep their meaning: ours get other numbers."""
    mask = Mask()
    hidden = mask.hide(f"[EMAIL_1] e cpf_2 são campos; {EMAIL} e {CPF} não")
    assert hidden == "[EMAIL_1] e cpf_2 são campos; [EMAIL_2] e [CPF_1] não"
    assert mask.reveal("[EMAIL_1] [EMAIL_2]") == f"[EMAIL_1] {EMAIL}"


@pytest.mark.parametrize(
    "written",
    [
        "[CPF_1]",
        "[cpf_1]",
        "[Cpf_1]",
        "[CPF 1]",
        "[CPF1]",
        "[ CPF_1 ]",
        "[CPF-1]",
        r"\[CPF\_1\]",
        r"[CPF\_1]",
        r"\[CPF_1\]",
        "CPF_1",
    ],
)
def test_mask_understands_what_models_write(written):
    """Letter case, spaces, escapes and a missing bracket do not keep a value from coming back."""
    mask = Mask()
    mask.hide(CPF)
    assert mask.reveal(f"Use {written}.") == f"Use {CPF}."
    assert mask.reveal(f"**{written}**") == f"**{CPF}**"


@pytest.mark.parametrize(
    "text",
    [
        "CPF_10",
        "XCPF_1",
        "CPF_1 = 3",
        "CPF_1(x)",
        "self.CPF_1",
        "$CPF_1",
        "cpf_1",
        "CPF 1",
        "[CPF_12]",
        "[CPF_01x]",
    ],
)
def test_mask_leaves_alone_what_may_be_another_name(text):
    """Without brackets a program's names stay what they are, and so do numbers that were never given."""
    mask = Mask()
    mask.hide(CPF)
    assert mask.reveal(text) == text


def test_mask_hides_a_value_where_nothing_tells_what_it_is():
    """A number that was found once is hidden also where its context is missing or its separators differ."""
    mask = Mask()
    hidden = mask.hide("meu telefone: 81 99812-3344. Repito 81998123344 e 81.9981.23344")
    assert mask.is_clean(hidden)
    assert "3344" not in hidden
    assert mask.reveal(hidden) == "meu telefone: 81 99812-3344. Repito 81998123344 e 81.9981.23344"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"x {CPF} y", False), ("52998224725", False), ("529 982 247 25", False), ("529-982-247/25", False), ("5\u200b29.982.247-25", False),
        ("[CPF_1]", True), ("529.982.247-26", True), ("982.247", True), ("", True),
    ],
)  # fmt: skip
def test_mask_knows_a_value_by_its_digits(text, clean):
    """A value that comes out with other separators is no less out."""
    mask = Mask()
    mask.hide(CPF)
    assert mask.is_clean(text) is clean


def test_mask_refuses_what_is_told_in_sentences():
    """Health told in prose cannot be replaced: the mask says so, and still hides the rest."""
    mask = Mask()
    hidden = mask.hide(f"A Simone foi diagnosticada com lúpus, escreve para {EMAIL}")
    assert mask.unmaskable
    assert EMAIL not in hidden
    other = Mask()
    other.hide(f"escreve para {EMAIL}")
    assert not other.unmaskable


def test_mask_shows_no_values():
    """Neither the mask nor its revealer shows a value when printed."""
    mask = Mask()
    mask.hide(f"{CPF} {EMAIL} {KEY}")
    for shown in (repr(mask), str(mask), repr(mask.revealer())):
        assert not any(secret in shown for secret in SECRETS)


BODY = {
    "model": "x",
    "temperature": 0.5,
    "user": EMAIL,
    "messages": [
        {"role": "system", "content": f"You work for {EMAIL}."},
        {"role": "user", "content": [{"type": "text", "text": f"cpf {CPF}"}, {"type": "image_url", "image_url": {"url": "data:,x"}}]},
        {
            "role": "assistant", "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "find", "arguments": f'{{"cpf": "{CPF}", "tel": 81998123344, "n": 3}}'}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": f'{{"email": "{EMAIL}", "phone": "{PHONE}"}}'},
        {"role": "user", "content": "e o 52998224725?"},
    ],
    "tools": [{"type": "function", "function": {"name": "find", "description": f"Ask {EMAIL}", "parameters": {"type": "object", "properties": {"cpf": {"type": "string", "description": f"such as {CPF}"}}}}}],
}  # fmt: skip


def test_mask_hides_a_whole_request():
    """No value is left anywhere in a request, its shape and ids stay, and the caller's own is untouched."""
    mask = Mask()
    before = copy.deepcopy(BODY)
    hidden = mask.hide_body(BODY)
    assert before == BODY
    assert mask.is_clean(orjson.dumps(hidden).decode())
    assert not any(
        secret in orjson.dumps(hidden).decode()
        for secret in (CPF, EMAIL, PHONE, "52998224725", "81998123344")
    )
    assert [m["role"] for m in hidden["messages"]] == [m["role"] for m in BODY["messages"]]
    assert hidden["messages"][3]["tool_call_id"] == hidden["messages"][2]["tool_calls"][0]["id"] == "call_1"
    assert hidden["messages"][1]["content"][1] == BODY["messages"][1]["content"][1]
    assert hidden["tools"][0]["function"]["name"] == "find"
    assert hidden["temperature"] == 0.5
    assert orjson.loads(hidden["messages"][2]["tool_calls"][0]["function"]["arguments"])["n"] == 3


def test_mask_request_is_clean_whatever_the_order():
    """A value that only a later message explains is hidden in the earlier ones too."""
    mask = Mask()
    hidden = mask.hide_body(
        {
            "messages": [
                {"role": "user", "content": "81 3333 4455?"},
                {"role": "user", "content": "meu telefone é 81 3333-4455"},
            ]
        }
    )
    assert "4455" not in orjson.dumps(hidden).decode()


@pytest.mark.parametrize(
    "body",
    [
        {}, {"messages": None}, {"messages": []}, {"messages": ["x", 3, None]}, {"messages": [{"role": "user"}]}, {"messages": [{"content": 3}]},
        {"messages": [{"content": [3, "a", {"type": "text"}, {"text": 4}]}]}, {"messages": [{"tool_calls": "x"}]}, {"tools": "x"},
        {"messages": [{"tool_calls": [{"function": {"arguments": "not json"}}, {"function": None}]}]}, {"messages": [{"function_call": {"arguments": 3}}]},
    ],
)  # fmt: skip
def test_mask_keeps_odd_requests_as_they_are(body):
    """A malformed request is not the mask's to judge: nothing is lost and nothing raised."""
    assert Mask().hide_body(body) == body or body == {
        "messages": [{"tool_calls": [{"function": {"arguments": "not json"}}, {"function": None}]}]
    }


def test_mask_names_stay_names():
    """A participant's name gets a placeholder without brackets, which wires refuse, and comes back."""
    mask = Mask()
    hidden = mask.hide_body({"messages": [{"role": "user", "name": "cpf_52998224725", "content": "oi"}]})
    name = hidden["messages"][0]["name"]
    assert "52998224725" not in name
    assert not set(name) & set("[]")


def test_mask_reveals_into_json():
    """A value with quotes and line breaks comes back into JSON as JSON, whole or streamed."""
    secret = 'tree "oak"\\7'
    block = (
        "-----BEGIN " + "PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\n-----END " + "PRIVATE KEY-----"
    )
    mask = Mask()
    hidden = mask.hide(f"use {block}")
    assert hidden == "use [PRIVATE_KEY_1]"
    arguments = '{"key": "[PRIVATE_KEY_1]", "n": 1}'
    assert orjson.loads(mask.reveal(arguments, escape=True)) == {"key": block, "n": 1}
    revealer = mask.revealer(escape=True)
    assert orjson.loads("".join([*map(revealer.feed, arguments), revealer.finish()]))["key"] == block
    assert mask.is_clean(secret)


@given(
    st.recursive(
        st.sampled_from([CPF, EMAIL, "x", 3, True, None, 1.5]),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["cpf", "a"]), inner, max_size=2)
        ),
        max_leaves=8,
    )
)
@settings(max_examples=60, deadline=None)
def test_mask_json_comes_back_equal(value):
    """Tool arguments hidden and revealed are the same JSON, and nothing of a value is left between."""
    mask = Mask()
    hidden = mask.hide_json(orjson.dumps(value).decode())
    assert mask.is_clean(hidden)
    assert orjson.loads(mask.reveal(hidden, escape=True)) == value
