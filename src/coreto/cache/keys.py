"""Which calls are the same call. Pure.

Who shares an answer is decided by its label:

- ``public``: every caller of this installation;
- ``internal``: the callers of one tenant, that is of one API key when the server asks for keys, else of the
  installation;
- ``private``: one user of one tenant. Callers that name no user are one user: the owner of the key, or of
  the machine.

The label is part of the key, so that an answer never serves a call with a looser or stricter one.
"""

import hashlib
import json
from typing import NamedTuple

import orjson

from coreto.labels import Label
from coreto.messages import Call, Json

NOT_THE_QUESTION = frozenset(
    {
        "model",  # the target is in the key, under the name that the gateway gives it
        "stream",
        "stream_options",
        "user",
        "metadata",
        "store",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
    }
)
"""Fields of a request that cannot change its answer."""


class Scope(NamedTuple):
    """Whose cache it is. ``tenant``: the API key's; ``variant``: what else changes the answer, such as a
    digest of the role's chain and settings."""

    tenant: str | None = None
    variant: str = ""


def request_key(call: Call, scope: Scope) -> str | None:
    """The key of ``call`` (64 hexadecimal digits); ``None`` for a body that is not JSON.

    Give the call with its role's defaults filled in, so that changing them changes the key.
    """
    question = {name: value for name, value in call.body.items() if name not in NOT_THE_QUESTION}
    identity = [
        "coreto-cache-1",
        _audience(call, scope),
        int(call.label),
        call.role,
        call.model,
        call.context,
        scope.variant,
        question,
    ]
    try:
        text = orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # numbers over 64 bits, lone surrogates
        try:
            text = json.dumps(identity, sort_keys=True).encode()
        except (TypeError, ValueError, RecursionError):
            return None
    return hashlib.sha256(text).hexdigest()


def _audience(call: Call, scope: Scope) -> Json:
    if call.label == Label.PUBLIC:
        return {}
    if call.label == Label.INTERNAL:
        return {"tenant": scope.tenant}
    return {"tenant": scope.tenant, "user": call.user, "end_user": call.body.get("user")}
