"""A prompt that is ready to be sent, and what traces and cache keys keep of it. Pure."""

from dataclasses import dataclass
from typing import Any

from coreto.labels import Label
from coreto.languages import Language
from coreto.messages import Json


@dataclass(frozen=True, slots=True)
class Rendered:
    """``messages``: who speaks and what; ``digest``: of the template, not of the values; ``label``: how far the
    messages may travel; ``asked``: the language that was wanted, which may be another one; ``experiment`` and
    ``variant``: what it is counted for; ``ignored``: variables whose stored values fit no more."""

    name: str
    version: int
    language: Language
    digest: str
    messages: tuple[tuple[str, str], ...]
    label: Label
    asked: Language
    role: str | None = None
    experiment: str | None = None
    variant: str | None = None
    ignored: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All messages as one text."""
        return "\n\n".join(text for _, text in self.messages)

    def as_messages(self) -> list[Json]:
        """The messages in OpenAI's form."""
        return [{"role": speaker, "content": text} for speaker, text in self.messages]


def trace_of(rendered: Rendered) -> Json:
    """What a trace says of the prompt: which one it was, never what it said."""
    told: dict[str, Any] = {
        "name": rendered.name,
        "version": rendered.version,
        "language": rendered.language,
        "digest": rendered.digest,
    }
    if rendered.experiment is not None:
        told |= {"experiment": rendered.experiment, "variant": rendered.variant}
    return told


def cache_key_of(rendered: Rendered) -> str:
    """What a cache key adds for the prompt: another content of the template is another key."""
    return f"prompt:{rendered.digest}"


def cache_tag_of(rendered: Rendered) -> str:
    """A tag under which all answers to this version can be forgotten."""
    return f"prompt:{rendered.name}@{rendered.version}"
