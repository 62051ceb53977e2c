"""Everything that can be asked for by name: ``/v1/models``, and the same in Ollama's form."""

from collections.abc import Callable

import orjson

from coreto.messages import Json
from coreto.providers.catalog import Deployment
from coreto.routing.directory import Directory
from coreto.server.exchange import Reply

#: Discovery knows other Coretos by it, itself included: they are not models.
OWNER = "coreto"


def list_models(directory: Directory, may_ask: Callable[[str], bool]) -> Reply:
    """Roles, ``auto`` and deployments, as far as the client may ask for them."""
    cards = [_card(name) for name in directory.plans if may_ask(name)]
    cards += [_deployment_card(d) for d in directory.deployments.values() if may_ask(d.id)]
    return Reply(200, orjson.dumps({"object": "list", "data": cards}))


def show_model(directory: Directory, name: str) -> Reply:
    """One of them, or a deployment that is not listed but may be asked for all the same.

    Raises :class:`~coreto.errors.UnknownModelError`.
    """
    if name in directory.plans:
        return Reply(200, orjson.dumps(_card(name)))
    deployment = directory.deployments.get(name) or directory.plan(name).candidates[0].deployment
    return Reply(200, orjson.dumps(_deployment_card(deployment)))


def list_tags(directory: Directory) -> Reply:
    """The names of :func:`list_models` as Ollama lists models. What is not known is null."""
    tags = [_tag(name) for name in directory.plans]
    tags += [{**_tag(d.id), "size": d.memory} for d in directory.deployments.values()]
    return Reply(200, orjson.dumps({"models": tags}))


def _tag(name: str) -> Json:
    return {"name": name, "model": name, "modified_at": None, "size": None, "digest": "", "details": {}}


def _card(name: str) -> Json:
    return {"id": name, "object": "model", "created": 0, "owned_by": OWNER}


def _deployment_card(deployment: Deployment) -> Json:
    return {
        **_card(deployment.id),
        "coreto": {"local": deployment.local, "context": deployment.context},
    }
