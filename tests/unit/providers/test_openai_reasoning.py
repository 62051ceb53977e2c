"""Which models are OpenAI's reasoning models, and what becomes of a request for one."""

import pytest

from coreto.providers.openai_reasoning import adapted
from coreto.providers.profiles import profile_of, reasons


@pytest.mark.parametrize(
    "model",
    [
        "o1",
        "o1-mini",
        "o3",
        "o3-pro",
        "o4-mini-2025-04-16",
        "gpt-5",
        "GPT-5-nano",
        "gpt-5.4",
        "openai/o3-mini",
    ],
)
def test_reasoning_models(model) -> None:
    """They are known by name, with or without a vendor's prefix, and hold conversations."""
    assert reasons(model)
    assert profile_of(model).chat
    assert profile_of(model).context >= 128_000


@pytest.mark.parametrize(
    "model",
    ["gpt-4o-mini", "gpt-5-chat-latest", "gpt-oss:120b", "phi3:mini", "llama-o1", "o1000", "gpt-50", "qwen3"],
)
def test_other_models(model) -> None:
    """Names that only look like it are none, nor is `gpt-5-chat`."""
    assert not reasons(model)


@pytest.mark.parametrize(
    ("given", "sent", "unmapped"),
    [
        ({"max_tokens": 9}, {"max_completion_tokens": 9}, ()),
        ({"max_tokens": None}, {}, ()),
        ({"max_tokens": 9, "max_completion_tokens": 5}, {"max_completion_tokens": 5}, ()),
        ({"temperature": 0}, {}, ("temperature",)),
        ({"temperature": 1.0, "top_p": 1, "logprobs": False}, {}, ()),
        ({"temperature": None}, {}, ()),
        ({"top_p": 0.5, "logit_bias": {"5": 1}}, {}, ("top_p", "logit_bias")),
        ({"logprobs": True, "top_logprobs": 3}, {}, ("logprobs", "top_logprobs")),
        (
            {"temperature": 0, "max_tokens": 9, "reasoning_effort": "none"},
            {"temperature": 0, "max_completion_tokens": 9, "reasoning_effort": "none"},
            (),
        ),
        ({"stop": ["x"], "seed": 1, "odd": 2}, {"stop": ["x"], "seed": 1, "odd": 2}, ()),
    ],
)
def test_requests(given, sent, unmapped) -> None:
    """The limit gets its other name, sampling settings are left out and listed, the rest passes."""
    before = dict(given)
    assert adapted(given) == (sent, unmapped)
    assert given == before, "bodies are never changed in place"
