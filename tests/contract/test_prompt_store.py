"""One suite over every prompts' store: memory, SQLite, PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from coreto.stores.database import open_database
from coreto.stores.migrate import ensure_schema
from coreto.stores.prompts import (
    ExposureRecord,
    LabelRecord,
    OutcomeRecord,
    PromptStore,
    SqlPromptStore,
    VariantCount,
    VersionRecord,
)
from coreto.stores.schema import prompt_exposures, prompt_labels, prompt_values, prompt_versions
from coreto.testing.prompt_store import MemoryPromptStore

BRIEF = VersionRecord(
    "brief", 2, "pt-BR", "aa" * 32, "+++\n…\n+++\nOlá\n", {"tone.txt": "Seja breve."}, 1_700_000_000_000
)
MET = ExposureRecord("tone", "s1", "warm", "bb" * 32, 1_700_000_000_000)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request, tmp_path) -> PromptStore:
    """An empty store."""
    if request.param == "memory":
        yield MemoryPromptStore()
        return
    url = "sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = open_database(url, tmp_path)
    ensure_schema(database)
    with database.write() as connection:
        for table in (prompt_versions, prompt_labels, prompt_values, prompt_exposures):
            connection.execute(table.delete())
    yield SqlPromptStore(database)
    database.close()


def test_the_first_content_of_a_version_stays(store) -> None:
    """Pinning again answers what was pinned first, every field of it."""
    assert store.pin(BRIEF) == BRIEF
    assert store.pin(replace(BRIEF, digest="cc" * 32, source="other", fragments={})) == BRIEF
    assert store.versions("brief") == [BRIEF]


def test_versions_and_languages_are_pinned_apart(store) -> None:
    """Each language of each version has its own content; they come in order."""
    english = replace(BRIEF, language="en", digest="dd" * 32)
    tenth = replace(BRIEF, version=10)
    other = replace(BRIEF, name="another")
    for one in (tenth, BRIEF, other, english):
        store.pin(one)
    assert store.versions("brief") == [english, BRIEF, tenth]
    assert store.versions() == [other, english, BRIEF, tenth]
    assert store.versions("nothing") == []


def test_labels_move(store) -> None:
    """A label stands on one version at a time, of each prompt its own."""
    store.move(LabelRecord("brief", "production", 1, 5))
    store.move(LabelRecord("brief", "canary", 2, 6))
    store.move(LabelRecord("another", "production", 7, 7))
    store.move(LabelRecord("brief", "production", 2, 8))
    assert store.labels("brief") == [
        LabelRecord("brief", "canary", 2, 6),
        LabelRecord("brief", "production", 2, 8),
    ]
    assert len(store.labels()) == 3


def test_values_are_a_users_and_a_prompts(store) -> None:
    """JSON of any kind survives; a value set again replaces, None forgets, and nobody else's is touched."""
    told = {"audience": "mães 👶", "budget": "150.50", "tags": ["a", "b"], "on": False, "n": 0, "odd": "\x00"}
    store.set_values("ana", "brief", told, 1)
    store.set_values("ana", "another", {"n": 5}, 1)
    store.set_values("bob", "brief", {"n": 7}, 1)
    assert store.values("ana", "brief") == told
    store.set_values("ana", "brief", {"n": 3, "odd": None, "never": None, "tags": None}, 2)
    assert store.values("ana", "brief") == {"audience": "mães 👶", "budget": "150.50", "on": False, "n": 3}
    assert store.values("ana", "another") == {"n": 5}
    assert store.values("bob", "brief") == {"n": 7}
    assert store.values("eve", "brief") == {}


def test_the_first_exposure_stays(store) -> None:
    """Who has met a variant keeps it, whatever is noted later."""
    assert store.exposure("tone", "s1") is None
    assert store.expose(MET) == MET
    assert store.expose(replace(MET, variant="plain", first_ms=9)) == MET
    assert store.exposure("tone", "s1") == MET
    assert store.exposure("other", "s1") is None


def test_outcomes_need_an_exposure_and_the_last_counts(store) -> None:
    """An outcome of nobody is refused; one that is told again replaces; names keep them apart."""
    assert not store.measure(OutcomeRecord("tone", "s1", "clicked", True, 1))
    store.expose(MET)
    assert store.measure(OutcomeRecord("tone", "s1", "clicked", True, 1))
    assert store.counts("tone", "clicked") == [VariantCount("warm", 1, 1, 1)]
    assert store.measure(OutcomeRecord("tone", "s1", "clicked", False, 2))
    assert store.counts("tone", "clicked") == [VariantCount("warm", 1, 1, 0)]
    assert store.counts("tone", "bought") == [VariantCount("warm", 1, 0, 0)]


def test_counts_are_per_variant(store) -> None:
    """Every exposure counts once, with or without an outcome."""
    for number in range(10):
        variant = "warm" if number < 6 else "plain"
        store.expose(ExposureRecord("tone", f"s{number}", variant, "bb" * 32))
        store.expose(ExposureRecord("other", f"s{number}", variant, "bb" * 32))
        if number % 2:
            store.measure(OutcomeRecord("tone", f"s{number}", "clicked", number < 5))
            store.measure(OutcomeRecord("tone", f"s{number}", "bought", True))
    assert store.counts("tone", "clicked") == [VariantCount("plain", 4, 2, 0), VariantCount("warm", 6, 3, 2)]
    assert store.counts("none", "clicked") == []


def test_a_user_is_forgotten(store) -> None:
    """Values, exposures and outcomes go; those of others stay."""
    store.set_values("ana", "brief", {"a": 1, "b": 2}, 1)
    store.set_values("bob", "brief", {"a": 3}, 1)
    store.expose(MET)
    store.expose(replace(MET, subject="s2"))
    store.measure(OutcomeRecord("tone", "s1", "clicked", True))
    assert store.forget("ana", "s1") == 3
    assert store.values("ana", "brief") == {}
    assert store.values("bob", "brief") == {"a": 3}
    assert store.counts("tone", "clicked") == [VariantCount("warm", 1, 0, 0)]
    assert store.forget("ana", "s1") == 0


def test_many_at_once_agree(store) -> None:
    """Of many that pin and expose at the same moment, all see the same first one."""
    with ThreadPoolExecutor(4) as pool:
        pinned = list(pool.map(lambda n: store.pin(replace(BRIEF, digest=f"{n:064}")), range(12)))
        met = list(pool.map(lambda n: store.expose(replace(MET, variant=f"v{n}")), range(12)))
    assert len({one.digest for one in pinned}) == 1
    assert len({one.variant for one in met}) == 1
