"""What learned escalation is worth: the gain model beside the rule alone, in worlds whose truth is known.

Each world says how likely the local model fails on a prompt. A failed local answer costs 1.0, a call to the cloud
0.2; regret is what a policy pays beyond the cheapest choice for each prompt, in expectation, per prompt. Worlds:

- ``rule``: failures follow the rule exactly, so that there is nothing to learn;
- ``topics``: they depend on the topic, which the rule does not see;
- ``noise``: they fall by chance, alike for all prompts (at three rates: 0.1, 0.25, 0.5);
- ``drift``: topics, and after half of the time others are the hard ones.

The model learns of each prompt how the local answer would have gone (``full``), or only of those that were answered
locally (``local``), as a router does that never looks back. Run: ``python benchmarks/escalation.py [--prompts N] [--seeds N]
[--json]``; everything is seeded.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from coreto.routing.gain import GainModel, escalates, rule_gain

CLOUD, FAILURE = 0.2, 1.0
THRESHOLD = CLOUD / FAILURE

#: Topic → its words, Portuguese and English.
TOPICS = {
    "taxes": (("imposto de renda", "nota fiscal", "dedução", "declaração anual"), ("income tax", "invoice", "deduction", "tax return")),
    "gardening": (("adubo", "muda de tomate", "poda", "horta"), ("fertiliser", "tomato seedling", "pruning", "vegetable bed")),
    "chess": (("abertura siciliana", "xeque-mate", "final de torres", "gambito"), ("Sicilian defence", "checkmate", "rook endgame", "gambit")),
    "cooking": (("massa fresca", "molho branco", "feijoada", "fermento"), ("fresh pasta", "white sauce", "bean stew", "yeast")),
    "astronomy": (("órbita", "eclipse lunar", "galáxia espiral", "anã branca"), ("orbit", "lunar eclipse", "spiral galaxy", "white dwarf")),
    "football": (("impedimento", "escanteio", "tabela do campeonato", "goleiro"), ("offside", "corner kick", "league table", "goalkeeper")),
    "databases": (("índice composto", "transação", "chave estrangeira", "replicação"), ("composite index", "transaction", "foreign key", "replication")),
    "travel": (("passagem aérea", "hospedagem", "roteiro de viagem", "mochila"), ("plane ticket", "lodging", "itinerary", "backpack")),
    "music": (("acorde menor", "compasso", "escala pentatônica", "violão"), ("minor chord", "time signature", "pentatonic scale", "guitar")),
    "law": (("usucapião", "contrato de aluguel", "petição inicial", "recurso"), ("adverse possession", "lease agreement", "complaint", "appeal")),
    "pets": (("ração", "vacina do gato", "passeio do cachorro", "coleira"), ("pet food", "cat vaccine", "dog walk", "collar")),
    "chemistry": (("ligação iônica", "titulação", "catalisador", "mol"), ("ionic bond", "titration", "catalyst", "mole")),
}  # fmt: skip

_FORMS = {
    "pt": (
        "O que é {a}?", "Me explica {a} em poucas palavras.", "Qual a diferença entre {a} e {b}?", "Escreva uma mensagem curta sobre {a}.",
        "Dê uma dica sobre {a}.", "Estou em dúvida com {a}. Como começo?", "Resuma o que preciso saber de {a} e {b} para amanhã.",
        "Compare {a} e {b} passo a passo, com prós e contras, e justifique a escolha. O texto deve ter no máximo 200 palavras.",
        "Analise {a}, depois planeje os próximos passos e por fim monte uma tabela com {b}. Cada linha deve ter um prazo.",
        "Calcule a probabilidade de erro em {a} e demonstre o resultado. Considere também {b}, sem usar aproximações.",
    ),
    "en": (
        "What is {a}?", "Explain {a} in a few words.", "How does {a} differ from {b}?", "Write a short note about {a}.",
        "Give me one tip on {a}.", "I am stuck with {a}. Where do I start?", "Sum up what I need to know of {a} and {b} by tomorrow.",
        "Compare {a} and {b} step by step, with pros and cons, and justify the choice. The text must have at most 200 words.",
        "Analyse {a}, then plan the next steps and finally make a table of {b}. Each row must have a deadline.",
        "Calculate the probability of an error in {a} and prove the result. Consider {b} too, without approximations.",
    ),
}  # fmt: skip
_OPENINGS = {
    "pt": ("", "", "Oi! ", "Por favor: ", "Rápido, ", "Para o curso: "),
    "en": ("", "", "Hi! ", "Please: ", "Quick one: ", "For class: "),
}
_HARD, _HARD_LATER = ("taxes", "chess", "law", "chemistry"), ("music", "travel", "chess", "pets")
_OFTEN, _SELDOM = 0.75, 0.04


@dataclass(frozen=True)
class Prompt:
    """A prompt, and how likely the local model fails on it."""

    text: str
    fails: float


Truth = Callable[[str, str, float], float]
"""A world: the topic, the text, and the time from 0 to 1, to the chance that the local answer fails."""


def _topical(topic: str, _text: str, _time: float) -> float:
    return _OFTEN if topic in _HARD else _SELDOM


def _drifting(topic: str, _text: str, time_: float) -> float:
    return _OFTEN if topic in (_HARD if time_ < 0.5 else _HARD_LATER) else _SELDOM


WORLDS: dict[str, Truth] = {
    "rule": lambda _topic, text, _time: rule_gain(text),
    "topics": _topical,
    "noise 0.1": lambda _topic, _text, _time: 0.1,
    "noise 0.25": lambda _topic, _text, _time: 0.25,
    "noise 0.5": lambda _topic, _text, _time: 0.5,
    "drift": _drifting,
}


def prompts(world: str, count: int, seed: int) -> Iterator[Prompt]:
    """``count`` prompts of ``world``, in Portuguese and English by halves."""
    rng = random.Random(f"{world} {seed}")
    for at in range(count):
        language = rng.choice(("pt", "en"))
        topic = rng.choice(sorted(TOPICS))
        first, second = rng.sample(TOPICS[topic][language == "en"], 2)
        text = rng.choice(_OPENINGS[language]) + rng.choice(_FORMS[language]).format(a=first, b=second)
        yield Prompt(text, WORLDS[world](topic, text, at / count))


@dataclass(frozen=True)
class Row:
    """A policy in a world, over all prompts and over the last half. ``accuracy``: the cheaper choice was taken;
    ``brier``: of the predicted gain against the outcomes; ``regret``: paid beyond the best, per prompt."""

    world: str
    policy: str
    accuracy: float
    brier: float | None
    cost: float
    regret: float
    regret_late: float
    cloud: float
    trust: float | None = None


class Tally:
    """Sums what a policy decides."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._seen: list[tuple[bool, float, float]] = []
        self._squares: list[float] = []

    def add(self, prompt: Prompt, *, cloud: bool, failed: bool, gain: float | None) -> None:
        """A decision, and the outcome that the local answer had or would have had."""
        paid = CLOUD if cloud else prompt.fails * FAILURE
        best = min(CLOUD, prompt.fails * FAILURE)
        self._seen.append((cloud, paid, paid - best))
        if gain is not None:
            self._squares.append((gain - failed) ** 2)

    def row(self, world: str, policy: str, trust: float | None = None) -> Row:
        """The means."""
        regrets = [regret for _, _, regret in self._seen]
        return Row(
            world, policy,
            accuracy=statistics.fmean(regret == 0.0 for regret in regrets),
            brier=statistics.fmean(self._squares) if self._squares else None,
            cost=statistics.fmean(paid for _, paid, _ in self._seen),
            regret=statistics.fmean(regrets),
            regret_late=statistics.fmean(regrets[self._count // 2 :]),
            cloud=statistics.fmean(cloud for cloud, _, _ in self._seen),
            trust=trust,
        )  # fmt: skip


def run(world: str, count: int, seed: int) -> list[Row]:
    """Every policy over the same prompts and outcomes."""
    rng = random.Random(f"outcomes {world} {seed}")
    names = ("always local", "always cloud", "rule", "model, full", "model, local", "oracle")
    tallies = {name: Tally(count) for name in names}
    models = {"model, full": GainModel(), "model, local": GainModel()}
    trusts: dict[str, list[float]] = {name: [] for name in models}
    for prompt in prompts(world, count, seed):
        failed = rng.random() < prompt.fails
        rule = rule_gain(prompt.text)
        tallies["always local"].add(prompt, cloud=False, failed=failed, gain=None)
        tallies["always cloud"].add(prompt, cloud=True, failed=failed, gain=None)
        tallies["rule"].add(prompt, cloud=escalates(rule, THRESHOLD), failed=failed, gain=rule)
        tallies["oracle"].add(prompt, cloud=prompt.fails >= THRESHOLD, failed=failed, gain=prompt.fails)
        for name, model in models.items():
            gain = model.gain(prompt.text)
            cloud = escalates(gain, THRESHOLD)
            tallies[name].add(prompt, cloud=cloud, failed=failed, gain=gain)
            trusts[name].append(model.trust)
            if name == "model, full" or not cloud:
                model.learn(prompt.text, failed)
    means = {name: statistics.fmean(values) for name, values in trusts.items()}
    return [tallies[name].row(world, name, means.get(name)) for name in names]


def averaged(rows: list[Row]) -> Row:
    """The mean over seeds of one policy in one world."""
    figures = {
        name: (
            None if rows[0].__dict__[name] is None else statistics.fmean(row.__dict__[name] for row in rows)
        )
        for name in asdict(rows[0])
        if name not in ("world", "policy")
    }
    return Row(rows[0].world, rows[0].policy, **figures)


def measure(world: str, count: int, seeds: int) -> list[Row]:
    """Every policy in ``world``, averaged over ``seeds``."""
    runs = [run(world, count, seed) for seed in range(seeds)]
    return [averaged([rows[at] for rows in runs]) for at in range(len(runs[0]))]


def speed() -> dict[str, float]:
    """Milliseconds of a prediction and of an update, mean over 400 prompts on a full model, the processor's time."""
    model = GainModel()
    for prompt in prompts("topics", 500, 0):
        model.learn(prompt.text, rule_gain(prompt.text) > 0.1)
    fresh = [prompt.text for prompt in prompts("topics", 400, 1)]
    begun = time.process_time()
    for text in fresh:
        model.gain(text)
    told = time.process_time()
    for text in fresh:
        model.learn(text, len(text) % 3 == 0)
    return {
        "predict_ms": (told - begun) / len(fresh) * 1000,
        "learn_ms": (time.process_time() - told) / len(fresh) * 1000,
        "state_bytes": float(len(json.dumps(model.as_json()))),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure learned escalation.")
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [row for world in WORLDS for row in measure(world, options.prompts, options.seeds)]
    figures = speed()
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "speed": figures}, indent=2))
        return 0
    names = list(asdict(rows[0]))
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for row in rows:
        cells = (
            "-" if v is None else f"{v:.4f}" if isinstance(v, float) else str(v) for v in asdict(row).values()
        )
        print("| " + " | ".join(cells) + " |")
    print("\n" + ", ".join(f"{name} {value:.2f}" for name, value in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
