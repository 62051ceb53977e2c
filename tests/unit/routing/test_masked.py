"""Candidates behind a mask: what leaves, and what comes back."""

import asyncio

import pytest

from coreto.labels import Label
from coreto.messages import Accumulator, Call, Chunk, Json, Limits, Whole, text_of
from coreto.providers.catalog import Deployment
from coreto.resilience.plan import Candidate
from coreto.routing.masked import masked
from coreto.routing.masking import Mask
from coreto.testing.provider import FakeProvider, Say

CPF = "529.982.247-25"
MAIL = "ana.souza@lojadaana.com.br"
PROMPT = f"O CPF da cliente é {CPF} e o e-mail é {MAIL}. Escreva um aviso."
CLOUD = Deployment("far/m", "far", "m", local=False, account="far", endpoint="far")
HOME = Deployment("near/m", "near", "m", local=True, account="near", endpoint="near")


def call(*, stream: bool = False) -> Call:
    body: Json = {"messages": [{"role": "user", "content": PROMPT}]}
    return Call("c", body, "m", stream=stream, label=Label.PRIVATE, limits=Limits())


def behind(fake: FakeProvider, where: Deployment = CLOUD) -> Candidate:
    mask = Mask()
    mask.hide_body(call().body)
    return masked(Candidate(where, fake), mask)


def names() -> tuple[str, str]:
    """The placeholders that :data:`PROMPT`'s values get."""
    mask = Mask()
    return mask.hide(CPF), mask.hide(MAIL)


async def items(candidate: Candidate, asked: Call) -> list[object]:
    async with candidate.provider.open(asked) as opened:
        return [item async for item in opened]


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_private_leaves(stream: bool) -> None:
    """What the provider gets has placeholders for every value, and a label that lets it leave."""
    fake = FakeProvider(Say("ok"), local=False)
    asyncio.run(items(behind(fake), call(stream=stream)))
    (got,) = fake.calls
    assert got.label is Label.INTERNAL
    assert CPF not in str(got.body)
    assert MAIL not in str(got.body)


def test_on_this_machine_nothing_is_hidden() -> None:
    """A local candidate is asked as it is."""
    candidate = Candidate(HOME, FakeProvider())
    assert masked(candidate, Mask()) is candidate


def test_a_whole_answer_gets_the_values_back() -> None:
    """Texts and tool arguments say the real values; JSON stays JSON."""
    cpf, mail = names()
    tool = {"id": "t", "type": "function", "function": {"name": "f", "arguments": f'{{"to": "{mail}"}}'}}
    fake = FakeProvider(Say(f"Prezada, seu CPF {cpf} foi aceito.", tool_calls=(tool,)), local=False)
    (whole,) = asyncio.run(items(behind(fake), call()))
    assert isinstance(whole, Whole)
    assert text_of(whole.body) == f"Prezada, seu CPF {CPF} foi aceito."
    arguments = whole.body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert arguments == f'{{"to": "{MAIL}"}}'


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 100])
def test_a_stream_gets_the_values_back(size: int) -> None:
    """However the placeholders are cut, the stream says the real values, and ends with its finish."""
    cpf, mail = names()
    text = f"CPF {cpf}, contato {mail}"
    pieces = tuple(text[i : i + size] for i in range(0, len(text), size))
    fake = FakeProvider(Say(text, pieces=pieces), local=False)
    chunks = asyncio.run(items(behind(fake), call(stream=True)))
    heard = Accumulator()
    for chunk in chunks:
        assert isinstance(chunk, Chunk)
        heard.add(chunk.body)
    assert (heard.text, heard.finish) == (f"CPF {CPF}, contato {MAIL}", "stop")
