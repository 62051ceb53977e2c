"""NVIDIA graphics cards by their driver's own library, where it is there."""

import importlib
from collections.abc import Sequence
from typing import Any

from coreto.hardware.base import Gpu, Memory


def nvidia_gpus(module: str = "pynvml") -> Sequence[Gpu] | None:
    """The cards the driver lists; none where there is no driver, ``None`` without the package ``nvidia-ml-py``,
    which nobody has to install. Cards that fail to answer are left out. ``module``: what to import."""
    try:
        nvml: Any = importlib.import_module(module)
    except ImportError:
        return None
    failure: type[Exception] = nvml.NVMLError
    try:
        nvml.nvmlInit()
    except failure:  # no driver: libnvidia-ml is not found
        return ()
    try:
        found = (_card(nvml, index, failure) for index in range(int(nvml.nvmlDeviceGetCount())))
        return tuple(gpu for gpu in found if gpu is not None)
    except failure:
        return ()
    finally:
        nvml.nvmlShutdown()


def _card(nvml: Any, index: int, failure: type[Exception]) -> Gpu | None:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        name = nvml.nvmlDeviceGetName(handle)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    except failure:
        return None
    words = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    return Gpu(index, words, Memory(int(memory.total), int(memory.free)))
