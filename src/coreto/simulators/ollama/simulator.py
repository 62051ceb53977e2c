"""The state of one simulated Ollama, and how a request finds its model."""

from dataclasses import dataclass, field
from typing import Any

from coreto.simulators.bodies import ApiError, named, ollama
from coreto.simulators.control import Shared
from coreto.simulators.delivery import Exchange
from coreto.simulators.faults import FaultRule
from coreto.simulators.ollama.cloud import CloudAccount, CloudSettings
from coreto.simulators.ollama.engine import Engine, Pace
from coreto.simulators.ollama.models import (
    CLOUD,
    GB,
    LOCAL,
    STUBS,
    Model,
    Registry,
    cloud_base,
    is_cloud_name,
    stub,
    valid_name,
)
from coreto.simulators.ollama.scheduler import Limits, RunnerOptions

VERSION = "0.31.2"
_OUT_OF_MEMORY = {"ollama.oom_500", "ollama.too_large_500", "ollama.system_memory_500"}


@dataclass(frozen=True, slots=True)
class Speech:
    """How answers flow. `chunks`: a fixed number of pieces; `latency`: real seconds before the first token;
    `time_scale`: real seconds per simulated second of loading and generating (0: at once)."""

    chunks: int | None = None
    latency: float = 0.0
    time_scale: float = 1.0
    tokens_per_second: float = 40.0


@dataclass(frozen=True, slots=True)
class OllamaOptions:
    """Everything that a simulated Ollama can be started with. `cloud`: it plays ollama.com."""

    cloud: bool = False
    models: tuple[Model, ...] = LOCAL
    stubs: tuple[str, ...] = STUBS
    limits: Limits = field(default_factory=lambda: Limits(memory=16 * GB))
    load_gbps: float = 2.0
    speech: Speech = field(default_factory=Speech)
    account: CloudSettings = field(default_factory=CloudSettings)
    pullable: tuple[Model, ...] = ()


class OllamaSimulator:
    """One server: what it has, what is in memory, what the account used."""

    def __init__(self, options: OllamaOptions, shared: Shared) -> None:
        self.options = options
        self.shared = shared
        self.registry = Registry()
        self.account = CloudAccount(options.account)
        pace = Pace(options.load_gbps * GB, options.speech.time_scale)
        self.engine = Engine(options.limits, pace)
        shared.on_fault = self._on_fault
        self._fill()

    def _fill(self) -> None:
        stubs = [found for found in map(stub, self.options.stubs) if found is not None]
        models = CLOUD if self.options.cloud else (*self.options.models, *stubs)
        self.registry = Registry(models)

    def reset(self) -> None:
        """The models, memory and account of the start."""
        self.engine.reset()
        self.account.reset()
        self._fill()

    def state(self) -> dict[str, Any]:
        """Memory, runners and queue for ``GET /_sim/state``."""
        scheduler = self.engine.scheduler
        runners = [
            {
                "model": runner.name,
                "size": runner.size,
                "size_vram": runner.vram,
                "phase": runner.phase.value,
                "doomed": runner.doomed,
                "active": len(runner.active),
                "waiting": len(runner.waiting),
                "num_ctx": runner.options.num_ctx,
            }
            for runner in scheduler.runners.values()
        ]
        return {
            "models": [model.name for model in self.registry],
            "memory_total": scheduler.limits.memory,
            "memory_used": scheduler.used,
            "memory_free": scheduler.free,
            "runners": runners,
            "queue": len(scheduler.queue),
            "loads": scheduler.loads,
            "evictions": scheduler.evictions,
            "usage": self.account.usage,
        }

    def _on_fault(self, fault: FaultRule) -> None:
        if fault.error in _OUT_OF_MEMORY:
            self.engine.expire_all()

    # --- finding the model of a request

    def model_for(self, exchange: Exchange, *, empty: ApiError) -> Model:
        """The model asked for; its `remote` is set when it lives in the cloud. Raises `ApiError`."""
        check_body(exchange)
        name = exchange.model
        if not name:
            raise empty
        if not valid_name(name):
            raise ApiError(ollama(400, "invalid model name"))
        if self.options.cloud:
            self.authorize(exchange)
            model = self.account.find(name)
            self.account.spend(model.name)
            return model
        name = name.removesuffix(":local") or name
        model = self.registry.find(name)
        if is_cloud_name(name) or (model is not None and model.remote):
            self.account.check_daemon()
            remote = self.account.find(
                model.remote if model is not None and model.remote else cloud_base(name)
            )
            self.account.spend(remote.name)
            return stub(name) or remote
        if model is None:
            raise named("ollama.model_missing_404", model=exchange.model)
        return model

    def authorize(self, exchange: Exchange) -> None:
        """On the cloud host: a bearer key, or 401. ``x-api-key`` is not accepted."""
        if self.options.cloud:
            self.account.check_bearer(exchange.record.headers.get("Authorization", ""))

    def runner_options(self, model: Model, options: dict[str, Any]) -> RunnerOptions:
        """What the request's options ask of the runner; the default context depends on the memory."""
        asked = options.get("num_ctx")
        layers = options.get("num_gpu", -1)
        num_gpu = layers if isinstance(layers, int) else -1
        if isinstance(asked, int) and asked > 0:
            return RunnerOptions(min(asked, model.context), automatic_ctx=False, num_gpu=num_gpu)
        return RunnerOptions(min(self.default_context(), model.context), automatic_ctx=True, num_gpu=num_gpu)

    def default_context(self) -> int:
        """4k, 32k or 256k tokens by the GPU memory."""
        memory = self.options.limits.memory
        if memory < 24 * GB:
            return 4096
        return 32768 if memory < 48 * GB else 262144


def check_body(exchange: Exchange) -> None:
    """Raise the 400 of an empty or unreadable body."""
    if not exchange.record.raw:
        raise named("ollama.missing_body_400")
    if exchange.record.body is None:
        first = exchange.record.raw[:1].decode(errors="replace")
        raise ApiError(ollama(400, f"invalid character {first!r} looking for beginning of value"))
