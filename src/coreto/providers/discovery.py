"""Finds out who is there: asks the configured servers, and looks at well-known local addresses."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from coreto.errors import CallError, CoretoError
from coreto.messages import as_objects
from coreto.providers.base import Health, ModelInfo
from coreto.providers.factory import Site, find_server
from coreto.providers.http import Endpoint, Http
from coreto.providers.wire import parse_object

#: Where LM Studio, vLLM and llama.cpp listen when nobody tells them otherwise.
WELL_KNOWN = {
    "lmstudio": "http://127.0.0.1:1234/v1",
    "vllm": "http://127.0.0.1:8000/v1",
    "llamacpp": "http://127.0.0.1:8080/v1",
}
#: Seconds a local server has to say what it has; a start waits for this.
PROBE = 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """What a probe of one provider gave. ``models`` is empty where it could not be asked."""

    health: Health
    models: tuple[ModelInfo, ...] = ()


Inventory = Mapping[str, Found]
"""Provider name → what was found; a provider that was not probed is not in it."""


async def probe(sites: Iterable[Site]) -> dict[str, Found]:
    """Ask every site how it is and what it has, all at once."""
    listed = list(sites)
    found = await asyncio.gather(*(_probe(site) for site in listed))
    return {site.name: result for site, result in zip(listed, found, strict=True)}


async def _probe(site: Site) -> Found:
    if site.unusable:
        return Found(Health(ok=False, detail=site.unusable, code="auth"))
    try:
        async with asyncio.timeout(PROBE if site.local else 5 * PROBE):
            health = await site.provider.health()
            return Found(health, await site.provider.models() if health.ok else ())
    except TimeoutError:
        return Found(Health(ok=False, detail="it accepts connections but does not answer", code="timeout"))
    except CoretoError as error:
        code = error.code if isinstance(error, CallError) else "error"
        return Found(Health(ok=False, detail=error.message, code=code))


async def find_servers(taken: Iterable[str]) -> list[Site]:
    """OpenAI-compatible servers at well-known local addresses that are not among the URLs ``taken``."""
    known = {url.rstrip("/").replace("localhost", "127.0.0.1") for url in taken}
    free = {name: url for name, url in WELL_KNOWN.items() if url not in known}
    answers = await asyncio.gather(*(_answers(url) for url in free.values()))
    return [find_server(name, url) for (name, url), there in zip(free.items(), answers, strict=True) if there]


async def _answers(url: str) -> bool:
    """Whether a model server, other than Coreto itself, answers at ``url``."""
    http = Http(Endpoint("probe", url, local=True))
    try:
        status, body = await http.fetch("GET", "/models", within=PROBE / 2)
        models = as_objects(parse_object(body).get("data")) if status == 200 else []
    except CallError:
        return False
    finally:
        await http.close()
    return bool(models) and all(model.get("owned_by") != "coreto" for model in models)
