"""What OpenAI's reasoning models (o1, o3, o4, gpt-5) do not take, put into what they do. Pure.

They want ``max_completion_tokens`` where all others want ``max_tokens``, which some others still do not know by
another name; and they refuse every sampling setting that is not its default, with a 400 for the whole request.
A role's ``temperature`` must not end in that.
"""

from collections.abc import Mapping

from coreto.messages import Json

#: Each with the one value that is no wish.
_SAMPLING: Mapping[str, object] = {
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logit_bias": {},
    "logprobs": False,
    "top_logprobs": 0,
}


def adapted(body: Json) -> tuple[Json, tuple[str, ...]]:
    """A request that such a model takes, and the fields that had to be left out."""
    out = dict(body)
    most = out.pop("max_tokens", None)
    if most is not None and out.get("max_completion_tokens") is None:
        out["max_completion_tokens"] = most
    if out.get("reasoning_effort") == "none":
        return out, ()  # gpt-5.1 and later: without thinking they are like the others
    given = [name for name in _SAMPLING if name in out]
    values = {name: out.pop(name) for name in given}
    return out, tuple(n for n, value in values.items() if value is not None and value != _SAMPLING[n])
