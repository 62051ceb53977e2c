"""A gateway in another process of this user: the owner of the data directory, over loopback."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace

import orjson

from coreto.errors import CoretoError, ExhaustedError, GarbledError, InvalidRequestError, UnknownModelError
from coreto.labels import Label
from coreto.messages import Call, Chunk, EmbedCall, Item, Json, Restart, Trace, Whole, as_object
from coreto.owner import OwnerCard
from coreto.providers.base import Items
from coreto.providers.http import Endpoint, Http
from coreto.providers.openai_compatible import OpenAICompatible
from coreto.providers.wire import parse_object


class RemoteGateway:
    """The owner's gateway, with the same items as a local one: the trace comes last."""

    def __init__(self, owner: OwnerCard) -> None:
        """``owner`` must have a URL."""
        assert owner.url is not None, "an owner without a server cannot be asked"
        base = owner.url.rstrip("/")
        self._wire = OpenAICompatible(
            Endpoint("coreto", f"{base}/v1", local=True, api_key=owner.key),
            classify=_classify,
            verbatim=True,
        )
        self._http = Http(Endpoint("coreto", base, local=True, api_key=owner.key))

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        return aclosing(self._answer(call))

    async def _answer(self, call: Call) -> Items:
        trace: Trace | None = None
        async with self._wire.open(call._replace(body=_asked(call))) as items:
            async for item in items:
                assert isinstance(item, Whole | Chunk), "a wire knows neither traces nor restarts"
                shown = as_object(item.body.get("coreto"))
                if shown.get("event") == "restart":
                    yield Restart(str(shown.get("reason")), str(shown.get("deployment")))
                    continue
                if shown:
                    trace = Trace.from_json(shown)
                if not shown or isinstance(item, Whole):
                    yield item
        if trace is None:
            raise GarbledError("the owner's answer has no trace")
        yield trace

    async def explain(self, call: Call) -> Json:
        """Where the owner would send ``call``, and why. Raises :class:`CoretoError`."""
        status, body = await self._http.fetch(
            "POST", "/api/route", body=orjson.dumps(_asked(call)), within=10.0
        )
        if status != 200:
            raise _classify(status, body, {}, 0.0)
        return parse_object(body)

    async def embed(self, call: EmbedCall) -> tuple[Json, Trace]:
        """Embeddings by the owner."""
        body = await self._wire.embed(replace(call, body=_labelled(call.body, call.label)))
        return body, Trace.from_json(as_object(body.get("coreto")))

    async def names(self) -> list[str]:
        """Every name that can be asked for."""
        return [model.name for model in await self._wire.models()]

    async def alive(self) -> bool:
        """Whether the owner answers at all."""
        try:
            status, _ = await self._http.fetch("GET", "/healthz", within=1.0)
        except CoretoError:
            return False
        return status == 200

    async def status(self) -> Json:
        """The owner's status. Raises :class:`CoretoError`."""
        status, body = await self._http.fetch("GET", "/api/status", within=30.0)
        if status != 200:
            raise _classify(status, body, {}, 0.0)
        return parse_object(body)

    async def announce(self, plan: str, steps: Sequence[tuple[str, int]], *, private: bool = False) -> None:
        """Say what ``plan`` will ask the owner for. Raises :class:`CoretoError`."""
        ahead = [{"model": name, "calls": calls} for name, calls in steps]
        asked = {"plan": plan, "steps": ahead, "private": private}
        status, body = await self._http.fetch("POST", "/api/plans", body=orjson.dumps(asked), within=5.0)
        if status != 200:
            raise _classify(status, body, {}, 0.0)

    async def close(self) -> None:
        await self._wire.close()
        await self._http.close()


def _asked(call: Call) -> Json:
    body = _labelled(call.body, call.label)
    return body if call.prefer is None else {**body, "prefer": call.prefer}


def _labelled(body: Json, label: Label) -> Json:
    return {**body, "private": True} if label is Label.PRIVATE else body


def _classify(status: int, body: bytes, _headers: Mapping[str, str], _now: float) -> CoretoError:
    """The owner's error, with its trace. It has tried everything: nothing is left to be asked."""
    try:
        parsed: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return GarbledError(f"the owner answered with status {status}")
    whole = as_object(parsed)
    shown = as_object(whole.get("error"))
    message = str(shown.get("message") or f"status {status}")
    if status == 404 and shown.get("code") == UnknownModelError.code:
        return UnknownModelError.relayed(message)
    if status == 400 and not whole.get("coreto"):
        return InvalidRequestError(message, shown.get("param"))
    error = ExhaustedError(message)
    error.http_status = status
    trace = as_object(whole.get("coreto"))
    error.trace = Trace.from_json(trace) if trace else None
    return error
