"""A server as a process before a healthy simulator, and its own document to fuzz it by."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import requests
import schemathesis

from coreto.testing.simulator import start_simulator

KEY = "fuzz-key"


def _support() -> ModuleType:
    path = Path(__file__).parents[1] / "support" / "server_process.py"
    spec = importlib.util.spec_from_file_location("coreto_server_process", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator:
    """Two deployments of a simulator that knows every model, and a key."""
    support = _support()
    with start_simulator("openai", "--any-model", "--chunks", "3") as upstream:
        toml = f"""
[server]
api_keys = ["{KEY}"]
[providers.lab]
kind = "openai"
base_url = "{upstream.url}/v1"
[roles.chat]
chain = ["lab/primary", "lab/secondary"]
"""
        with support.start_server(support.write_config(tmp_path_factory.mktemp("fuzz"), toml)) as it:
            yield it


@pytest.fixture(scope="session")
def session() -> Iterator[requests.Session]:
    """A client with the key, which keeps its connections."""
    with requests.Session() as client:
        client.headers["Authorization"] = f"Bearer {KEY}"
        yield client


@pytest.fixture(scope="session")
def document(server, session):
    """The server's OpenAPI document."""
    return session.get(f"{server.url}/api/openapi.json").json()


@pytest.fixture(scope="session")
def described(document):
    """The operations of the document by their names, such as ``GET /healthz``."""
    schema = schemathesis.openapi.from_dict(document)
    schema.validate()
    return {found.ok().label: found.ok() for found in schema.get_all_operations()}
