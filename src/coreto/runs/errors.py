"""How runs fail::

CoretoError
└── RunError                 a run could not be begun, continued or asked about
    ├── UnknownRunError      no such run                                              (404)
    ├── UnknownWorkflowError no workflow of that name                                 (404)
    ├── RunConflictError     the id is another request's                              (409)
    ├── RunOverError         it has ended, or has not: not what was asked for         (409)
    ├── PrivateRunError      private, and the database is off this machine            (403)
    ├── RunsElsewhereError   another process executes this data directory's runs      (503)
    ├── RunFailedError       the run failed: ``reason`` is its code
    ├── RunCancelledError    the run was cancelled
    ├── StepError            a step failed by a fault of the program
    └── StepOrderError       the run was begun by other steps than its workflow has now
"""

from coreto.errors import CoretoError


class RunError(CoretoError):
    """The run could not be begun, continued or asked about."""

    code = "run"


class UnknownRunError(RunError):
    """There is no run of that id."""

    code = "unknown_run"
    http_status = 404

    def __init__(self, run_id: str) -> None:
        super().__init__(f"there is no run {run_id!r}")


class UnknownWorkflowError(RunError):
    """There is no workflow of that name."""

    code = "unknown_workflow"
    http_status = 404


class RunConflictError(RunError):
    """The id belongs to another request."""

    code = "run_conflict"
    http_status = 409

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"the run {run_id!r} is there already, and was begun by another request: choose a new id"
        )


class RunOverError(RunError):
    """The run's state does not allow it."""

    code = "run_over"
    http_status = 409


class PrivateRunError(RunError):
    """A private run was about to be kept off this machine; nothing was kept."""

    code = "private_run"
    http_status = 403

    def __init__(self) -> None:
        super().__init__(
            "private runs are not kept in a database off this machine: "
            'use database.url = "sqlite", or a PostgreSQL server of this machine'
        )


class RunsElsewhereError(RunError):
    """Another process executes the runs of this data directory."""

    code = "runs_elsewhere"
    http_status = 503


class RunFailedError(RunError):
    """The run failed."""

    code = "run_failed"

    def __init__(self, message: str = "", reason: str = "error") -> None:
        """``reason``: the code of what it failed by."""
        super().__init__(message)
        self.reason = reason


class RunCancelledError(RunError):
    """The run was cancelled."""

    code = "cancelled"
    http_status = 409


class StepError(RunError):
    """A step failed by a fault of the program."""

    code = "step_failed"


class StepOrderError(RunError):
    """The run was begun by other steps."""

    code = "step_order"
