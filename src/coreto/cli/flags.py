"""What holds for every command: the flags before its name."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coreto.settings.load import Loaded


@dataclass(frozen=True, slots=True)
class Flags:
    """``config``: the file named; ``offline``: never leave this machine; ``verbose``: logs and tracebacks."""

    config: Path | None = None
    offline: bool = False
    verbose: bool = False

    @property
    def overrides(self) -> dict[str, object]:
        """The flags as settings."""
        return {"offline": True} if self.offline else {}

    def load(self) -> "Loaded":
        """The settings in force. Raises :class:`~coreto.errors.ConfigError`."""
        from coreto.settings.load import load  # noqa: PLC0415 - pydantic; `--help` does without

        return load(config=self.config, overrides=self.overrides)

    def set_up_logging(self) -> None:
        """Logs go to standard error with ``-v`` and nowhere without: commands say what matters themselves."""
        log = logging.getLogger("coreto")
        if self.verbose:
            logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
            log.setLevel(logging.DEBUG)
        else:
            log.addHandler(logging.NullHandler())
            log.propagate = False
