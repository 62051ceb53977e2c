"""OpenRouter: an OpenAI-compatible server that also tells what is left of a key's limit."""

from dataclasses import replace

from coreto.errors import CallError
from coreto.providers.allowance import left_of_key
from coreto.providers.base import Health
from coreto.providers.openai_compatible import OpenAICompatible
from coreto.providers.wire import parse_object

WITHIN = 2.0
"""Seconds that the key's page is waited for; how the server is, is known by then."""


class OpenRouter(OpenAICompatible):
    """All of OpenRouter's models behind one key."""

    async def health(self) -> Health:
        """As its model list says, which is open to anyone; the key's page only adds what is left."""
        health = await super().health()
        return replace(health, headroom=await self._headroom()) if health.ok else health

    async def _headroom(self) -> float | None:
        try:
            status, raw = await self._http.fetch("GET", "/key", within=WITHIN)
            return left_of_key(parse_object(raw)) if status == 200 else None
        except CallError:
            return None
