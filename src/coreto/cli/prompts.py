"""``coreto prompts``: a folder of prompts, with what the database knows of them."""

import contextlib
import difflib
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from coreto.app import data_dir
from coreto.cli import figures
from coreto.cli.flags import Flags
from coreto.cli.terminal import console, print_json, say
from coreto.cli.texts_prompts import say as text_of
from coreto.errors import ConfigError
from coreto.languages import Language
from coreto.messages import Json
from coreto.prompts.errors import PromptValueError, UnknownPromptError
from coreto.prompts.experiments import Audience
from coreto.prompts.files import load_folder
from coreto.prompts.names import Reference
from coreto.prompts.prompt import Prompt, digest_of
from coreto.prompts.rendered import trace_of
from coreto.prompts.service import Prompts, Wish
from coreto.prompts.statistics import VariantStats
from coreto.prompts.variables import Value, Variable, as_json, as_text, read
from coreto.settings.addresses import is_loopback_host
from coreto.stores.database import Database, open_database
from coreto.stores.migrate import ensure_schema
from coreto.stores.prompts import SqlPromptStore, VersionRecord

FOLDER = "prompts"
_SHORT = 12


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be rendered, as the options say. ``values``: ``name=value`` each."""

    reference: str
    language: Language | None = None
    user: str | None = None
    session: str | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Desk:
    """The folder and the database, open."""

    folder: Path
    prompts: Prompts
    store: SqlPromptStore
    language: Language

    def text(self, key: str, /, **values: object) -> str:
        return text_of(self.language, key, **values)

    def find(self, reference: str, language: Language | None, audience: Audience | None = None) -> Prompt:
        return self.prompts.prompt(_wish(reference, language, audience or Audience()))

    def pinned(self, prompt: Prompt) -> VersionRecord | None:
        """What is kept of that version and language since its first use."""
        for one in self.store.versions(prompt.name):
            if (one.version, one.language) == (prompt.version, prompt.language):
                return one
        return None


def list_prompts(flags: Flags, folder: Path | None, *, as_json: bool) -> int:
    """Print every prompt with its versions, languages and labels."""
    with _desk(flags, folder) as desk:
        library = desk.prompts.library
        lines = [_line(desk, name) for name in library.names()]
    if as_json:
        print_json({"prompts": lines})
        return 0
    if not lines:
        say(desk.text("none", folder=desk.folder))
        return 0
    table = _table(
        desk.text(key) for key in ("name", "versions", "languages", "labels", "experiment", "description")
    )
    for line in lines:
        labels = ", ".join(f"{label}={version}" for label, version in line["labels"].items())
        table.add_row(
            line["name"],
            ", ".join(map(str, line["versions"])),
            ", ".join(line["languages"]),
            labels or "-",
            line["experiment"] or "-",
            line["description"],
        )
    console().print(table)
    return 0


def show(
    flags: Flags, folder: Path | None, reference: str, language: Language | None, *, as_json: bool
) -> int:
    """Print a prompt's settings and its template."""
    with _desk(flags, folder) as desk:
        prompt = desk.find(reference, language)
        pinned = desk.pinned(prompt)
    digest = digest_of(prompt)
    changed = pinned is not None and pinned.digest != digest
    if as_json:
        print_json(_as_json(prompt, digest, pinned))
        return 0
    say(desk.text("title", title=prompt.title, file=prompt.file), style="bold")
    if prompt.description:
        say(prompt.description)
    say(desk.text("digest", digest=digest))
    if pinned is not None:
        since = figures.moment(pinned.pinned_ms / 1000)
        say(desk.text("changed") if changed else desk.text("in_use", since=since))
    if prompt.variables:
        console().print(_variables(desk, prompt.variables))
    for part in prompt.parts:
        say("")
        say(desk.text(f"speaker.{part.speaker}"), style="bold")
        say(part.body)
    return 0


def render(flags: Flags, folder: Path | None, asked: Asked, *, as_json: bool) -> int:
    """Print what a model would be told. Nothing is counted."""
    audience = Audience(asked.user, asked.session)
    with _desk(flags, folder) as desk:
        wish = _wish(asked.reference, asked.language, audience)
        values = _read_all(desk.prompts.prompt(wish), asked.values)
        rendered = desk.prompts.preview(wish, values)
    if as_json:
        print_json(
            {
                **trace_of(rendered),
                "asked": rendered.asked,
                "label": str(rendered.label),
                "role": rendered.role,
                "ignored": list(rendered.ignored),
                "messages": rendered.as_messages(),
            }
        )
        return 0
    for number, (speaker, text) in enumerate(rendered.messages):
        if len(rendered.messages) > 1:
            say(("\n" if number else "") + desk.text(f"speaker.{speaker}"), style="bold")
        say(text)
    about = {
        "name": rendered.name,
        "version": rendered.version,
        "language": rendered.language,
        "digest": rendered.digest[:_SHORT],
        "label": rendered.label,
    }
    say(desk.text("rendered", **about), stderr=True)
    if rendered.experiment is not None:
        say(
            desk.text("variant", variant=rendered.variant, experiment=rendered.experiment),
            stderr=True,
        )
    if rendered.ignored:
        say(desk.text("ignored", names=", ".join(rendered.ignored)), stderr=True)
    return 0


def diff(
    flags: Flags,
    folder: Path | None,
    name: str,
    versions: Sequence[str],
    language: Language | None,
    *,
    as_json: bool,
) -> int:
    """Print how two versions differ; of one: the file from what was used; of none: the latest two."""
    with _desk(flags, folder) as desk:
        old, new = _pair(desk, name, versions, language)
    lines = list(difflib.unified_diff(old[1], new[1], old[0], new[0], lineterm=""))
    if as_json:
        print_json({"from": old[0], "to": new[0], "diff": lines})
        return 0
    if not lines:
        say(desk.text("same"))
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for line in lines:
        say(line, style=styles.get(line[:1]))
    return 0


def stats(flags: Flags, folder: Path | None, experiment: str, outcome: str | None, *, as_json: bool) -> int:
    """Print how an experiment's variants did."""
    with _desk(flags, folder) as desk:
        found = desk.prompts.library.experiment(experiment)
        lines = desk.prompts.stats(found.name, outcome)
    outcome = outcome or found.outcome
    if as_json:
        told = [{name: getattr(line, name) for name in line.__slots__} for line in lines]
        about = {"experiment": found.name, "prompt": found.prompt, "outcome": outcome}
        print_json({**about, "unmeasured": found.unmeasured, "variants": told})
        return 0
    unmeasured = desk.text(f"unmeasured.{found.unmeasured}")
    say(
        desk.text(
            "stats",
            experiment=found.name,
            outcome=outcome,
            prompt=found.prompt,
            unmeasured=unmeasured,
        )
    )
    columns = (
        "variant_column", "version", "weight", "exposures", "outcomes", "successes", "rate", "interval",
    )  # fmt: skip
    table = _table(desk.text(key) for key in columns)
    for line in lines:
        table.add_row(*_row(desk, line))
    console().print(table)
    return 0


def label(flags: Flags, folder: Path | None, name: str, label: str, version: int) -> int:
    """Put a label on a version."""
    with _desk(flags, folder) as desk:
        desk.prompts.move(name, label, version)
    say(desk.text("moved", label=label, name=name, version=version))
    return 0


def set_values(
    flags: Flags, folder: Path | None, name: str, user: str, values: Sequence[str], gone: Sequence[str]
) -> int:
    """Keep a user's values, and forget those in ``gone``."""
    with _desk(flags, folder) as desk:
        kept = _read_all(desk.find(name, None, Audience(user=user)), values)
        desk.prompts.set_values(user, name, {**kept, **dict.fromkeys(gone)})
    if kept:
        say(desk.text("kept", user=user, names=", ".join(kept)))
    if gone:
        say(desk.text("forgotten", user=user, names=", ".join(gone)))
    return 0


@contextlib.contextmanager
def _desk(flags: Flags, folder: Path | None) -> Generator[_Desk, None, None]:
    loaded = flags.load()
    settings = loaded.settings
    if folder is None:
        folder = (loaded.file.parent if loaded.file is not None else Path()) / FOLDER
    library = load_folder(folder)
    database = open_database(settings.database.url, data_dir(settings))
    try:
        ensure_schema(database)
        store = SqlPromptStore(database)
        prompts = Prompts(library, store, language=settings.language, store_is_local=_is_local(database))
        yield _Desk(folder, prompts, store, settings.language)
    finally:
        database.close()


def _is_local(database: Database) -> bool:
    host = database.engine.url.host
    return database.kind == "sqlite" or host is None or is_loopback_host(host)


def _wish(reference: str, language: Language | None, audience: Audience) -> Wish:
    try:
        read = Reference.parse(reference)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return Wish(read.name, read.wanted, language, audience)


def _read_all(prompt: Prompt, told: Iterable[str]) -> dict[str, Value]:
    """The values of ``name=value`` texts, by type."""
    values: dict[str, Value] = {}
    for one in told:
        name, equals, text = one.partition("=")
        variable = prompt.variable(name)
        if not equals:
            raise ConfigError("--var: expected name=value")
        if variable is None:
            known = ", ".join(known.name for known in prompt.variables) or "none"
            raise PromptValueError(prompt.name, name[:80], f"there is no such variable; there is: {known}")
        try:
            values[name] = read(variable, text)
        except ValueError as error:
            raise PromptValueError(prompt.name, name, str(error)) from None
    return values


def _line(desk: _Desk, name: str) -> Json:
    found = desk.prompts.library.prompts(name)
    experiment = desk.prompts.library.experiment_on(name)
    return {
        "name": name,
        "versions": desk.prompts.library.versions(name),
        "languages": sorted({one.language for one in found}),
        "labels": desk.prompts.labels(name),
        "experiment": None if experiment is None else experiment.name,
        "description": found[-1].description,
    }


def _as_json(prompt: Prompt, digest: str, pinned: VersionRecord | None) -> Json:
    return {
        "name": prompt.name,
        "version": prompt.version,
        "language": prompt.language,
        "file": prompt.file,
        "description": prompt.description,
        "role": prompt.role,
        "label": str(prompt.label),
        "digest": digest,
        "used_digest": None if pinned is None else pinned.digest,
        "variables": [_variable(one) for one in prompt.variables],
        "parts": [{"speaker": part.speaker, "body": part.body} for part in prompt.parts],
        "fragments": dict(prompt.fragments),
    }


def _variable(one: Variable) -> Json:
    return {
        "name": one.name,
        "type": one.kind,
        "required": one.default is None,
        "default": None if one.default is None else as_json(one.default),
        "description": one.description,
        "choices": list(one.choices),
        "label": str(one.label),
    }


def _variables(desk: _Desk, variables: Iterable[Variable]) -> Table:
    table = _table(desk.text(key) for key in ("variable", "type", "default", "description"))
    for one in variables:
        default = desk.text("required") if one.default is None else as_text(one.default)
        table.add_row(one.name, one.kind, default, one.description)
    return table


def _pair(
    desk: _Desk, name: str, versions: Sequence[str], language: Language | None
) -> tuple[tuple[str, list[str]], tuple[str, list[str]]]:
    """Title and lines of what is compared."""
    if len(versions) == 1:
        prompt = desk.find(f"{name}@{versions[0]}", language)
        pinned = desk.pinned(prompt)
        if pinned is None:
            raise UnknownPromptError(f"{prompt.title} was not used yet")
        used = _lines(pinned.source, pinned.fragments.items())
        return (f"{prompt.title} (database)", used), _told(prompt)
    known = [str(one) for one in desk.prompts.library.versions(name)]
    if not versions:
        versions = known[-2:]
    if len(versions) < 2:
        raise UnknownPromptError(f"prompt {name!r} has no two versions", known)
    old, new = (desk.find(f"{name}@{version}", language) for version in versions)
    return _told(old), _told(new)


def _told(prompt: Prompt) -> tuple[str, list[str]]:
    return f"{prompt.title} ({prompt.file})", _lines(prompt.source, prompt.fragments.items())


def _lines(source: str, fragments: Iterable[tuple[str, str]]) -> list[str]:
    lines = source.rstrip("\n").split("\n")
    for name, text in sorted(fragments):
        lines += [f"== {name}", *text.split("\n")]
    return lines


def _row(desk: _Desk, line: VariantStats) -> tuple[str, ...]:
    def share(value: float) -> str:
        text = f"{value * 100:.1f} %"
        return text.replace(".", ",") if desk.language == "pt-BR" else text

    return (
        line.variant,
        desk.text("gone") if line.version is None else str(line.version),
        str(line.weight),
        str(line.exposures),
        str(line.outcomes),
        str(line.successes),
        "-" if line.rate is None else share(line.rate),
        f"{share(line.low)} – {share(line.high)}",
    )


def _table(columns: Iterable[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
