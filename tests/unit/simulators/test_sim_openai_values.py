"""What OpenAI's simulator refuses in well-formed requests."""

import pytest

from coreto.simulators.bodies import ApiError
from coreto.simulators.openai.values import check_chat, check_embeddings


def code_of(model: str, **body) -> str | None:
    """The code a chat request is refused with."""
    try:
        check_chat(model, body)
    except ApiError as refusal:
        return refusal.error.body["error"]["code"]
    return None


@pytest.mark.parametrize("model", ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5-mini", "gpt-5.4"])
def test_reasoning_models(model) -> None:
    """They refuse `max_tokens` and every temperature but 1, as the real ones do."""
    assert code_of(model, max_tokens=5) == "unsupported_parameter"
    assert code_of(model, temperature=0) == "unsupported_value"
    assert code_of(model, logprobs=True) == "unsupported_parameter"
    assert code_of(model, max_completion_tokens=5, temperature=1, logprobs=False) is None
    assert code_of(model, temperature=0, reasoning_effort="none") is None


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-5-chat-latest", "openai/o3", "o1000", "phi3:mini"])
def test_other_models(model) -> None:
    """They take both, but not both limits at once."""
    assert code_of(model, max_tokens=5, temperature=0) is None
    assert code_of(model, max_tokens=5, max_completion_tokens=5) == "invalid_parameter_combination"


def test_numbers_out_of_range() -> None:
    """More choices than 128 or more dimensions than the model has are refused."""
    assert code_of("gpt-4o", n=129) == "integer_above_max_value"
    assert code_of("gpt-4o", n=128) is None
    check_embeddings({"dimensions": 1536}, 1536)
    with pytest.raises(ApiError):
        check_embeddings({"dimensions": 1537}, 1536)
