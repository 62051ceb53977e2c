"""What OpenAI refuses in a request that is well formed: numbers out of range, and what its reasoning models do
not take."""

import re
from collections.abc import Mapping
from typing import Any

from coreto.simulators.bodies import ApiError, openai

MOST_CHOICES = 128
_REASONING = re.compile(r"o[134](-|$)|gpt-5(?!\d|-chat)")
#: What they take of the others' fields is the default alone; without one they do not know the field.
_SAMPLING: Mapping[str, int | None] = {
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logprobs": None,
    "top_logprobs": None,
    "logit_bias": None,
}
_INVALID = "invalid_request_error"


def check_chat(model: str, body: Mapping[str, Any]) -> None:
    """Raise :class:`ApiError` for values that OpenAI's chat completions refuse."""
    count = body.get("n")
    if isinstance(count, int) and count > MOST_CHOICES:
        raise _above("n", MOST_CHOICES, count)
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise ApiError(openai(400, message, _INVALID, "invalid_parameter_combination", "max_tokens"))
    if _REASONING.match(model):
        _check_reasoning(body)


def check_embeddings(body: Mapping[str, Any], most: int) -> None:
    """Raise :class:`ApiError` for more ``dimensions`` than the ``most`` that the model has."""
    size = body.get("dimensions")
    if isinstance(size, int) and size > most:
        raise _above("dimensions", most, size)


def _check_reasoning(body: Mapping[str, Any]) -> None:
    if body.get("max_tokens") is not None:
        raise _unsupported("max_tokens", " Use 'max_completion_tokens' instead.")
    if body.get("reasoning_effort") == "none":
        return
    for name, default in _SAMPLING.items():
        value = body.get(name)
        if value is None or value is False or value == default:
            continue
        if default is None:
            raise _unsupported(name)
        message = (
            f"Unsupported value: '{name}' does not support {value} with this model. "
            f"Only the default ({default}) value is supported."
        )
        raise ApiError(openai(400, message, _INVALID, "unsupported_value", name))


def _unsupported(name: str, hint: str = "") -> ApiError:
    message = f"Unsupported parameter: '{name}' is not supported with this model.{hint}"
    return ApiError(openai(400, message, _INVALID, "unsupported_parameter", name))


def _above(name: str, most: int, value: int) -> ApiError:
    message = (
        f"Invalid '{name}': integer above maximum value. Expected a value <= {most}, but got {value} instead."
    )
    return ApiError(openai(400, message, _INVALID, "integer_above_max_value", name))
