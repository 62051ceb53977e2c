"""Prices: exact, dated, never guessed."""

import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from importlib.metadata import version

import pytest
from genai_prices import Usage as Tokens
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st

from coreto.ledger.pricing import LOCAL, Price, charged_nusd, cost_nusd, price_of
from coreto.messages import Usage


def test_a_known_price():
    """The price is that of the kept source, in whole pico-dollars per token, with its version as date."""
    price = price_of("openrouter", "openai/gpt-4o-mini")
    assert price is not None
    assert price.source == f"genai-prices {version('genai-prices')}"
    theirs = calc_price(
        Tokens(input_tokens=123, output_tokens=45, cache_read_tokens=23),
        "openai/gpt-4o-mini",
        provider_id="openrouter",
    )
    ours = cost_nusd(price, Usage(prompt=123, completion=45, cached=23))
    assert abs(Decimal(ours) - theirs.total_price * 10**9) <= Decimal("0.5")


@pytest.mark.parametrize(
    ("provider", "asked", "same"),
    [
        ("openrouter", "openai/gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini"),
        ("openai", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("openai", "openai/gpt-4o-mini", "gpt-4o-mini"),
        ("openai", " GPT-4o-mini ", "gpt-4o-mini"),
    ],
)
def test_names_of_the_same_model(provider: str, asked: str, same: str):
    """A dated name, the provider's prefix or another case is the same model."""
    assert price_of(provider, asked) == price_of(provider, same) is not None


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("ollama-cloud", "qwen3-coder:480b"),
        ("openai", "gpt-4o-miniature"),
        ("openai", "ft:gpt-4o-mini:acme::1"),
        ("openrouter", "openai/gpt-4o-mini:nitro"),
        ("openai", "whisper-1"),
        ("lab", "gpt-4o-mini"),
        ("openai", ""),
    ],
)
def test_unknown_is_none(provider: str, model: str):
    """Neither an unknown provider nor a similar name nor a price per second becomes a price per token."""
    assert price_of(provider, model) is None


def test_no_prefix_match_lends_its_price():
    """Whatever the kept source finds for a longer name, the price is used only for the same model."""
    known = ["gpt-4o", "gpt-4o-mini", "gpt-4.1", "o1", "o3-mini", "gpt-3.5-turbo"]
    assert [price_of("openai", f"{name}-banana") for name in known] == [None] * len(known)


def test_free_models_are_known_to_be_free():
    """OpenRouter's ``:free`` models cost 0, which is a known price."""
    price = price_of("openrouter", "deepseek/deepseek-chat:free")
    assert price is not None
    assert cost_nusd(price, Usage(prompt=1000, completion=1000)) == 0


def test_overrides():
    """Dollars per million from the configuration win; one alone needs the other from the kept source."""
    assert price_of("lab", "m", 0.15, 2) == Price(150_000, 2_000_000, 150_000, "configuration")
    assert price_of("lab", "m", 0.15) is None
    assert price_of("lab", "m", None, 2) is None
    known = price_of("openai", "gpt-4o-mini")
    changed = price_of("openai", "gpt-4o-mini", None, 9)
    assert known is not None
    assert changed == Price(known.input, 9_000_000, known.cached, f"configuration, {known.source}")
    assert price_of("openai", "gpt-4o-mini", 1.0) == Price(1_000_000, known.output, 1_000_000, changed.source)


def test_the_servers_own_figure_wins():
    """What the server reports is what is charged; without it and without a price the cost is unknown."""
    usage = Usage(prompt=1_000_000, completion=0)
    price = Price(150_000, 600_000, 75_000, "test")
    assert charged_nusd(price, usage) == 150_000_000  # 15 cents
    assert charged_nusd(price, Usage(prompt=1_000_000, cost_nusd=5)) == 5
    assert charged_nusd(None, usage) is None
    assert charged_nusd(LOCAL, usage) == 0


counts = st.integers(0, 10**9)
prices = st.builds(
    Price, st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.just("test")
)


@given(price=prices, prompt=counts, completion=counts, cached=counts)
def test_cost_is_exact_to_half_a_nano_dollar(price, prompt, completion, cached):
    """The cost is tokens times price; cached tokens are prompt tokens, charged once."""
    cost = cost_nusd(price, Usage(prompt=prompt, completion=completion, cached=cached))
    read = min(cached, prompt)
    exact = Fraction((prompt - read) * price.input + read * price.cached + completion * price.output, 1000)
    assert abs(cost - exact) <= Fraction(1, 2)


def test_import_is_light():
    """Importing the ledger and the stores brings in neither genai-prices nor Alembic."""
    code = (
        "import sys, coreto.ledger.pricing, coreto.ledger.recorder, coreto.stores.migrate;"
        "sys.exit(any(name in sys.modules for name in ('genai_prices', 'alembic', 'psycopg')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
