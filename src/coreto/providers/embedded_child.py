"""The child process of the embedded engine: one GGUF model behind llama.cpp's own HTTP server.

Run as ``python embedded_child.py NAME`` (the name only tells processes apart). Standard input carries one
line of JSON options and then stays open for as long as the parent lives; standard output carries one line,
``{"url": …}`` or ``{"error": …, "code": …}``; llama.cpp's log goes to standard error. The API key comes in
the options, so that neither the command line nor the environment shows it.

Imports the standard library and xllamacpp only: whatever else it held would be held once per model.
"""

import importlib
import json
import os
import signal
import sys
import threading
import time
from typing import Any, TypedDict

#: Seconds between two looks at whether the parent is still there (standard input may be held open by a
#: process that the parent forked).
_PARENT_CHECK = 1.0


class Options(TypedDict):
    """``context``: tokens per request; ``slots``: requests at the same time."""

    path: str
    name: str
    context: int
    slots: int
    threads: int
    api_key: str


def main() -> int:
    """Serve until the parent closes standard input or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the parent's to handle
    parent = os.getppid()
    answer_fd = os.dup(1)
    os.dup2(2, 1)  # nothing that llama.cpp prints may reach the parent's one line
    options: Options = json.loads(sys.stdin.readline() or "{}")
    if not options:
        return 0
    threading.Thread(target=_exit_when_closed, daemon=True).start()
    try:
        server = _serve(options)
    except ImportError as error:
        return _answer(answer_fd, error=f"xllamacpp: {error}", code="missing_extra")
    except MemoryError as error:
        return _answer(answer_fd, error=str(error), code="out_of_memory")
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        return _answer(answer_fd, error=str(error), code="start_failed")
    _answer(answer_fd, url=server.listening_address)
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK)
    os._exit(0)


def _serve(options: Options) -> Any:
    xllamacpp: Any = importlib.import_module("xllamacpp")  # optional: its absence is an answer, no crash
    params = xllamacpp.CommonParams()
    params.model.path = options["path"]
    params.model_alias = {options["name"]}
    params.n_ctx = options["context"] * options["slots"]
    params.n_parallel = options["slots"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options["threads"]
    params.api_keys = [options["api_key"]]
    params.endpoint_slots = True
    params.warmup = False
    params.ui = False
    params.verbosity = 1  # errors only
    params.cache_ram_mib = 0  # kept prompts would grow to 8 GiB beyond the model's declared memory
    return xllamacpp.Server(params)


def _exit_when_closed() -> None:
    """Exit when standard input ends, also in the midst of loading. The system frees all memory at once;
    tearing llama.cpp down would first wait for a running answer."""
    while os.read(0, 4096):
        pass
    os._exit(0)


def _answer(fd: int, **fields: str) -> int:
    """Print the one line; the exit status that goes with it."""
    os.write(fd, json.dumps(fields).encode() + b"\n")
    os.close(fd)
    return 1 if "error" in fields else 0


if __name__ == "__main__":
    sys.exit(main())
