"""The account behind the cloud models: keys, plan, usage limits, what is switched off."""

from dataclasses import dataclass
from typing import Any

from coreto.simulators.bodies import named
from coreto.simulators.ollama.models import CLOUD, Model, full_name


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """How the cloud treats this account. Limits in requests; None means no such limit."""

    api_key: str | None = None
    signed_in: bool = True
    enabled: bool = True
    session_requests: int | None = None
    weekly_requests: int | None = None
    plan: str = "free"
    account: str = "sim"


class CloudAccount:
    """Counts what was used and refuses what is over."""

    def __init__(self, settings: CloudSettings) -> None:
        self.settings = settings
        self.usage: dict[str, float | None] = {}
        self._by_model: dict[str, int] = {}
        self.reset()

    def reset(self) -> None:
        """Nothing used."""
        self.usage = {
            "session": None if self.settings.session_requests is None else 0.0,
            "weekly": None if self.settings.weekly_requests is None else 0.0,
        }
        self._by_model = {}

    def set_usage(self, values: dict[str, float | None]) -> None:
        """Set the used shares, 0 to 1, of ``session``, ``weekly`` or ``monthly``."""
        self.usage.update(values)

    def check_bearer(self, header: str) -> None:
        """Raise the 401 of ollama.com unless the key fits; without a configured key any bearer will do."""
        scheme, _, key = header.partition(" ")
        given = key.strip() if scheme.lower() == "bearer" else ""
        if not given or (self.settings.api_key is not None and given != self.settings.api_key):
            raise named("ollama.bad_key_401")

    def check_daemon(self, *, show: bool = False) -> None:
        """Raise what a local daemon answers when it may not reach the cloud."""
        if not self.settings.enabled:
            raise named("ollama.cloud_disabled_show_403" if show else "ollama.cloud_disabled_403")
        if not self.settings.signed_in:
            raise named("ollama.unauthorized_401")

    def find(self, name: str) -> Model:
        """A catalogue model, or the 404 of a retired or unknown one."""
        for model in CLOUD:
            if full_name(name) == full_name(model.name):
                return model
        raise named("ollama.retired_404", model=name)

    def spend(self, model: str) -> None:
        """Count one request, or raise the 429 of the limit that is reached."""
        for window in ("session", "weekly", "monthly"):
            used = self.usage.get(window)
            if used is not None and used >= 1.0:
                raise named(f"ollama.{window}_limit", name=self.settings.account)
        limits = {"session": self.settings.session_requests, "weekly": self.settings.weekly_requests}
        for window, limit in limits.items():
            used = self.usage.get(window)
            if limit and used is not None:
                self.usage[window] = round(used + 1 / limit, 6)
        self._by_model[model] = self._by_model.get(model, 0) + 1

    def usage_report(self) -> dict[str, Any]:
        """The undocumented ``/api/usage``."""
        models = [{"name": name, "request_count": count} for name, count in self._by_model.items()]
        limits = {
            window: {"usage": used, "models": models}
            for window, used in self.usage.items()
            if used is not None
        }
        period = {
            "type": "last_4_weeks",
            "starting_at": "2026-10-24T00:00:00Z",
            "ending_at": "2026-11-21T00:00:00Z",
        }
        return {"limits": limits, "activity": {"cost": "0.00000", "period": period, "models": models}}

    def me(self) -> dict[str, Any]:
        """``/api/me``; an empty plan means free."""
        plan = "" if self.settings.plan == "free" else self.settings.plan
        account = self.settings.account
        return {"id": "5e1f0c52", "email": f"{account}@example.org", "name": account, "plan": plan}
