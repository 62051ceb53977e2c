"""Ollama by its native API: the local daemon, and Ollama Cloud directly or through the daemon.

The ``/v1`` endpoint ignores ``num_ctx`` and hides errors in the middle of a stream, so it is not used.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import datetime
from typing import cast

import orjson

from coreto.clock import Clock, SystemClock
from coreto.errors import CallError, CutError, GarbledError, MissingModelError, TimedOutError
from coreto.labels import Label
from coreto.messages import Call, Chunk, EmbedCall, Item, Json, Whole, as_object, as_objects
from coreto.providers import ollama_messages as native
from coreto.providers.allowance import left_of_usage, used_windows
from coreto.providers.base import Described, Health, Items, ModelInfo, Resident
from coreto.providers.http import Endpoint, Http, Reply
from coreto.providers.ollama_errors import classify, quota_end
from coreto.providers.wire import parse_object

#: Seconds after which an unload that the engine accepted is taken to have failed.
UNLOAD_WITHIN = 30.0
#: Seconds that Ollama Cloud's usage page is waited for; how the server is, is known by then.
USAGE_WITHIN = 2.0


def is_cloud_name(model: str) -> bool:
    """Whether a local daemon passes ``model`` on to Ollama Cloud: ``x:cloud`` or ``x:tag-cloud``."""
    return model.endswith((":cloud", "-cloud")) and ":" in model


def plain_name(model: str) -> str:
    """A cloud model's name as ollama.com knows it."""
    return model.removesuffix(":cloud").removesuffix("-cloud") if is_cloud_name(model) else model


def full_name(model: str) -> str:
    """A model's name with its tag, as Ollama lists it."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


def daemon_name(model: str) -> str:
    """A cloud model's name as the signed-in local daemon knows it."""
    plain = plain_name(model)
    return f"{plain}-cloud" if ":" in plain else f"{plain}:cloud"


class Ollama:
    """One Ollama server. ``keep_alive``: as in Ollama's API, for local models. ``managed``: they are loaded and
    unloaded as somebody plans, so that no request may reload or keep one by what it says."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        keep_alive: str | float | None = None,
        managed: bool = False,
        clock: Clock | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._http = Http(endpoint)
        self._local = endpoint.local
        self._keep_alive = keep_alive
        self._managed = managed
        self._clock = clock or SystemClock()
        self._now = now
        self._stubs: frozenset[str] = frozenset()
        self._listed: frozenset[str] = frozenset()
        self._embedders: frozenset[str] = frozenset()

    def wire_name(self, model: str) -> str:
        """The name to send for ``model``."""
        return model

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        return aclosing(self._stream(call) if call.stream else self._whole(call))

    async def _whole(self, call: Call) -> Items:
        reply, unmapped = await self._chat(call)
        try:
            body = parse_object(await reply.read())
        finally:
            reply.close()
        if body.get("error"):
            raise classify(500, orjson.dumps(body), {}, self._now())
        yield Whole(native.to_completion(body, call.id), unmapped=unmapped)

    async def _stream(self, call: Call) -> Items:
        reply, unmapped = await self._chat(call)
        try:
            first, called = True, 0
            while (lines := await reply.lines()) is not None:
                pending = [line for line in lines if line.strip()]
                for left, line in zip(range(len(pending) - 1, -1, -1), pending, strict=True):
                    body = parse_object(line)
                    if body.get("error"):
                        raise classify(500, line, {}, self._now())
                    chunk = native.to_chunk(body, call.id, first=first, called=called)
                    called += len(chunk["choices"][0]["delta"].get("tool_calls", ()))
                    yield Chunk(chunk, unmapped=unmapped if first else (), more=left > 0)
                    first = False
                    if body.get("done"):
                        await reply.drain()
                        return
            raise CutError("the stream ended without a finish")
        finally:
            reply.close()

    async def _chat(self, call: Call) -> tuple[Reply, tuple[str, ...]]:
        name = self.wire_name(call.model)
        local = await self._stays_here(name, call.label)
        body, unmapped = native.to_ollama(
            call.body, name, stream=call.stream, context=call.context if local else None, structured=local
        )
        if local and self._managed:
            unmapped = (*unmapped, *native.leave_loaded(body, call.context))
        if local and self._keep_alive is not None:
            body.setdefault("keep_alive", self._keep_alive)
        reply = await self._post("/api/chat", body, call, local=local)
        return reply, unmapped

    async def _post(self, path: str, body: Json, call: Call | EmbedCall | None, *, local: bool) -> Reply:
        """``call``: the one it is asked for; ``None``: what the body holds is nobody's."""
        reply = await self._http.send(
            "POST",
            path,
            label=call.label if call else Label.PUBLIC,
            body=orjson.dumps(body),
            connect=call.limits.connect if call else 5.0,
            local=local,
            call=call,
        )
        if reply.status != 200:
            try:
                raise classify(reply.status, await reply.read(), reply.headers, self._now())
            finally:
                reply.close()
        return reply

    async def _stays_here(self, name: str, label: Label) -> bool:
        """Whether ``name`` runs where this server is. A stub's name need not say that it is one, so the server
        is asked about a name that was not on its last list, where leaving the machine would be a fault."""
        if not self._local or is_cloud_name(name):
            return False
        full = full_name(name)
        if full not in self._listed and (label is Label.PRIVATE or self._http.endpoint.offline):
            await self.models()
        return full not in self._stubs

    async def embed(self, call: EmbedCall) -> Json:
        name = self.wire_name(call.model)
        local = await self._stays_here(name, call.label)
        asked: Json = {"model": name, "input": call.body.get("input")}
        if call.body.get("dimensions"):
            asked["dimensions"] = call.body["dimensions"]
        if local and call.context is not None:
            asked["options"] = {"num_ctx": call.context}
        reply = await self._post("/api/embed", asked, call, local=local)
        try:
            body = parse_object(await reply.read())
        finally:
            reply.close()
        vectors = body.get("embeddings")
        if not isinstance(vectors, list):
            raise GarbledError("the answer has no `embeddings`")
        tokens = int(body.get("prompt_eval_count") or 0)
        rows = enumerate(cast("list[list[float]]", vectors))
        return {
            "object": "list",
            "data": [{"object": "embedding", "index": i, "embedding": vector} for i, vector in rows],
            "model": body.get("model") or name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }

    async def models(self) -> tuple[ModelInfo, ...]:
        listed = as_objects((await self._get("/api/tags")).get("models"))
        infos = tuple(_model_info(m) for m in listed if m.get("name"))
        self._listed = frozenset(full_name(info.name) for info in infos)
        self._stubs = frozenset(full_name(info.name) for info in infos if not info.local)
        self._embedders = frozenset(full_name(info.name) for info in infos if _only_embeds(info))
        return infos

    async def health(self) -> Health:
        try:
            version = (await self._get("/api/version")).get("version")
        except CallError as error:
            return Health(ok=False, detail=error.message, code=error.code, until=error.until)
        return Health(ok=True, detail=f"Ollama {version}", version=str(version))

    async def resident(self) -> tuple[Resident, ...]:
        return tuple(_resident(m) for m in as_objects((await self._get("/api/ps")).get("models")))

    async def load(self, model: str, *, context: int | None = None) -> None:
        """Raises :class:`~coreto.errors.CallError`, out of memory included."""
        body: Json = {"model": model}
        if context is not None:
            body["options"] = {"num_ctx": context}
        if self._keep_alive is not None:
            body["keep_alive"] = self._keep_alive
        if full_name(model) in self._embedders:  # those refuse to be loaded for a chat
            await self._ask("/api/embed", {**body, "input": ""})
        else:
            await self._command({**body, "messages": [], "stream": False})

    async def describe(self, model: str) -> Described | None:
        """What ``/api/show`` says; ``None`` for a stub, which takes no memory here."""
        full = full_name(model)
        listed = next((info for info in await self.models() if full_name(info.name) == full), None)
        if listed is None:
            raise MissingModelError(f"Ollama has no model {model!r}: `ollama pull {model}`")
        if not listed.local:
            return None
        shown = await self._ask("/api/show", {"model": model})
        return Described(as_object(shown.get("model_info")), listed.size or 0)

    async def unload(self, model: str) -> None:
        """Raises :class:`TimedOutError` when the model is still resident after 30 s."""
        await self._command({"model": model, "messages": [], "stream": False, "keep_alive": 0})
        # The engine answers at once; the memory is free when the model has left /api/ps.
        give_up = self._clock.monotonic() + UNLOAD_WITHIN
        while any(r.name == full_name(model) for r in await self.resident()):
            if self._clock.monotonic() >= give_up:
                raise TimedOutError(f"{model!r} is still loaded {UNLOAD_WITHIN:g} s after it was told to go")
            await self._clock.sleep(0.1)

    async def _command(self, body: Json) -> None:
        await self._ask("/api/chat", body)

    async def _ask(self, path: str, body: Json) -> Json:
        """The answer to what is said about a model, and not to it."""
        reply = await self._post(path, body, None, local=True)
        try:
            return parse_object(await reply.read())
        finally:
            reply.close()

    async def _get(self, path: str, *, within: float = 5.0) -> Json:
        status, raw = await self._http.fetch("GET", path, within=within)
        if status != 200:
            raise classify(status, raw, {}, self._now())
        return parse_object(raw)

    async def pull(self, model: str) -> AsyncIterator[Json]:
        """Download ``model`` into the daemon; yields its progress lines (``status``, ``total``, ``completed``)."""
        body: Json = {"model": model, "stream": True}
        reply = await self._post("/api/pull", body, None, local=True)
        try:
            while (lines := await reply.lines()) is not None:
                for line in lines:
                    progress = parse_object(line)
                    if progress.get("error"):
                        raise classify(404, line, {}, self._now())
                    yield progress
        finally:
            reply.close()

    async def close(self) -> None:
        await self._http.close()


class OllamaCloud(Ollama):
    """Ollama Cloud by its own host and a key; names are plain."""

    def wire_name(self, model: str) -> str:
        return plain_name(model)

    async def health(self) -> Health:
        """As its model list says; the usage page, which nobody documents, adds what is left, or that the key is
        wrong. Whatever else that page says or fails with is no fault."""
        try:
            await self._get("/api/tags")
        except CallError as error:
            return Health(ok=False, detail=error.message, code=error.code, until=error.until)
        try:
            usage = await self._get("/api/usage", within=USAGE_WITHIN)
        except CallError as error:
            if error.code == "auth":
                return Health(ok=False, detail=error.message, code=error.code)
            return Health(ok=True, detail="reachable")
        return _usage_health(usage, self._now())


class OllamaCloudByDaemon(Ollama):
    """Ollama Cloud through the signed-in local daemon, without a key. Its endpoint is never ``local``."""

    def wire_name(self, model: str) -> str:
        return daemon_name(model)

    async def models(self) -> tuple[ModelInfo, ...]:
        return tuple(
            ModelInfo(plain_name(m.name), m.size, m.context, m.capabilities, local=False)
            for m in await super().models()
            if not m.local
        )


def _usage_health(usage: Json, now: float) -> Health:
    for window, used in used_windows(usage).items():
        if used >= 1.0:
            detail = f"the {window} allowance is used up"
            until = quota_end(window, now)
            return Health(ok=False, detail=detail, code="quota", until=until, headroom=0.0)
    headroom = left_of_usage(usage)
    detail = "reachable" if headroom is None else "reachable, allowance left"
    return Health(ok=True, detail=detail, headroom=headroom)


def _model_info(listed: Json) -> ModelInfo:
    details = as_object(listed.get("details"))
    context = details.get("context_length")
    size = listed.get("size")
    name = str(listed["name"])
    return ModelInfo(
        name=name,
        size=size if isinstance(size, int) else None,
        context=context if isinstance(context, int) else None,
        capabilities=frozenset(_texts(listed.get("capabilities"))),
        local=not (listed.get("remote_host") or listed.get("remote_model") or is_cloud_name(name)),
    )


def _only_embeds(info: ModelInfo) -> bool:
    return "embedding" in info.capabilities and "completion" not in info.capabilities


def _texts(value: object) -> list[str]:
    """The texts in ``value`` if it is a list, else none."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [item for item in items if isinstance(item, str)]


def _resident(listed: Json) -> Resident:
    expires: float | None = None
    try:
        expires = datetime.fromisoformat(str(listed.get("expires_at"))).timestamp()
    except (ValueError, OverflowError):
        expires = None  # "forever" is a date that Python cannot hold
    return Resident(
        name=str(listed.get("name")),
        size=int(listed.get("size") or 0),
        size_vram=int(listed.get("size_vram") or 0),
        context=listed.get("context_length"),
        expires_at=expires,
    )
