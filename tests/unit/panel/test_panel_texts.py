"""What a panel says about itself."""

import asyncio

import pytest
from panel_house import HANGS, NAMES, House, held

from coreto.errors import CallError
from coreto.panel.policy import Rules
from coreto.panel.texts import notices


def last(house: House, **options):
    return asyncio.run(held(house.panel(Rules(linger=0.0), **options), house.clock))[-1][1]


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "en",
            (
                "Quality: basic (3 of 5 specialists took part)",
                "Degraded: a required answer is missing: memory",
                "Without an answer: cpu (out of time)",
            ),
        ),
        (
            "pt-BR",
            (
                "Qualidade: básica (3 de 5 especialistas participaram)",
                "Degradado: falta uma resposta obrigatória: memory",
                "Sem resposta: cpu (tempo esgotado)",
            ),
        ),
    ],
)
def test_what_is_missing_is_said(house: House, language, expected) -> None:
    """The quality, who is missing though required, and who else did not answer."""
    house.acting(cpu=HANGS, memory=CallError("no"))
    assert notices(last(house, required=("memory",)), language) == expected


def test_other_notices(house: House) -> None:
    """Nobody has answered; the answers could not be consolidated; more may come."""
    house.acting(cpu=9.0)
    early = asyncio.run(held(house.panel(Rules(linger=0.0)), house.clock))[0][1]
    assert notices(early, "en")[-1] == "More answers may come"
    house.consolidation_error = CallError("no")
    assert notices(last(house), "pt-BR")[-1] == "Não foi possível consolidar as respostas"
    house.acting(**dict.fromkeys(NAMES, CallError("no")))
    assert notices(last(house), "en") == (
        "Quality: fallback (0 of 5 specialists took part)",
        "Without an answer: " + ", ".join(f"{name} (failed)" for name in NAMES),
        "Nobody has answered",
    )
