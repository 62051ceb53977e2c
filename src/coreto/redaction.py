"""Takes secrets out of text that people or logs will see."""

import re

_SECRETS = re.compile(
    r"""(?P<url>\b[a-z][a-z0-9+.-]*://)[^\s/@:]*:[^\s/@]+@      # user:password in a URL
      | (?P<bearer>\b(?:bearer|basic)\s+)[\w.~+/=-]{6,}         # authorization headers
      | (?P<named>(?:(?<=[?&])key|(?<![a-z0-9])(?:api[-_ ]?key|access[-_]token|token|secret|password|ts|sig|signature))["']?\s*[=:]\s*["']?)[^\s"'&,;)]{4,}
      | (?P<key>\b(?:sk|ck|pk|rk|ghp|gho|xox[abp]|key|or)-)[\w-]{8,}  # provider key shapes
    """,
    re.IGNORECASE | re.VERBOSE,
)


def redact(text: str) -> str:
    """``text`` with keys, passwords and bearer tokens replaced by ``***``."""
    return _SECRETS.sub(lambda m: next(g for g in m.groups() if g is not None) + "***", text)


def brief(text: str, limit: int = 300) -> str:
    """One redacted line of at most ``limit`` characters, for error messages."""
    line = " ".join(redact(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
