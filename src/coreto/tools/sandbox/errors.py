"""Why code was not run."""

from coreto.errors import CoretoError


class SandboxUnavailableError(CoretoError):
    """No sandbox holds on this machine, so the code was not run: apt install bubblewrap"""

    code = "sandbox_unavailable"
    http_status = 501


class SandboxRefusedError(CoretoError):
    """The sandbox does not run this."""

    code = "sandbox_refused"
    http_status = 403
