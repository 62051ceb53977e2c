"""Numbers with check digits: any valid one in any usual writing, and none with a wrong digit."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from stdnum import iban as iban_rules
from stdnum import luhn
from stdnum.br import cnpj as cnpj_rules

from coreto.routing.privacy import detect_sensitive
from coreto.routing.sensitive import checkdigits

FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
PT = ("zero", "um", "dois", "três", "quatro", "cinco", "seis", "sete", "oito", "nove")
EN = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def digits(size):
    return st.text("0123456789", min_size=size, max_size=size)


def cpf_of(base):
    for _ in range(2):
        total = sum(int(d) * w for d, w in zip(base, range(len(base) + 1, 1, -1), strict=True))
        base += str(total * 10 % 11 % 10)
    return base


CPFS = digits(9).map(cpf_of).filter(checkdigits.cpf)
CNPJS = st.builds(
    lambda root, branch: root + branch + cnpj_rules.calc_check_digits(root + branch),
    digits(8),
    st.sampled_from(["0001", "0002", "0117"]),
).filter(checkdigits.cnpj)
ALPHANUMERIC = (
    st.text("ABCDEFGHJKLMNPRSTUVWXYZ0123456789", min_size=12, max_size=12)
    .map(lambda base: base + cnpj_rules.calc_check_digits(base))
    .filter(lambda number: checkdigits.cnpj(number) and not number.isdigit())
)
CARDS = (
    st.sampled_from(
        [
            ("4", 16),
            ("51", 16),
            ("55", 16),
            ("2221", 16),
            ("34", 15),
            ("37", 15),
            ("6011", 16),
            ("636368", 16),
            ("606282", 16),
        ]
    )
    .flatmap(lambda brand: digits(brand[1] - 1 - len(brand[0])).map(lambda rest: brand[0] + rest))
    .map(lambda base: base + luhn.calc_check_digit(base))
    .filter(checkdigits.card)
)
IBANS = (
    st.sampled_from([("DE", 18), ("PT", 21), ("ES", 20), ("FR", 23), ("NL", 14)])
    .flatmap(
        lambda country: digits(country[1]).map(
            lambda account: (country[0], account if country[0] != "NL" else "ABNA" + account[4:])
        )
    )
    .map(lambda pair: pair[0] + iban_rules.calc_check_digits(f"{pair[0]}00{pair[1]}") + pair[1])
)


def cut(number, *sizes):
    out, at = [], 0
    for size in sizes:
        out.append(number[at : at + size])
        at += size
    return out


def cpf_forms(number):
    a, b, c, d = cut(number, 3, 3, 3, 2)
    return [
        number, f"{a}.{b}.{c}-{d}", f"{a} {b} {c} {d}", f"{a}-{b}-{c}-{d}", f"{a}{b}{c}-{d}", f"{a}/{b}/{c}/{d}", f"{a}·{b}·{c}–{d}",
        " ".join(number), " ".join(f"{a}.{b}.{c}-{d}"), f"{a}.{b}.{c}-{d}".translate(FULL_WIDTH), "\u200b".join(number),
        " ".join(PT[int(n)] for n in number), ", ".join(EN[int(n)] for n in number), f"{a}_{b}_{c}_{d}", f"{a} . {b} . {c} - {d}",
        f"{a}.{b}.{c}/{d}", "-".join(number), f"{a}.{b}.{c}{d}",
    ]  # fmt: skip


def cnpj_forms(number):
    a, b, c, d, e = cut(number, 2, 3, 3, 4, 2)
    return [
        number,
        f"{a}.{b}.{c}/{d}-{e}",
        f"{a} {b} {c} {d} {e}",
        f"{a}.{b}.{c}.{d}-{e}",
        f"{a}{b}{c}/{d}-{e}",
        " ".join(number),
    ]


def card_forms(number):
    sizes = (4, 4, 4, 4) if len(number) == 16 else (4, 6, 5)
    return [
        number,
        *(sep.join(cut(number, *sizes)) for sep in (" ", "-", ".", " - ", "\u00a0")),
        " ".join(number),
        number.translate(FULL_WIDTH),
    ]


def iban_forms(number):
    groups = [number[i : i + 4] for i in range(0, len(number), 4)]
    return [number, " ".join(groups), "-".join(groups), number.lower(), " ".join(groups).lower()]


def kinds(text):
    return detect_sensitive(text).kinds


@pytest.mark.parametrize("frame", ["{}", "o dele é {}.", "send ({}) to her", "a,{},b", "n: {}\nok"])
@settings(max_examples=60, deadline=None)
@given(number=CPFS, data=st.data())
def test_privacy_finds_any_cpf(frame, number, data):
    """Every CPF is found in every usual way to write one."""
    written = data.draw(st.sampled_from(cpf_forms(number)))
    assume(not ("," in frame[0:2] and ", " in written))
    assert "cpf" in kinds(frame.format(written)), written


@settings(max_examples=100, deadline=None)
@given(number=CNPJS, data=st.data())
def test_privacy_finds_any_cnpj(number, data):
    """Every CNPJ is found in every usual way to write one."""
    written = data.draw(st.sampled_from(cnpj_forms(number)))
    assert "cnpj" in kinds(f"fornecedor {written} ok"), written


@settings(max_examples=60, deadline=None)
@given(number=ALPHANUMERIC)
def test_privacy_finds_alphanumeric_cnpj(number):
    """The form with letters is found with its punctuation, and bare beside its name."""
    a, b, c, d, e = cut(number, 2, 3, 3, 4, 2)
    assert "cnpj" in kinds(f"a empresa {a}.{b}.{c}/{d}-{e} mudou")
    assert "cnpj" in kinds(f"CNPJ {number} mudou")


@settings(max_examples=100, deadline=None)
@given(number=CARDS, data=st.data())
def test_privacy_finds_any_card(number, data):
    """Every card number is found in groups, with any separator, or bare."""
    written = data.draw(st.sampled_from(card_forms(number)))
    assert "card" in kinds(f"charge {written} now"), written


@settings(max_examples=100, deadline=None)
@given(number=IBANS, data=st.data())
def test_privacy_finds_any_iban(number, data):
    """Every IBAN is found in groups or not, in either letter case."""
    written = data.draw(st.sampled_from(iban_forms(number)))
    assert "iban" in kinds(f"pay {written} now"), written


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 9))
def test_privacy_one_wrong_check_digit_is_no_number(data, shift):
    """With its last digit changed, none of them is taken for what it was."""
    kind, number, written = data.draw(
        st.one_of(
            CPFS.map(lambda n: ("cpf", n, cpf_forms)),
            CNPJS.map(lambda n: ("cnpj", n, cnpj_forms)),
            CARDS.map(lambda n: ("card", n, card_forms)),
            IBANS.map(lambda n: ("iban", n, iban_forms)),
        )
    )
    wrong = number[:-1] + str((int(number[-1]) + shift) % 10)
    assert kind not in kinds(f"item {data.draw(st.sampled_from(written(wrong)))} ok")


@pytest.mark.parametrize(
    "text",
    [
        "000.000.000-00", "111.111.111-11", "123.456.789-09", "***.982.247-**", "00000000000000", "pi is 3.14159265358979",
        "0000 0000 0000 0000", "1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9", "2024-01-31 10:00:00.123456",
        "Stripe's test card 4242 4242 4242 4242", "00190.00009 00000.000000 00000.000000 1 00000000000000",
    ],
)  # fmt: skip
def test_privacy_placeholders_are_nobodys(text):
    """Numbers that forms and manuals show are no data, although their check digits may be right."""
    assert kinds(text) == ()


@given(digits(8), st.integers(1, 28))
def test_checkdigits_voter_accepts_its_own(serial, state):
    """The voter number with its two computed digits passes, with any other first digit it does not."""
    first = sum(int(d) * w for d, w in zip(serial, range(2, 10), strict=True)) % 11 % 10
    second = (state // 10 * 7 + state % 10 * 8 + first * 9) % 11 % 10
    number = f"{serial}{state:02d}{first}{second}"
    assert checkdigits.voter(number)
    other = (first + 5) % 10
    assert not checkdigits.voter(
        f"{serial}{state:02d}{other}{(state // 10 * 7 + state % 10 * 8 + other * 9) % 11 % 10}"
    )


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (checkdigits.pis, "12056874107", "12056874108"),
        (checkdigits.cnh, "02650306461", "02650306462"),
        (checkdigits.renavam, "00639884962", "00639884963"),
        (checkdigits.ssn, "536904399", "000904399"),
        (checkdigits.routing, "021000021", "021000022"),
    ],
)
def test_checkdigits_tell_right_from_wrong(check, right, wrong):
    """A published number passes its rule, its neighbour fails it."""
    assert check(right)
    assert not check(wrong)
