"""Facts about model families, by name, for models that nobody has described to us."""

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Profile:
    """What a family can do. ``context``: tokens; ``chat``: it holds conversations (embedders do not);
    ``reasoning``: it takes requests as OpenAI's reasoning models do, see
    :mod:`~coreto.providers.openai_reasoning`."""

    context: int | None = None
    chat: bool = True
    embeddings: bool = False
    reasoning: bool = False


_EMBEDDER = Profile(chat=False, embeddings=True)

#: The first pattern found in the model's name decides.
_FAMILIES: tuple[tuple[re.Pattern[str], Profile], ...] = (
    (re.compile(r"embed|\bbge-|\be5-|minilm|gte-"), _EMBEDDER),
    (re.compile(r"whisper|\btts|dall-e|image|moderation|rerank"), Profile(chat=False)),
    # as OpenAI and OpenRouter call them; `gpt-5-chat` is none, and gpt-oss has servers of all kinds
    (re.compile(r"(?:^|/)o1-(?:mini|preview)"), Profile(context=128_000, reasoning=True)),
    (re.compile(r"(?:^|/)o[134](?:-|$)"), Profile(context=200_000, reasoning=True)),
    (re.compile(r"(?:^|/)gpt-5(?!\d|-chat)"), Profile(context=272_000, reasoning=True)),
    (re.compile(r"smollm2"), Profile(context=8_192)),
    (re.compile(r"phi3:mini|phi-3-mini-4k"), Profile(context=4_096)),
    (re.compile(r"qwen2\.5-32b-instruct-moe-rtx|qwen2\.5"), Profile(context=32_768)),
    (re.compile(r"mistral:7b|mistral-7b"), Profile(context=32_768)),
    (re.compile(r"gemma-2|gemma2"), Profile(context=8_192)),
    (re.compile(r"gpt-4o|gpt-oss"), Profile(context=128_000)),
    (re.compile(r"claude-3"), Profile(context=200_000)),
    (re.compile(r"qwen3|deepseek-v[34]|minimax-m2"), Profile(context=131_072)),
)


def profile_of(model: str) -> Profile:
    """What is known of ``model`` by its name; an unknown one is taken for a chat model."""
    name = model.lower()
    return next((profile for pattern, profile in _FAMILIES if pattern.search(name)), Profile())


@lru_cache(maxsize=1024)
def reasons(model: str) -> bool:
    """Whether ``model`` is one of OpenAI's reasoning models: asked for every call, so found once a name."""
    return profile_of(model).reasoning


_SMALL = re.compile(r"smollm|tinyllama|(?<![\d.])(?:\d{2,3}m|0\.\d+b|1(?:\.\d)?b)(?![a-z0-9])")


def is_small(model: str) -> bool:
    """Whether ``model`` says in its name that it is too small to be trusted with plans, code, or languages
    other than English: below about two thousand million parameters."""
    return bool(_SMALL.search(model.lower()))
