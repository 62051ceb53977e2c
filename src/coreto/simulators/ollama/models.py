"""The models a simulated Ollama knows: names, sizes, contexts, capabilities, and the cloud's catalogue."""

import hashlib
import re
from dataclasses import dataclass, replace

GB = 10**9
_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": GB,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*(:[A-Za-z0-9._-]+)?")
_CHAT = ("completion", "tools")
REMOTE_HOST = "https://ollama.com:443"


@dataclass(frozen=True, slots=True)
class Model:
    """One model. `size` is the weights in bytes, `context` the longest window in tokens.

    `weights` names the file: two models with the same weights share one place in memory. `remote` is the
    cloud name behind a stub. `surprise` is memory in bytes that no prediction sees.
    """

    name: str
    size: int
    context: int = 4096
    capabilities: tuple[str, ...] = _CHAT
    weights: str = ""
    remote: str = ""
    family: str = "llama"
    embedding: int = 768
    surprise: int = 0

    @property
    def path(self) -> str:
        """What identifies the weights."""
        return self.weights or self.digest

    @property
    def digest(self) -> str:
        """Sixty-four hex digits."""
        return hashlib.sha256(self.name.encode()).hexdigest()

    @property
    def bytes_per_token(self) -> int:
        """Memory of one token of context; grows with the model."""
        return 0 if "embedding" in self.capabilities else self.size // 50_000

    @property
    def parameters(self) -> int:
        """Number of parameters, as a four-bit file of that size would have."""
        return self.size * 10 // 6


class SizeError(ValueError):
    """A size or model declaration that cannot be read."""


def parse_size(text: str) -> int:
    """Bytes of ``"16 GB"``, ``"9GB"``, ``"512 MiB"`` or a plain number. Raises `SizeError`."""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", text)
    if found is None or found[2].upper() not in _UNITS:
        raise SizeError(f"{text!r} is not a size such as '16 GB'")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def parse_model(text: str) -> Model:
    """``NAME=SIZE[:CONTEXT]``, for instance ``qwen2.5-coder:14b=9 GB:32768``. Raises `SizeError`."""
    name, equals, rest = text.partition("=")
    if not equals or not valid_name(name.strip()):
        raise SizeError(f"{text!r} is not NAME=SIZE[:CONTEXT]")
    size, _, context = rest.partition(":")
    if context and not context.strip().isdigit():
        raise SizeError(f"{text!r}: the context must be a number of tokens")
    name = name.strip()
    capabilities = ("embedding",) if "embed" in name else _CHAT
    return Model(full_name(name), parse_size(size), int(context or 4096), capabilities)


def valid_name(name: str) -> bool:
    """Whether Ollama's name syntax allows it."""
    return _NAME.fullmatch(name) is not None


def full_name(name: str) -> str:
    """The name with its tag; without one it is ``latest``."""
    last = name.rsplit("/", 1)[-1]
    return name if ":" in last else f"{name}:latest"


def is_cloud_name(name: str) -> bool:
    """``x:cloud`` or ``x:tag-cloud``."""
    return name.endswith((":cloud", "-cloud"))


def cloud_base(name: str) -> str:
    """The name on the cloud host: without the suffix."""
    return name.removesuffix(":cloud").removesuffix("-cloud")


LOCAL: tuple[Model, ...] = (
    Model("phi3:mini", int(2.2 * GB), 131072, ("completion",), family="phi3", embedding=3072),
    Model("qwen2.5-32b-instruct-moe-rtx:latest", 13 * GB, 32768, family="qwen2moe", embedding=5120),
    Model(
        "qwen2.5-coder:14b", 9 * GB, 32768, ("completion", "tools", "insert"), family="qwen2", embedding=5120
    ),
    Model("mistral:7b", int(4.1 * GB), 32768, family="llama", embedding=4096),
    Model("nomic-embed-text:latest", 274 * 10**6, 2048, ("embedding",), family="nomic-bert"),
)
_THINKS = ("completion", "tools", "thinking")
CLOUD: tuple[Model, ...] = (
    Model("qwen3.5:397b", 397 * GB, 262144, ("completion", "tools", "thinking", "vision"), family="qwen3"),
    Model("deepseek-v4-flash", 160 * GB, 163840, _THINKS, family="deepseek"),
    Model("gpt-oss:120b", 65 * GB, 131072, _THINKS, family="gptoss"),
    Model("gpt-oss:20b", 13 * GB, 131072, _THINKS, family="gptoss"),
    Model("minimax-m2", 230 * GB, 204800, _THINKS, family="minimax"),
    Model("glm-4.7", 355 * GB, 202752, _THINKS, family="glm"),
)
RETIRED: dict[str, str] = {"qwen3-coder:480b": "qwen3.5:397b", "deepseek-v3.1:671b": "deepseek-v4-flash"}
LIBRARY: tuple[Model, ...] = (
    *LOCAL,
    Model("smollm2:135m", 271 * 10**6, 8192, family="llama", embedding=576),
    Model("llama3.2:3b", 2 * GB, 131072, family="llama", embedding=3072),
    Model("llama3.2:latest", 2 * GB, 131072, family="llama", embedding=3072),
    Model("qwen2.5:7b", int(4.7 * GB), 32768, family="qwen2", embedding=3584),
    Model("all-minilm:latest", 46 * 10**6, 512, ("embedding",), family="bert", embedding=384),
)
STUBS: tuple[str, ...] = ("qwen3.5:397b-cloud", "gpt-oss:120b-cloud")


def stub(name: str) -> Model | None:
    """The local stand-in of a cloud model, if the catalogue has it (``x-cloud`` and ``x:cloud``)."""
    base = cloud_base(name)
    for model in CLOUD:
        if base in {model.name, full_name(model.name)}:
            return replace(model, name=name, size=384, remote=model.name)
    return None


class Registry:
    """The models present, by full name."""

    def __init__(self, models: tuple[Model, ...] = ()) -> None:
        self._models: dict[str, Model] = {}
        for model in models:
            self.add(model)

    def __iter__(self):  # noqa: ANN204 - an iterator of models
        return iter(self._models.values())

    def add(self, model: Model) -> None:
        """Add or replace."""
        self._models[full_name(model.name)] = model

    def remove(self, name: str) -> bool:
        """Forget a model; whether it was there."""
        return self._models.pop(full_name(name), None) is not None

    def find(self, name: str) -> Model | None:
        """The model of that name, the tag ``latest`` understood."""
        return self._models.get(full_name(name))

    def copy(self, source: str, destination: str) -> bool:
        """A second name for the same weights; whether the source was there."""
        model = self.find(source)
        if model is None:
            return False
        self.add(replace(model, name=full_name(destination), weights=model.path))
        return True
