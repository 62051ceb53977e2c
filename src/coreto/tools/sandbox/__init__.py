"""Runs code that a model wrote: no network, nothing of this machine's files, limits on everything it can use up.

:func:`run_python` and :func:`run_shell` take the strongest sandbox that holds here (:func:`probe`), and refuse to
run anything where none does. ``jobs.py`` says what goes in and comes out, ``bubblewrap.py`` and ``interpreter.py``
are the sandboxes; of the first, ``arguments.py`` and ``seccomp.py`` decide what the code sees, and ``inside.py``
is process 1 beside it. Code and results are data: neither is ever part of a command line.
"""

from coreto.tools.sandbox.errors import SandboxRefusedError, SandboxUnavailableError
from coreto.tools.sandbox.jobs import (
    Job,
    LimitName,
    Sandbox,
    SandboxKind,
    SandboxLimits,
    SandboxResult,
)
from coreto.tools.sandbox.offers import Offers, offers, probe, run_python, run_shell

__all__ = [
    "Job",
    "LimitName",
    "Offers",
    "Sandbox",
    "SandboxKind",
    "SandboxLimits",
    "SandboxRefusedError",
    "SandboxResult",
    "SandboxUnavailableError",
    "offers",
    "probe",
    "run_python",
    "run_shell",
]
