"""Names to plans: what a role, a deployment or ``auto`` comes to with the providers at hand."""

import difflib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from coreto.clock import Clock
from coreto.errors import CallError, ConfigError, InvalidRequestError, RetiredError, UnknownModelError
from coreto.messages import Limits
from coreto.providers.catalog import Deployment, replacement, split_id
from coreto.providers.discovery import Inventory
from coreto.providers.factory import Site
from coreto.providers.ollama import full_name, is_cloud_name
from coreto.providers.profiles import is_small, profile_of
from coreto.providers.rules import Rules
from coreto.residency.hosts import Host
from coreto.resilience.output import Expectation, require_schema
from coreto.resilience.plan import Candidate, Plan
from coreto.resilience.timeouts import Timed
from coreto.settings.model import RoleSettings, Settings

AUTO = "auto"
DEFAULT_ROLE = "brain"
RULES = "rules"


@dataclass(frozen=True, slots=True)
class Directory:
    """Everything that can be asked for. ``warnings``: retired models that were replaced, and the like."""

    plans: Mapping[str, Plan]
    deployments: Mapping[str, Deployment]
    warnings: tuple[str, ...] = ()
    make: Callable[[str], Candidate | None] = field(default=lambda _: None, repr=False)
    #: why a deployment may not be asked at all; ``None`` when it may
    bar: Callable[[str], str | None] = field(default=lambda _: None, repr=False)

    def plan(self, name: str) -> Plan:
        """The plan for a role, ``auto`` or a deployment. Raises :class:`UnknownModelError`."""
        plan = self.plans.get(name)
        if plan is not None:
            return plan
        candidate = self.make(name)
        if candidate is None:
            known = [*self.plans, *self.deployments]
            bare = [d for d in self.deployments if split_id(d)[1] == name]
            raise UnknownModelError(name, bare or difflib.get_close_matches(name, known, n=3, cutoff=0.5))
        reason = self.bar(name)
        if reason is not None:
            return Plan(name=name, role=None, candidates=(), fallback=False, dropped=((name, reason),))
        return Plan(name=name, role=None, candidates=(candidate,), fallback=False)

    def successor(self, candidate: Candidate, error: CallError) -> Candidate | None:
        """Who replaces a model that its provider no longer has: declared by the user, or by the provider."""
        deployment = candidate.deployment
        declared = (deployment.successor,) if deployment.successor else ()
        offered = error.successors if isinstance(error, RetiredError) else ()
        for model in (*declared, *offered):
            name = model if split_id(model)[0] == deployment.provider else f"{deployment.provider}/{model}"
            heir = self.make(name)
            if heir is not None and heir.deployment.id != deployment.id and self.bar(name) is None:
                return replace(heir, limits=candidate.limits)
        return None


class DirectoryBuilder:
    """Builds a :class:`Directory`; one object a build, so that its parts share what they look up."""

    def __init__(
        self,
        settings: Settings,
        sites: Mapping[str, Site],
        inventory: Inventory,
        *,
        rules: Rules,
        explicit_roles: frozenset[str],
        clock: Clock,
        hosts: Mapping[str, Host] = MappingProxyType({}),
    ) -> None:
        self._settings = settings
        self._hosts = hosts
        self._sites = sites
        self._inventory = inventory
        self._rules = rules
        self._explicit = explicit_roles
        self._timed = {name: Timed(site.provider, clock, whole=site.whole) for name, site in sites.items()}
        self._rules_candidate = Candidate(
            Deployment(RULES, RULES, RULES, local=True, account=RULES, endpoint=RULES), Timed(rules, clock)
        )
        self._warnings: list[str] = []

    def build(self) -> Directory:
        plans = {name: self._role_plan(name, role) for name, role in self._settings.roles.items()}
        if DEFAULT_ROLE in plans:
            plans.setdefault(AUTO, replace(plans[DEFAULT_ROLE], name=AUTO))
        deployments = {c.deployment.id: c.deployment for plan in plans.values() for c in plan.candidates}
        for name in self._listed():
            candidate = None if self._barred(name) else self._candidate(name)
            if candidate is not None:
                deployments.setdefault(candidate.deployment.id, candidate.deployment)
        deployments.pop(RULES, None)
        warnings = tuple(dict.fromkeys(self._warnings))
        return Directory(plans, deployments, warnings, self._candidate, self._barred)

    def _listed(self) -> Iterable[str]:
        for provider, found in self._inventory.items():
            for model in found.models:
                yield f"{provider}/{model.name}"

    def _role_plan(self, name: str, role: RoleSettings) -> Plan:
        chain = [*role.chain]
        if name == DEFAULT_ROLE and name not in self._explicit:
            chain = self._with_discovered(chain)
        candidates: dict[str, Candidate] = {}
        dropped: list[tuple[str, str]] = []
        for entry in chain:
            living = self._living(entry)
            reason = self._why_not(living, name, role, explicit=name in self._explicit)
            candidate = None if reason else self._candidate(living, role, name)
            if candidate is None:
                dropped.append((living, reason or "unknown provider"))
            else:
                candidates.setdefault(candidate.deployment.id, candidate)
        return Plan(
            name=name,
            role=name,
            candidates=tuple(candidates.values()),
            fallback=self._settings.fallback_enabled if role.fallback is None else role.fallback,
            retries=role.retries,
            temperature=role.temperature,
            max_tokens=role.max_tokens,
            local_only=role.local_only,
            prefer=role.prefer,
            privacy=role.privacy,
            escalate=role.escalate,
            expected=_expected(name, role),
            failover=role.stream_failover,
            cache_ttl=role.cache_ttl,
            variant=_variant(role),
            dropped=tuple(dropped),
            baseline=self._baseline(chain),
        )

    def _with_discovered(self, chain: list[str]) -> list[str]:
        """The default chain with every other local chat model that was found, before the embedded one."""
        extra = [
            f"{provider}/{model.name}"
            for provider, found in self._inventory.items()
            if provider in self._sites
            and self._sites[provider].local
            and self._sites[provider].kind != "embedded"
            for model in found.models
            if model.local and profile_of(model.name).chat
        ]
        last = next((i for i, entry in enumerate(chain) if split_id(entry)[0] == "embedded"), len(chain))
        return [*chain[:last], *extra, *chain[last:]]

    def _baseline(self, chain: list[str]) -> Deployment | None:
        for entry in chain:
            candidate = self._candidate(self._living(entry))
            if candidate is not None and not candidate.deployment.local:
                return candidate.deployment
        return None

    def _living(self, entry: str) -> str:
        """``entry``, or its successor if the catalogue says that it was retired."""
        provider, model = split_id(entry)
        site = self._sites.get(provider)
        heir = replacement(site.kind, model) if site else None
        if heir is None:
            return entry
        self._warnings.append(f"{entry} was retired by its provider; {provider}/{heir} takes its place")
        return f"{provider}/{heir}"

    def _why_not(self, entry: str, name: str, role: RoleSettings, *, explicit: bool) -> str | None:
        """Why ``entry`` cannot serve role ``name``, with the mend; ``None`` when it may. What only seems
        unavailable now is dropped from default chains alone: a user's own chain is tried as written."""
        if entry == RULES:
            return None if self._rules.covers(name) else "this role has no rules"
        if (reason := self._barred(entry)) is not None:
            return reason
        provider, model = split_id(entry)
        site = self._sites[provider]
        if role.local_only and not self._is_local(site, model):
            return "the role is local_only"
        return None if explicit else self._unavailable(site, model)

    def _barred(self, entry: str) -> str | None:
        """Why a deployment may not be asked, whoever asks for it; ``None`` when it may."""
        provider, model = split_id(entry)
        site = self._sites.get(provider)
        if site is None:
            return (
                f"provider {provider!r} is disabled"
                if provider in self._settings.providers
                else "unknown provider"
            )
        local = self._is_local(site, model)
        if self._settings.offline and not local:
            return "offline"
        if site.kind == "ollama" and not local and not self._settings.providers["ollama-cloud"].enabled:
            return "Ollama Cloud is disabled"
        return site.unusable

    def _unavailable(self, site: Site, model: str) -> str | None:
        passed_on = self._inventory.get(site.through) if site.through else None
        if passed_on is not None and not passed_on.health.ok:
            return "no key (set OLLAMA_CLOUD_API_KEY), and no local Ollama that could pass it on"
        found = self._inventory.get(site.name)
        if found is None or (found.health.ok and site.kind not in ("ollama", "embedded")):
            return None
        if not found.health.ok:
            return found.health.detail
        if any(model in (m.name, m.name.removesuffix(":latest")) for m in found.models):
            return None
        pull = model if site.kind == "embedded" else f"{site.name}/{model}"
        return f"not pulled: `coreto models pull {pull}`"

    def _is_local(self, site: Site, model: str) -> bool:
        if not site.local or (site.kind == "ollama" and is_cloud_name(model)):
            return False
        found = self._inventory.get(site.name)
        listed = found.models if found else ()
        same = {model, full_name(model)}
        return all(m.local for m in listed if m.name in same)

    def _candidate(
        self, name: str, role: RoleSettings | None = None, role_name: str = ""
    ) -> Candidate | None:
        """A candidate for a deployment's id; ``None`` where its provider is not known."""
        if name == RULES:
            return self._rules_candidate if self._rules.covers(role_name) else None
        provider, model = split_id(name)
        site = self._sites.get(provider)
        if site is None or not model:
            return None
        limits = site.limits
        if role is not None and role.timeout is not None:
            limits = Limits(limits.connect, role.timeout, limits.stall)
        deployment = self._deployment(name, site, model)
        known = self._settings.models.get(name)
        own = site.constrains and deployment.local  # a cloud stub behind a local daemon does neither
        return Candidate(
            deployment,
            self._timed[provider],
            limits,
            site.embedder,
            self._timed[provider].whole,
            window=(role and role.context) or (known and known.context),
            constrains=own,
            prefill=site.prefill and (own or not site.constrains),
            at_once=site.at_once,
            host=self._hosts.get(provider) if deployment.local else None,
        )

    def _deployment(self, name: str, site: Site, model: str) -> Deployment:
        known = self._settings.models.get(name)
        found = self._inventory.get(site.name)
        same = {model, full_name(model)} if site.kind == "ollama" else {model}
        info = next((m for m in (found.models if found else ()) if m.name in same), None)
        local = self._is_local(site, model)
        account = "ollama-cloud" if site.kind == "ollama" and not local else site.name
        return Deployment(
            id=name,
            provider=site.name,
            model=model,
            local=local,
            account=account,
            endpoint=account,
            context=(known and known.context) or (info and info.context) or profile_of(model).context,
            memory=(known and known.memory) or (info and info.size),
            capabilities=info.capabilities if info else frozenset(),
            small=is_small(model),
            successor=(known and known.successor) or replacement(site.kind, model),
        )


def _variant(role: RoleSettings) -> str:
    return hashlib.sha256(role.model_dump_json().encode()).hexdigest()[:16]


def _expected(name: str, role: RoleSettings) -> Expectation:
    schema: bytes | None = None
    if role.response_schema is not None:
        try:
            schema = role.response_schema.read_bytes()
            require_schema(schema)
        except OSError as error:
            raise ConfigError(
                f"roles.{name}.response_schema: cannot read {role.response_schema}: {error.strerror}"
            ) from error
        except InvalidRequestError as error:
            raise ConfigError(
                f"roles.{name}.response_schema: {role.response_schema}: {error.message}"
            ) from error
    return Expectation(json=role.json_answer or schema is not None, schema=schema, labels=role.labels)
