"""Prompts over a store and a folder: who gets which version, what is kept and what is counted."""

import pytest

from coreto.labels import Label
from coreto.prompts.errors import PromptError, PromptValueError, UnknownPromptError
from coreto.prompts.experiments import Audience, assign
from coreto.prompts.files import load_folder
from coreto.prompts.library import Library
from coreto.prompts.names import Reference
from coreto.prompts.service import Prompts, Wish
from coreto.stores.errors import StoreDownError
from coreto.stores.prompts import ExposureRecord
from coreto.testing.clock import VirtualClock
from coreto.testing.prompt_store import MemoryPromptStore

ANA, BOB = Audience(user="ana"), Audience(session="bob")
EXPERIMENT = '[tone]\nprompt = "brief"\n[tone.variants]\nplain = 1\nwarm = { version = 2, weight = 3 }\n'


def write(folder, version: int, language: str = "pt-BR", body: str | None = None, head: str = "") -> None:
    text = f'+++\nname = "brief"\nversion = {version}\nlanguage = "{language}"\n{head}+++\n{body or f"v{version} {language}"}\n'
    (folder / f"brief.{language}.v{version}.prompt").write_text(text, encoding="utf-8")


@pytest.fixture
def store() -> MemoryPromptStore:
    return MemoryPromptStore()


@pytest.fixture
def folder(tmp_path):
    """Versions 1 and 2 in both languages, 3 in English."""
    for version, language in ((1, "pt-BR"), (1, "en"), (2, "pt-BR"), (2, "en"), (3, "en")):
        write(tmp_path, version, language)
    return tmp_path


def prompts(folder, store, **options) -> Prompts:
    return Prompts(load_folder(folder), store, clock=VirtualClock(), **options)


def test_versions_labels_and_languages(folder, store) -> None:
    """Production where it stands, else the latest in the language; a named version falls back to the other language."""
    service = prompts(folder, store)
    assert service.render(Wish("brief")).text == "v2 pt-BR"
    assert service.render(Wish("brief", language="en")).text == "v3 en"
    assert service.render(Wish("brief", 1)).text == "v1 pt-BR"
    other = service.render(Wish("brief", 3))
    assert (other.text, other.language, other.asked) == ("v3 en", "en", "pt-BR")
    service.move("brief", "production", 1)
    assert service.render(Wish("brief")).text == "v1 pt-BR"
    assert service.render(Wish("brief", "latest", "en")).text == "v3 en"
    service.move("brief", "production", 2)
    assert service.labels("brief") == {"production": 2}
    assert service.render(Wish("brief")).version == 2


@pytest.mark.parametrize(
    ("label", "version", "words"),
    [
        ("latest", 1, "nobody moves it"),
        ("12", 1, "would be a version"),
        ("A b", 1, "cannot be a name"),
        ("x", 9, "no version 9"),
    ],
)
def test_labels_that_cannot_be(folder, store, label, version, words) -> None:
    """A label stands on a version that is there, and has a name of its own."""
    with pytest.raises(PromptError, match=words):
        prompts(folder, store).move("brief", label, version)
    assert store.labels() == []


def test_a_version_in_use_never_changes(folder, store) -> None:
    """Until its first use a file may be edited; afterwards a change needs a new version, in each language apart."""
    prompts(folder, store).preview(Wish("brief", 1))
    write(folder, 1, body="edited")
    assert prompts(folder, store).render(Wish("brief", 1)).text == "edited"
    write(folder, 1, body="edited again")
    with pytest.raises(PromptError, match=r"brief.pt-BR.v1.prompt:1: .*a change needs a new version"):
        prompts(folder, store).render(Wish("brief", 1))
    write(folder, 1, "en", body="edited")
    assert prompts(folder, store).render(Wish("brief", 1, "en")).text == "edited"
    write(folder, 1, body="edited", head='description = "is no content"\n')
    assert prompts(folder, store).render(Wish("brief", 1)).text == "edited"
    assert [one.digest == two.digest for one in store.versions() for two in store.versions()].count(True) == 2


def test_users_have_values_of_their_own(folder, store) -> None:
    """Stored values come before defaults and after the caller's, and are nobody else's."""
    head = '[variables]\nwho = "você"\nbudget = { type = "number", default = 2.00, min = 0 }\n'
    write(folder, 2, body="{{ who }} {{ budget }}", head=head)
    service = prompts(folder, store)
    service.set_values("ana", "brief", {"who": "Ana", "budget": "150.50"})
    assert service.render(Wish("brief", audience=ANA)).text == "Ana 150.50"
    assert service.render(Wish("brief", audience=ANA), {"who": "Bia"}).text == "Bia 150.50"
    assert service.render(Wish("brief", audience=BOB)).text == "você 2.00"
    service.set_values("ana", "brief", {"budget": None})
    assert service.values("ana", "brief") == {"who": "Ana"}
    for values, words in (({"budget": -1}, "expected 0 or more"), ({"x": 1}, "no such variable")):
        with pytest.raises(PromptValueError, match=words):
            service.set_values("ana", "brief", {"who": "Bia", **values})
    assert service.values("ana", "brief") == {"who": "Ana"}


def test_a_stored_value_that_fits_no_more_is_named(folder, store) -> None:
    """A new version may want another type: the old value is ignored and told, and does not stop the user."""
    store.set_values("ana", "brief", {"n": "many"}, 1)
    write(folder, 2, body="{{ n }}", head="[variables]\nn = 3\n")
    one = prompts(folder, store).render(Wish("brief", audience=ANA))
    assert (one.text, one.ignored) == ("3", ("n",))


def test_private_values_stay_on_this_machine(folder, store) -> None:
    """They make the prompt private, and are not kept in a database elsewhere."""
    write(folder, 2, body="{{ who }}", head='[variables]\nwho = { type = "string", label = "private" }\n')
    here = prompts(folder, store)
    here.set_values("ana", "brief", {"who": "Ana"})
    assert here.render(Wish("brief", audience=ANA)).label == Label.PRIVATE
    away = prompts(folder, MemoryPromptStore(), store_is_local=False)
    with pytest.raises(PromptValueError, match="another machine"):
        away.set_values("ana", "brief", {"who": "Ana"})
    assert away.values("ana", "brief") == {}


def test_variants_are_sticky_and_counted_once(folder, store) -> None:
    """Everybody keeps its variant, whatever happens to the weights, and counts as one exposure."""
    (folder / "experiments.toml").write_text(EXPERIMENT)
    service = prompts(folder, store)
    audiences = [Audience(user=f"u{number}") for number in range(200)]
    first = [service.render(Wish("brief", audience=one)) for one in audiences]
    assert {one.experiment for one in first} == {"tone"}
    assert {(one.variant, one.version) for one in first} == {("plain", 1), ("warm", 2)}
    (folder / "experiments.toml").write_text(EXPERIMENT.replace("weight = 3", "weight = 0"))
    later = prompts(folder, store)
    assert [later.render(Wish("brief", audience=one)) for one in audiences] == first
    assert later.render(Wish("brief", audience=Audience(user="new"))).variant == "plain"
    assert sum(one.exposures for one in later.stats("brief")) == 201


def test_previews_named_versions_and_nobody_are_not_counted(folder, store) -> None:
    """Only what somebody was shown by the experiment's choice is an exposure."""
    (folder / "experiments.toml").write_text(EXPERIMENT)
    service = prompts(folder, store)
    assert service.preview(Wish("brief", audience=ANA)).variant in ("plain", "warm")
    assert service.render(Wish("brief", 1, audience=ANA)).experiment is None
    assert service.render(Wish("brief")).experiment is None
    with pytest.raises(PromptValueError):
        service.render(Wish("brief", audience=ANA), {"nothing": 1})
    assert [one.exposures for one in service.stats("tone")] == [0, 0]


def test_outcomes_are_of_those_who_met_it(folder, store) -> None:
    """Rates are per variant; who has met nothing has no outcome."""
    (folder / "experiments.toml").write_text(EXPERIMENT)
    service = prompts(folder, store)
    assert not service.measure("tone", ANA, success=True)
    assert not service.measure("tone", Audience(), success=True)
    for number in range(40):
        audience = Audience(session=str(number))
        service.render(Wish("brief", audience=audience))
        assert service.measure("brief", audience, success=number % 2 == 0)
        assert service.measure("tone", audience, success=True, outcome="liked")
    plain, warm = service.stats("tone")
    assert plain.exposures + warm.exposures == plain.outcomes + warm.outcomes == 40
    assert plain.successes + warm.successes == 20
    assert plain.low < plain.rate < plain.high
    assert [one.rate for one in service.stats("tone", "liked")] == [1.0, 1.0]
    with pytest.raises(UnknownPromptError):
        service.stats("nothing")


def test_a_variant_that_is_gone_is_drawn_anew(folder, store) -> None:
    """Who had it gets one of those that are left; its count stays where it was."""
    (folder / "experiments.toml").write_text(EXPERIMENT)
    store.expose(ExposureRecord("tone", ANA.subject, "old", "ab"))
    service = prompts(folder, store)
    drawn = service.render(Wish("brief", audience=ANA))
    assert drawn.variant == assign(service.library.experiment("tone"), ANA.subject).name
    assert [(one.variant, one.exposures) for one in service.stats("tone")] == [
        ("plain", 0),
        ("warm", 0),
        ("old", 1),
    ]


def test_a_user_is_forgotten(folder, store) -> None:
    """Values and exposures go."""
    (folder / "experiments.toml").write_text(EXPERIMENT)
    for version in (1, 2):
        write(folder, version, body="{{ who }}", head='[variables]\nwho = "você"\n')
    service = prompts(folder, store)
    service.set_values("ana", "brief", {"who": "Ana"})
    service.render(Wish("brief", audience=ANA))
    assert service.forget("ana") == 2
    assert service.values("ana", "brief") == {}
    assert sum(one.exposures for one in service.stats("tone")) == 0


class NoExposures(MemoryPromptStore):
    """A store that is full."""

    def expose(self, record: ExposureRecord) -> ExposureRecord:
        raise StoreDownError("disk full")


def test_an_exposure_that_cannot_be_counted_does_not_stop_the_prompt(folder) -> None:
    """The prompt is worth more than its count; a store that cannot be read is told."""
    (folder / "experiments.toml").write_text(EXPERIMENT)
    service = prompts(folder, NoExposures())
    assert service.render(Wish("brief", audience=ANA)).variant is not None
    broken = MemoryPromptStore()
    broken.fault = StoreDownError("gone")
    with pytest.raises(StoreDownError):
        prompts(folder, broken).render(Wish("brief", audience=ANA))


def test_folders_have_fragments_of_their_own(tmp_path, store) -> None:
    """A prompt includes what lies beside and below it; other folders and links out of it are not there."""
    inner = tmp_path / "inner"
    (inner / "parts").mkdir(parents=True)
    (tmp_path / "outer.txt").write_text("secret")
    (inner / "parts" / "tone.txt").write_text("Olá\n", encoding="utf-8")
    (inner / "link.txt").symlink_to(tmp_path / "outer.txt")
    write(inner, 1, body="{% include 'parts/tone.txt' %}!")
    assert Prompts(load_folder(tmp_path), store).render(Wish("brief")).text == "Olá!"
    for name in ("outer.txt", "../outer.txt", "link.txt", str(tmp_path / "outer.txt")):
        write(inner, 1, body=f"{{% include '{name}' %}}")
        with pytest.raises(PromptError, match=r"there is: parts/tone.txt"):
            load_folder(tmp_path)
    with pytest.raises(PromptError, match="no such folder"):
        load_folder(tmp_path / "none")


def test_a_folders_mistakes_name_the_file(tmp_path) -> None:
    """Not UTF-8, too long, twice the same: the file is named."""
    write(tmp_path, 1)
    path = tmp_path / "x.prompt"
    for content, words in ((b"+++\n\xff", "x.prompt:2: not UTF-8"), (b"a" * 300_000, "longer than")):
        path.write_bytes(content)
        with pytest.raises(PromptError, match=words):
            load_folder(tmp_path)
    path.write_bytes((tmp_path / "brief.pt-BR.v1.prompt").read_bytes())
    with pytest.raises(PromptError, match=r"x.prompt:1: brief@1.pt-BR is in .*v1.prompt already"):
        load_folder(tmp_path)


def test_references() -> None:
    """A name, with a version or a label after an @."""
    assert Reference.parse("brief") == Reference("brief")
    assert Reference.parse("brief@2") == Reference("brief", 2)
    assert Reference.parse("brief@canary") == Reference("brief", "canary")
    for text in ("", "@2", "brief@", "Brief", "brief@a b", "brief@²", "a/b"):
        with pytest.raises(ValueError, match="cannot be"):
            Reference.parse(text)


def test_an_empty_library_knows_nothing(store) -> None:
    """Without prompts everything is unknown, and told as such."""
    with pytest.raises(UnknownPromptError, match="there is: none"):
        Prompts(Library(), store).render(Wish("brief"))
