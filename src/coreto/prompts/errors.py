"""What can be wrong with a prompt::

CoretoError
└── ConfigError
    └── PromptError            a prompt's file cannot be used: names file and line
        ├── UnknownPromptError no such prompt, version, label or experiment
        └── PromptValueError   a value is missing, or not of its variable's type
"""

from collections.abc import Sequence

from coreto.errors import ConfigError


class PromptError(ConfigError):
    """A prompt cannot be used."""

    code = "prompt"

    def __init__(self, problem: str, *, file: str = "", line: int | None = None) -> None:
        """``line``: counted from 1 in ``file``."""
        where = file if line is None else f"{file}:{line}"
        super().__init__(f"{where}: {problem}" if where else problem)
        self.problem = problem
        self.file = file
        self.line = line


class UnknownPromptError(PromptError):
    """There is no such prompt, version, label or experiment."""

    code = "prompt_not_found"
    http_status = 404

    def __init__(self, what: str, known: Sequence[str] = ()) -> None:
        super().__init__(f"{what}; there is: {', '.join(known) or 'none'}")
        self.known = tuple(known)


class PromptValueError(PromptError):
    """A value cannot be put into a prompt."""

    code = "prompt_value"
    http_status = 400

    def __init__(self, prompt: str, variable: str, problem: str) -> None:
        """Neither message nor fields repeat the value: it may be private."""
        super().__init__(f"prompt {prompt!r}, variable {variable!r}: {problem}")
        self.prompt = prompt
        self.variable = variable
