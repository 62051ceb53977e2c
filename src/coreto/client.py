"""The Python API: ``async with Coreto() as c: answer = await c.chat("…", role="brain")``."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar, cast

from pydantic import BaseModel, ValidationError

from coreto.app import App, data_dir
from coreto.crews.commander.crew import Commander
from coreto.crews.commander.settings import CommanderSettings
from coreto.crews.commander.tools import Shelf
from coreto.errors import CoretoError, InvalidOutputError
from coreto.gateway.remote import RemoteGateway
from coreto.labels import Label
from coreto.messages import (
    Accumulator,
    Call,
    Chunk,
    EmbedCall,
    Item,
    Json,
    Preference,
    Trace,
    Usage,
    as_objects,
    message_of,
    new_call_id,
    text_of,
    usage_of,
    whole_of,
)
from coreto.owner import find_owner
from coreto.providers.rules import RuleFunction
from coreto.settings.load import Loaded, load
from coreto.settings.model import Settings

#: The folder of the data directory for what runs produce.
FILES = "files"

T = TypeVar("T", bound=BaseModel)
Prompt = str | Sequence[Mapping[str, Any]]
"""A user's message, or the messages of a conversation in OpenAI's form."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer. ``body`` is the OpenAI response as it came; ``trace`` says who answered, what was
    tried and what it cost."""

    text: str
    body: Json
    trace: Trace

    @property
    def deployment(self) -> str | None:
        return self.trace.deployment

    @property
    def tool_calls(self) -> list[Json]:
        return as_objects(message_of(self.body).get("tool_calls"))

    @property
    def usage(self) -> Usage:
        return usage_of(self.body) or Usage()

    @property
    def cost_usd(self) -> float | None:
        """Dollars, all attempts together; ``None`` when a price is not known."""
        nusd = self.trace.cost_nusd
        return None if nusd is None else nusd / 1e9


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """An answer of the form asked for."""

    value: T
    answer: Answer


class Stream:
    """A streamed answer: iterate it for pieces of text; :attr:`answer` is there at the end."""

    def __init__(self, chunks: AsyncGenerator[Chunk | Trace, None]) -> None:
        self._chunks = chunks
        self._heard = Accumulator()
        self.answer: Answer | None = None

    async def __aiter__(self) -> AsyncGenerator[str, None]:
        async for item in self._chunks:
            if isinstance(item, Trace):
                usage = self._heard.usage or Usage()
                message = {"role": "assistant", "content": self._heard.text}
                choice = {"index": 0, "message": message, "finish_reason": self._heard.finish}
                counts = {"prompt_tokens": usage.prompt, "completion_tokens": usage.completion}
                self.answer = Answer(self._heard.text, {"choices": [choice], "usage": counts}, item)
                return
            before = len(self._heard.parts)
            self._heard.add(item.body)
            for piece in self._heard.parts[before:]:
                yield piece


class Backend(Protocol):
    """What :class:`Coreto` needs of a gateway, here or in another process."""

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]: ...

    async def explain(self, call: Call) -> Json: ...

    async def embed(self, call: EmbedCall) -> tuple[Json, Trace]: ...

    async def announce(
        self, plan: str, steps: Sequence[tuple[str, int]], *, private: bool = False
    ) -> None: ...

    async def names(self) -> list[str]: ...

    async def status(self) -> Json: ...

    async def close(self) -> None: ...


class Coreto:
    """Local and cloud models as one.

    Settings come from ``coreto.toml``, ``.env`` and the environment as for the command line; ``config``
    names another file and ``settings`` overrides single keys (``{"offline": True}``). ``rules`` are the
    last resort of a role: a function of the request that needs no model. ``environ`` stands for the environment.
    """

    def __init__(
        self,
        *,
        config: str | Path | None = None,
        settings: Mapping[str, object] | None = None,
        rules: Mapping[str, RuleFunction] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Raises :class:`~coreto.errors.ConfigError`."""
        self.loaded: Loaded = load(config=Path(config) if config else None, overrides=settings, env=environ)
        self._rules = rules
        self._backend: Backend | None = None

    @property
    def backend(self) -> "Backend":
        """What answers: a gateway of this process, or the data directory's owner."""
        if self._backend is None:
            raise CoretoError("Coreto is not running: use it as `async with Coreto() as c:`")
        return self._backend

    async def __aenter__(self) -> Self:
        self._backend = await self._owner() or await self._own()
        return self

    async def _owner(self) -> RemoteGateway | None:
        """The live owner's gateway, if its settings are the same. Rules are functions of this process."""
        owner = find_owner(data_dir(self.loaded.settings))
        if owner is None or owner.url is None or owner.digest != self.loaded.digest or self._rules:
            return None
        remote = RemoteGateway(owner)
        if await remote.alive():
            return remote
        await remote.close()
        return None

    async def _own(self) -> App:
        app = App(self.loaded, rules=self._rules)
        try:
            await app.start()
        except BaseException:
            await app.close()
            raise
        return app

    async def __aexit__(self, *_: object) -> None:
        backend, self._backend = self._backend, None
        if backend is not None:
            await backend.close()

    async def chat(
        self,
        prompt: Prompt,
        *,
        role: str | None = None,
        model: str | None = None,
        private: bool = False,
        prefer: Preference | None = None,
        **options: Any,
    ) -> Answer:
        """Ask a role, a deployment (``model``) or, with neither, ``auto``.

        ``options`` are fields of an OpenAI chat request (``temperature``, ``max_tokens``, ``tools``, …).
        ``private`` keeps the call on this machine; ``prefer`` says who of the role is asked first. Raises :class:`~coreto.errors.CoretoError`.
        """
        call = _call(prompt, role or model, private=private, prefer=prefer, stream=False, options=options)
        async with self.backend.open(call) as items:
            body, trace = await whole_of(items)
        return Answer(text_of(body), body, trace)

    async def parse(
        self,
        prompt: Prompt,
        schema: type[T],
        *,
        role: str | None = None,
        model: str | None = None,
        private: bool = False,
        prefer: Preference | None = None,
        **options: Any,
    ) -> Parsed[T]:
        """Like :meth:`chat`, for an answer that is a ``schema``: servers that can are constrained to it, and an
        answer that does not validate counts as a failure, so the next candidate is asked."""
        form = {"name": schema.__name__, "schema": schema.model_json_schema()}
        options = {**options, "response_format": {"type": "json_schema", "json_schema": form}}
        answer = await self.chat(prompt, role=role, model=model, private=private, prefer=prefer, **options)
        try:
            return Parsed(schema.model_validate_json(answer.text), answer)
        except ValidationError as error:
            raise InvalidOutputError(f"not a {schema.__name__}: {error.errors()[0]['msg']}") from error

    @asynccontextmanager
    async def stream(
        self,
        prompt: Prompt,
        *,
        role: str | None = None,
        model: str | None = None,
        private: bool = False,
        prefer: Preference | None = None,
        **options: Any,
    ) -> AsyncGenerator[Stream, None]:
        """Like :meth:`chat`, piece by piece: ``async with c.stream("…") as s: async for text in s: …``."""
        call = _call(prompt, role or model, private=private, prefer=prefer, stream=True, options=options)
        async with self.backend.open(call) as items:
            yield Stream(cast("AsyncGenerator[Chunk | Trace, None]", items))

    async def route(
        self,
        prompt: Prompt,
        *,
        role: str | None = None,
        model: str | None = None,
        private: bool = False,
        prefer: Preference | None = None,
        **options: Any,
    ) -> Json:
        """Where :meth:`chat` would go with the same arguments, and why: the object of ``POST /api/route``. No
        model is asked."""
        call = _call(prompt, role or model, private=private, prefer=prefer, stream=False, options=options)
        return await self.backend.explain(call)

    async def embed(
        self, texts: str | Sequence[str], *, model: str, private: bool = False
    ) -> list[list[float]]:
        """One vector for each text, by the deployment or role ``model``."""
        label = Label.PRIVATE if private else Label.INTERNAL
        body: Json = {"model": model, "input": texts if isinstance(texts, str) else list(texts)}
        answer, _ = await self.backend.embed(EmbedCall(new_call_id(), body, model, label))
        return [row["embedding"] for row in as_objects(answer.get("data"))]

    def commander(self) -> Commander:
        """Who plans with the brain and executes with the executor, in a sandbox (SPEC K1). Files that code produces
        go to ``files/`` in the data directory."""
        settings = self.loaded.settings
        return Commander(
            self.backend,
            settings=_commander_settings(settings),
            keep=Shelf(data_dir(settings) / FILES),
        )

    async def models(self) -> list[str]:
        """Every name that can be asked for: roles, ``auto`` and deployments."""
        return await self.backend.names()

    async def status(self) -> Json:
        """The keys of ``GET /api/status``."""
        return await self.backend.status()


def _commander_settings(settings: Settings) -> CommanderSettings:
    """No answer is longer than its role allows."""
    usual = CommanderSettings(language=settings.language)

    def most(role: str, tokens: int) -> int:
        section = settings.roles.get(role)
        return min(tokens, section.max_tokens) if section and section.max_tokens else tokens

    return replace(
        usual, plan_tokens=most("brain", usual.plan_tokens), code_tokens=most("executor", usual.code_tokens)
    )


def _call(
    prompt: Prompt,
    name: str | None,
    *,
    private: bool,
    prefer: Preference | None,
    stream: bool,
    options: Json,
) -> Call:
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(m) for m in prompt]
    body: Json = {"model": name or "auto", "messages": messages, **options}
    if stream:
        body["stream"] = True
        body.setdefault("stream_options", {"include_usage": True})
    label = Label.PRIVATE if private else Label.INTERNAL
    return Call(new_call_id(), body, name or "auto", stream=stream, label=label, prefer=prefer)
