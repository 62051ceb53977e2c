"""How much better the cloud would do: the rule, what is learned beside it, and that this never does harm."""

import importlib.util
import json
import math
import random
import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreto.routing.escalation.features import MOST, SIZE, features, pack, unpack
from coreto.routing.escalation.ridge import PENALTY, WINDOW, SlidingRidge
from coreto.routing.escalation.rule import rule_gain
from coreto.routing.gain import Gain, GainModel, escalates, trust


def load_benchmark():
    """The worlds that the benchmark measures in, here in small."""
    path = Path(__file__).parents[3] / "benchmarks" / "escalation.py"
    spec = importlib.util.spec_from_file_location("coreto_bench_escalation", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


BENCH = load_benchmark()


def taught(count=150, seed=0, world="topics"):
    """A model that has seen ``count`` outcomes."""
    model, rng = GainModel(), random.Random(seed)
    for prompt in BENCH.prompts(world, count, seed):
        model.learn(prompt.text, rng.random() < prompt.fails)
    return model


def regrets(world, count, seeds):
    rows = {row.policy: row for row in BENCH.measure(world, count, seeds)}
    return rows["rule"], rows["model, full"], rows["model, local"]


# --- the rule


@pytest.mark.parametrize(
    ("simple", "hard"),
    [
        ("oi", "Explique a teoria da relatividade passo a passo e compare com Newton."),
        ("What is the capital of Norway?", "Prove that the sum of two odd numbers is even, then derive the formula for n terms."),
        ("Traduza: bom dia", "Traduza o contrato abaixo. Cada cláusula deve manter o número, sem usar gírias, no máximo 300 palavras."),
        ("print em python", "Refatore este código e explique:\n```python\nx = 1\n```\nDeve passar nos testes unitários."),
        ("Name a fruit", "1. List fruits\n2. Compare their prices\n3. Plan a menu\n4. Write the recipe"),
        ("Bom dia, tudo bem?", "こんにちは。この契約書の問題点をすべて説明してください。"),
        ("Who are you?", "Summarise: " + "the quick brown fox jumps over the lazy dog " * 60),
        ("What is this?", "What is this? Who made it? When? Why? How does it work?"),
    ],
)  # fmt: skip
def test_gain_rule_orders_by_structure(simple, hard):
    """Long, many-parted, mathematical, constrained, foreign or coded prompts promise more gain than plain ones."""
    assert rule_gain(simple) < 0.12
    assert rule_gain(hard) > rule_gain(simple) * 2


def test_gain_rule_grows_with_length():
    """The same words more often promise no less gain."""
    gains = [rule_gain("uma frase comum sobre nada " * n) for n in (1, 3, 10, 40, 200, 2_000)]
    assert gains == sorted(gains)
    assert gains[-1] > 0.3


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=400) | st.text(max_size=20).map(lambda text: text * 300))
def test_gain_is_a_share(text):
    """Any text has a gain from 0 to 1 by the rule and by a taught model, twice the same."""
    assert 0.0 <= rule_gain(text) <= 1.0
    gain = TAUGHT.gain(text)
    assert 0.0 <= gain <= 1.0
    assert gain == TAUGHT.gain(text)


def test_gain_escalates_from_the_threshold_on():
    """A gain at the threshold is worth the cloud, one below is not."""
    assert escalates(0.2, 0.2)
    assert not escalates(0.19, 0.2)


# --- features


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_gain_features_are_bounded_and_come_back(text):
    """A vector is ordered, short, in range, and the same after it was written down."""
    vector = features(text)
    places = [place for place, _ in vector]
    assert places == sorted(set(places))
    assert all(0 <= place < SIZE for place in places)
    assert all(-127 <= value <= 127 and value for _, value in vector)
    assert len(vector) <= MOST + 9
    assert unpack(pack(vector)) == vector


def test_gain_features_do_not_depend_on_the_process():
    """Another process with another hash seed gives the same features: states outlive processes."""
    text = "Compare a abertura siciliana com o gambito, passo a passo"
    code = f"from coreto.routing.escalation.features import features, pack; print(pack(features({text!r})))"
    said = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONHASHSEED": "123"},
    )
    assert said.stdout.strip() == pack(features(text))


@pytest.mark.parametrize("text", ["!", "é", "AAA=", "//8B", "A" * 4_000])
def test_gain_features_of_garbage_are_refused(text):
    """What is no vector of this version is an error, never a vector."""
    with pytest.raises(ValueError, match="not a feature vector"):
        unpack(text)


# --- ridge


def test_gain_ridge_comes_to_the_exact_solution():
    """Gone over often enough, the window's solution fulfils the normal equations of ridge regression."""
    rng = random.Random(7)
    ridge = SlidingRidge()
    pairs = [(features(prompt.text), rng.uniform(-1, 1)) for prompt in BENCH.prompts("topics", 60, 3)]
    for vector, target in pairs:
        ridge.add(vector, target)
    for _ in range(200):
        for one in ridge.window:
            ridge._ascend(one)
    gradient = [PENALTY * value for value in ridge.solution]
    for vector, target in pairs:
        miss = ridge.tell(vector) - target
        for place, value in vector:
            gradient[place] += miss * value / 100
    assert max(map(abs, gradient)) < 1e-6


def test_gain_ridge_forgets_without_a_trace():
    """After the window has passed over, nothing is left of what stood in it before."""
    ridge = SlidingRidge()
    for _ in range(WINDOW):
        ridge.add(((3, 100),), 1.0)
    assert ridge.tell(((3, 100),)) > 0.9
    for _ in range(WINDOW):
        ridge.add(((5, 100),), 0.0)
    assert abs(ridge.tell(((3, 100),))) < 1e-9
    assert len(ridge.window) == WINDOW


# --- trust


def test_gain_trust_needs_evidence():
    """Few outcomes, useless or misleading telling, and silence all earn no trust."""
    rng = random.Random(1)
    useless = deque((rng.choice((-0.3, 0.7)), rng.uniform(-0.2, 0.2)) for _ in range(200))
    assert trust(deque([(0.9, 0.9)] * 10)) == 0.0
    assert trust(deque([(-0.5, 0.5)] * 200)) == 0.0
    assert trust(deque([(0.5, 0.0)] * 200)) == 0.0
    assert trust(useless) < 0.35


def test_gain_trust_is_full_for_what_tells_well():
    """What tells each outcome is trusted nearly wholly."""
    assert trust(deque([(0.9, 0.8), (-0.1, -0.1)] * 100)) > 0.9


# --- the model


def test_gain_model_begins_as_the_rule():
    """Before anything was learned, the gain is the rule's, and the reason says so."""
    model = GainModel()
    text = "Compare trains and planes"
    assert model.gain(text) == rule_gain(text)
    assert model.judge(text) == Gain(rule_gain(text), rule_gain(text), 0.0, 0.0)
    assert model.judge(text).reason.endswith("by length and structure")


def test_gain_model_learns_what_the_rule_cannot_see():
    """A topic on which local answers keep failing gains, one on which they do not does not."""
    model = taught(400)
    hard, easy = "What is income tax?", "What is yeast?"
    assert rule_gain(hard) < 0.12
    assert model.gain(hard) > 0.3
    assert model.gain(easy) < 0.25
    assert "by experience" in model.judge(hard).reason
    assert model.trust > 0.5


@pytest.mark.slow
def test_gain_worlds_where_nothing_can_be_learned():
    """Where outcomes follow the rule, or are noise, the model costs at most 1 % more than the rule."""
    for world in ("rule", "noise 0.1", "noise 0.25"):
        rule, full, local = regrets(world, 800, 2)
        assert full.cost <= rule.cost * 1.01, world
        assert local.cost <= rule.cost * 1.01, world


@pytest.mark.slow
def test_gain_worlds_where_something_can():
    """Where outcomes depend on topics, and after these have changed, the model's regret is far below the rule's."""
    rule, full, local = regrets("topics", 1_200, 1)
    assert full.regret < 0.45 * rule.regret
    assert full.regret_late < 0.35 * rule.regret_late
    assert local.regret < 0.75 * rule.regret
    assert full.brier < 0.8 * rule.brier
    rule, full, local = regrets("drift", 1_600, 1)
    assert full.regret < 0.55 * rule.regret
    assert full.regret_late < 0.65 * rule.regret_late
    assert local.regret < 0.85 * rule.regret


def test_gain_model_is_deterministic():
    """The same outcomes in the same order give the same model."""
    assert json.dumps(taught(60).as_json()) == json.dumps(taught(60).as_json())


TAUGHT = taught(300)


def test_gain_state_comes_back_and_goes_on():
    """A model that was written down and read again tells and learns on as if nothing had been."""
    kept = taught(WINDOW + 20)
    back = GainModel.from_json(json.loads(json.dumps(kept.as_json())))
    assert (back.trust, back.observations) == (kept.trust, kept.observations)
    for at, prompt in enumerate(BENCH.prompts("topics", 40, 9)):
        assert back.gain(prompt.text) == kept.gain(prompt.text)
        back.learn(prompt.text, at % 3 == 0)
        kept.learn(prompt.text, at % 3 == 0)
    assert back.as_json() == kept.as_json()


def test_gain_state_is_bounded_and_holds_no_text():
    """However much was learned of however long prompts, the state stays below 160 kB and quotes none of them."""
    model, rng = GainModel(), random.Random(2)
    for _ in range(WINDOW + 50):
        words = " ".join("".join(rng.choices("abcdefghijklm", k=9)) for _ in range(150))
        model.learn(words + " senhasecreta", rng.random() < 0.5)
    text = json.dumps(model.as_json())
    assert len(text) < 160_000
    assert model.observations == WINDOW
    assert "senha" not in text
    assert set(json.loads(text)) == {"version", "window", "solution", "turn", "told"}


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"version": None}, {"window": None}, {"window": [1]}, {"window": [["AAAA", 1.0]]}, {"window": [["é", 1.0, 1.0]]},
        {"window": [["", 1.0, 1.0]] * (WINDOW + 1)}, {"solution": []}, {"solution": [math.nan] * SIZE}, {"solution": ["x"] * SIZE},
        {"told": [[1]]}, {"told": [[1, 2]] * 201}, {"turn": -1}, {"turn": "x"}, {"turn": math.inf}, {"window": {"a": 1}}, {"told": 3},
    ],
    ids=str,
)  # fmt: skip
def test_gain_state_of_another_kind_is_refused(change):
    """What is no state of this version is an error that says so, whatever is wrong with it."""
    with pytest.raises(ValueError):
        GainModel.from_json({**GainModel().as_json(), **change})
    with pytest.raises(ValueError, match="not a gain model's state"):
        GainModel.from_json({})
