"""Which limit a failed run speaks of in its last line.

The kernel does not say that it refused a process, memory or space because of a limit; the code's error does.
"""

from coreto.tools.sandbox.jobs import LimitName

_SIGNS: tuple[tuple[LimitName, tuple[str, ...]], ...] = (
    ("memory", ("MemoryError", "Cannot allocate memory", "Unable to allocate", "out of memory")),
    (
        "processes",
        ("can't start new thread", "[Errno 11]", "Cannot fork", "Resource temporarily unavailable"),
    ),
    ("files", ("[Errno 27]", "[Errno 28]", "File too large", "No space left on device")),
)


def spoken_limit(stderr: str, exit_code: int) -> LimitName | None:
    """The limit named by the last line of ``stderr`` of a run that failed, else ``None``."""
    # Python 3.13 says this when it has no memory left to end properly
    lines = stderr.rstrip().removesuffix("lost sys.stderr").rstrip().splitlines()
    if exit_code == 0 or not lines:
        return None
    return next((name for name, signs in _SIGNS if any(sign in lines[-1] for sign in signs)), None)
