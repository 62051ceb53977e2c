"""What a deployment charges, from a kept source (genai-prices) or the configuration.

A price is looked up once per deployment; a lookup costs far too much for the path of a call.
"""

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING

from coreto.messages import Usage

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation

_SAMPLE_TOKENS = 1000
_PICO = Decimal(10) ** 12
_MILLION = Decimal(10) ** 6
_PICO_PER_NANO = 1000

# what marks a name as a dated or current name of the same model
_EDITION = re.compile(r"[-@:](?:latest|\d{4}-?\d{2}-?\d{2})$")


@dataclass(frozen=True, slots=True)
class Price:
    """Whole pico-dollars per token, so that sums are exact; ``cached`` is for prompt tokens read from the
    provider's cache. ``source`` says where it is from and as of when."""

    input: int
    output: int
    cached: int
    source: str


LOCAL = Price(0, 0, 0, "local")
"""A model on this machine."""


def price_of(
    provider: str, model: str, override_input: float | None = None, override_output: float | None = None
) -> Price | None:
    """The price of ``model`` at ``provider``; ``None`` when it is not known.

    Overrides are dollars per million tokens. With only one of them, the other comes from the kept
    source. Models with tiers are told at their lowest tier (short prompts).
    """
    if override_input is not None and override_output is not None:
        per_token = _pico_per_token(override_input)
        return Price(per_token, _pico_per_token(override_output), per_token, "configuration")
    known = _kept_price(provider, model)
    if known is None or (override_input is None and override_output is None):
        return known
    source = f"configuration, {known.source}"
    if override_input is not None:
        per_token = _pico_per_token(override_input)
        return Price(per_token, known.output, per_token, source)
    assert override_output is not None
    return Price(known.input, _pico_per_token(override_output), known.cached, source)


def cost_nusd(price: Price, usage: Usage) -> int:
    """What ``price`` makes of the tokens of ``usage``, in nano-dollars, half a nano-dollar rounded up."""
    cached = min(usage.cached, usage.prompt)
    pico = (usage.prompt - cached) * price.input + cached * price.cached + usage.completion * price.output
    return (pico + _PICO_PER_NANO // 2) // _PICO_PER_NANO


def charged_nusd(price: Price | None, usage: Usage) -> int | None:
    """What an attempt cost: as its server reported, else by ``price``; ``None`` when neither is known."""
    if usage.cost_nusd is not None:
        return usage.cost_nusd
    return None if price is None else cost_nusd(price, usage)


def _pico_per_token(dollars_per_million: float) -> int:
    exact = Decimal(str(dollars_per_million)) / _MILLION * _PICO
    return int(exact.to_integral_value(ROUND_HALF_UP))


def _kept_price(provider: str, model: str) -> Price | None:
    name = model.strip().lower()
    for candidate in dict.fromkeys((name, name.removeprefix(f"{provider}/"))):
        found = _look_up(provider, candidate)
        if found is not None:
            return found
    return None


def _look_up(provider: str, model: str) -> Price | None:
    from genai_prices import Usage as Tokens  # noqa: PLC0415 - 150 ms of imports, for priced deployments only
    from genai_prices import calc_price  # noqa: PLC0415 - as above

    try:
        fresh = calc_price(Tokens(input_tokens=_SAMPLE_TOKENS), model, provider_id=provider)
        cached = calc_price(
            Tokens(input_tokens=_SAMPLE_TOKENS, cache_read_tokens=_SAMPLE_TOKENS), model, provider_id=provider
        )
        written = calc_price(Tokens(output_tokens=_SAMPLE_TOKENS), model, provider_id=provider)
    except (LookupError, ValueError):
        return None
    if not _is_same(model, fresh.model.id.lower()) or not _is_per_token(model, fresh):
        return None
    return Price(
        input=_per_token(fresh.total_price),
        output=_per_token(written.total_price),
        cached=_per_token(cached.total_price),
        source=f"genai-prices {version('genai-prices')}",
    )


def _per_token(total: Decimal) -> int:
    return int((total * _PICO / _SAMPLE_TOKENS).to_integral_value(ROUND_HALF_UP))


def _is_same(asked: str, found: str) -> bool:
    """Whether two names mean one model. The kept source also matches by prefix, which may be another
    model's price: better none than that."""
    return asked == found or _EDITION.sub("", asked) == _EDITION.sub("", found)


def _is_per_token(model: str, found: "PriceCalculation") -> bool:
    """A model without any token price is charged otherwise (by the second, by the picture) or not known,
    which is not the same as free."""
    prices = vars(found.model_price)
    return model.endswith(":free") or any(
        prices.get(name) is not None for name in ("input_mtok", "output_mtok")
    )
