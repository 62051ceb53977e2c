"""llama.cpp's server in router mode: one address, many models, each in a process that the router starts and stops.

Chat and embeddings are OpenAI's, under ``/v1``; loading and unloading are the router's own, beside it. Three things
it does not tell: what a model takes in memory, why a load failed, and that a listed model is being stopped.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import orjson

from coreto import errors
from coreto.clock import Clock, SystemClock
from coreto.errors import (
    CallError,
    MissingModelError,
    OutOfMemoryError,
    OverloadedError,
    Scope,
    ServerFaultError,
    TimedOutError,
    UnsupportedError,
)
from coreto.labels import Label
from coreto.messages import Call, EmbedCall, Json
from coreto.providers import gguf, openai_errors
from coreto.providers.base import Described, Health, ModelInfo, Resident
from coreto.providers.http import Endpoint, Reply
from coreto.providers.llamacpp_models import RUNNING, Listed, find, read_list
from coreto.providers.openai_compatible import OpenAICompatible
from coreto.providers.wire import parse_object
from coreto.redaction import brief
from coreto.settings.addresses import is_loopback_url

#: Seconds after which an unload that the router accepted is taken to have failed. (It kills a process that has
#: not stopped after ten.)
UNLOAD_WITHIN = 30.0
#: Seconds between two looks at the list while a model comes or goes.
POLL = 0.1

_WORDS: tuple[tuple[re.Pattern[str], type[CallError]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (r"model (?:'.*'|name=.*|is) (?:is )?not found", MissingModelError),
        # it is there, and will be loaded for whoever asks again: by the router, or by residency
        (r"model limit reached|model is not loaded|model name=.* is not running", OverloadedError),
    )
)


def classify(status: int, body: bytes, headers: Mapping[str, str], now: float) -> CallError:
    """The error for a response that is not 200, the router's own or that of a model's process. ``now``: epoch
    seconds."""
    text = _message(body)
    for pattern, kind in _WORDS:
        if pattern.match(text):
            return kind(brief(text), status=status)
    return openai_errors.classify(status, body, headers, now)


class LlamaCppRouter(OpenAICompatible):
    """One router, all its models (a ``LocalEngine``). A model may be called by its name or by an alias."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: Clock | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``endpoint``: the server's address, with or without ``/v1``."""
        root = endpoint.base_url.rstrip("/").removesuffix("/v1")
        super().__init__(replace(endpoint, base_url=root), classify=classify, now=now)
        self._clock = clock or SystemClock()
        #: models being unloaded by us, by the name they were called by
        self._leaving: Counter[str] = Counter()
        #: how often each was told to go
        self._farewells: Counter[str] = Counter()
        #: a model's own name → what it is called here
        self._called: dict[str, str] = {}

    async def _post(self, path: str, call: Call | EmbedCall, body: Json) -> Reply:
        return await super()._post(f"/v1{path}", call, body)

    async def models(self) -> tuple[ModelInfo, ...]:
        return tuple(ModelInfo(m.name, m.weights, m.context) for m in await self._listed())

    async def health(self) -> Health:
        """How many of its models are loaded; starts nothing."""
        try:
            listed = await self._listed()
            props = parse_object(await self._get("/props"))
        except CallError as error:
            return Health(ok=False, detail=error.message, code=error.code, until=error.until)
        build = props.get("build_info")
        loaded = sum(model.state == "loaded" for model in listed)
        return Health(
            ok=True,
            detail=f"{loaded} of {len(listed)} models loaded"
            if props.get("role") == "router"
            else f"{len(listed)} models, not in router mode",
            version=build if isinstance(build, str) else None,
        )

    async def resident(self) -> tuple[Resident, ...]:
        """The loaded models. Their ``size`` is 0, for the router does not tell it. A model that loads or sleeps is
        not among them."""
        return tuple(
            Resident(self._called.get(model.name, model.name), size=0, context=model.context)
            for model in await self._listed()
            if model.state == "loaded"
        )

    async def describe(self, model: str) -> Described | None:
        """From the header of the model's file, where the router is on this machine and tells which it is; of
        others only the weights' size is known, once they are loaded, and ``metadata`` is empty. ``context`` is one
        slot's part of the tokens that are kept; where nobody has set them, of as many as the model can take."""
        listed = await self._find(model)
        files = listed.files
        if not files and listed.state == "loaded":
            files = await self._loaded_from(model)
        headers = await self._headers(files)
        weights = sum(header.tensor_bytes for header in headers) or listed.weights
        if not weights:
            return None
        metadata: Mapping[str, object] = headers[0].metadata if headers else {}
        total = listed.total or _longest(metadata)
        return Described(metadata, weights, total // listed.slots if total else None, listed.slots)

    async def load(self, model: str, *, context: int | None = None) -> None:
        """Returns when the model can answer; a sleeping one is woken.

        ``context`` is ignored: a model starts with the arguments that the router was given for it. Raises
        :class:`MissingModelError`; :class:`OverloadedError` when the router has as many models as it may, all in
        use; :class:`OutOfMemoryError` when the load fails while others are in memory, the likeliest reason then;
        :class:`ServerFaultError` when it fails otherwise, or the model is unloaded meanwhile.
        """
        del context
        while self._leaving[model]:  # it is listed as loaded until its process has ended
            await self._clock.sleep(POLL)
        farewells = self._farewells[model]
        status, raw = await self._command("/models/load", model)
        if status != 200 and "already running" not in _message(raw):
            raise await self._refusal(status, raw, model)
        while (listed := await self._find(model)).state != "loaded":
            if listed.state == "sleeping":
                await self._wake(model)
            elif listed.state not in RUNNING:
                raise await self._failure(model, listed, sent_away=self._farewells[model] != farewells)
            else:
                await self._clock.sleep(POLL)

    async def unload(self, model: str) -> None:
        """Kills a model that is still loading. Raises :class:`MissingModelError`, and :class:`TimedOutError` when
        the process has not ended after 30 s."""
        self._farewells[model] += 1
        self._leaving[model] += 1
        try:
            status, raw = await self._command("/models/unload", model)
            if "is not running" in _message(raw):
                return
            if status != 200:
                raise await self._refusal(status, raw, model)
            give_up = self._clock.monotonic() + UNLOAD_WITHIN
            while (listed := find(await self._listed(), model)) is not None and listed.state in RUNNING:
                if self._clock.monotonic() >= give_up:
                    raise TimedOutError(
                        f"{model!r} is still loaded {UNLOAD_WITHIN:g} s after it was told to go"
                    )
                await self._clock.sleep(POLL)
        finally:
            self._leaving[model] -= 1

    async def _wake(self, model: str) -> None:
        """Any request for a model wakes it; this one costs nothing. A process that cannot load it again ends."""
        status, raw = await self._command("/tokenize", model, content="")
        if status != 200 and (await self._find(model)).state in RUNNING:
            raise classify(status, raw, {}, self._now())

    async def _refusal(self, status: int, raw: bytes, model: str) -> CallError:
        """Why the router does not load or unload. With a 404 its own words are lost: all say "File Not Found"."""
        error = classify(status, raw, {}, self._now())
        if isinstance(error, MissingModelError):
            await self._find(model)  # where it really is missing, the error from here names it
        if status != 404:
            return error
        return UnsupportedError(f"{self._http.endpoint.base_url} loads no models: it is not in router mode")

    async def _failure(self, model: str, listed: Listed, *, sent_away: bool) -> CallError:
        """Why a load did not end in a loaded model."""
        if listed.state.startswith("download"):
            return MissingModelError(f"the llama.cpp router is still downloading {model!r}")
        if sent_away or listed.exit_code is None:
            return ServerFaultError(f"{model!r} was unloaded while it was loading", scope=Scope.MODEL)
        words = f"llama.cpp could not load {model!r} (exit code {listed.exit_code}; its log says why)"
        if await self.resident():
            return OutOfMemoryError(f"{words}, probably for want of memory")
        return ServerFaultError(words, scope=Scope.MODEL)

    async def _listed(self) -> tuple[Listed, ...]:
        return read_list(parse_object(await self._get("/models")))

    async def _find(self, model: str) -> Listed:
        found = find(await self._listed(), model)
        if found is None:
            raise MissingModelError(f"the llama.cpp router has no model {model!r}")
        self._called[found.name] = model
        return found

    async def _loaded_from(self, model: str) -> tuple[str, ...]:
        query = urlencode({"model": model, "autoload": "false"})
        path = parse_object(await self._get(f"/props?{query}")).get("model_path")
        return (path,) if isinstance(path, str) else ()

    async def _headers(self, files: tuple[str, ...]) -> tuple[gguf.GgufHeader, ...]:
        if not files or not is_loopback_url(self._http.endpoint.base_url):
            return ()
        return await asyncio.to_thread(_read_headers, files)

    async def _get(self, path: str) -> bytes:
        status, raw = await self._http.fetch("GET", path)
        if status != 200:
            raise classify(status, raw, {}, self._now())
        return raw

    async def _command(self, path: str, model: str, **more: str) -> tuple[int, bytes]:
        """Without a limit of time: before it starts a model, the router waits for the one that has to leave."""
        body = orjson.dumps({"model": model, **more})
        reply = await self._http.send("POST", path, label=Label.PUBLIC, body=body)
        try:
            return reply.status, await reply.read()
        finally:
            reply.close()


def _message(body: bytes) -> str:
    """What an error body says, in whatever shape."""
    try:
        return openai_errors.read_fault(parse_object(body)).message
    except errors.GarbledError:
        return body[:300].decode(errors="replace")


def _longest(metadata: Mapping[str, object]) -> int | None:
    """Tokens that the model was made for."""
    length = metadata.get(f"{metadata.get('general.architecture')}.context_length")
    return length if isinstance(length, int) and length > 0 else None


def _read_headers(files: tuple[str, ...]) -> tuple[gguf.GgufHeader, ...]:
    """The headers of all ``files``; none where the first cannot be read, less where another cannot."""
    headers: list[gguf.GgufHeader] = []
    for path in map(Path, files):
        try:
            # regular files only: a path that somebody else gives may be a pipe
            header = gguf.read(path) if path.is_absolute() and path.is_file() else None
        except (gguf.GgufError, OSError):
            header = None
        if header is not None:
            headers.append(header)
        elif not headers:
            return ()
    return tuple(headers)
