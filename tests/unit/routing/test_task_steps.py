"""Mixed requests as ordered steps."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreto.routing.tasks import TASKS, split_steps


def steps(text):
    return [(step.label, step.text) for step in split_steps(text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "Planeje uma tarefa complexa e depois execute o código necessário",
            [("planning", "Planeje uma tarefa complexa"), ("execution", "execute o código necessário")],
        ),
        (
            "Plan a complex task and then run the code it needs",
            [("planning", "Plan a complex task"), ("execution", "run the code it needs")],
        ),
        (
            "Planeje e execute uma tarefa complexa",
            [("planning", "Planeje uma tarefa complexa"), ("execution", "execute uma tarefa complexa")],
        ),
        (
            "Plan and execute the migration",
            [("planning", "Plan the migration"), ("execution", "execute the migration")],
        ),
        (
            "Primeiro planeje a campanha, depois publique os anúncios.",
            [("planning", "planeje a campanha"), ("execution", "publique os anúncios")],
        ),
        (
            "First draft a plan for the cleanup; then delete the old files",
            [("planning", "draft a plan for the cleanup"), ("execution", "delete the old files")],
        ),
        (
            "Escreva um script Python que lê o CSV e em seguida rode-o na pasta dados",
            [("code", "Escreva um script Python que lê o CSV"), ("execution", "rode-o na pasta dados")],
        ),
        (
            "Depois de planejar a campanha, publique os anúncios",
            [("planning", "planejar a campanha"), ("execution", "publique os anúncios")],
        ),
        (
            "1. Planeje a API\n2. Escreva o código em Python\n3. Envie o relatório para a Lia",
            [
                ("planning", "Planeje a API"),
                ("code", "Escreva o código em Python"),
                ("execution", "Envie o relatório para a Lia"),
            ],
        ),
        (
            "Crie um script Python que soma números e depois execute",
            [("code", "Crie um script Python que soma números"), ("execution", "execute")],
        ),
    ],
)
def test_steps_of_mixed_requests(text, wanted):
    """A request for several kinds of work becomes one step a kind, in order, in the requester's words."""
    assert steps(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "Execute um código Python que soma números",
        "Analise e planeje uma solução",
        "Envie o relatório e depois arquive a conversa",
        "If the build fails, then send me the log",
        "Me avisa depois do almoço quando o envio terminar",
        "What happened then?",
        "Oi, tudo bem? E depois, como foi?",
        "Explica esse código: if (a) then; b()",
        "Os clientes pediram e receberam o produto",
        "",
        "   ",
    ],
)
def test_steps_one_for_unmixed_requests(text):
    """A request of one kind stays whole, whatever joining words it has."""
    assert len(steps(text)) == 1
    assert steps(text)[0][1] == text.strip()


def test_steps_neighbours_of_one_kind_are_one():
    """Two orders of one kind in a row are one step, so that each step can go to one model."""
    found = steps("Planeje a faxina do banco, depois apague os registros velhos e envie o resumo ao time")
    assert [label for label, _ in found] == ["planning", "execution"]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["plan x", "planeje y", "run z", "execute w", " and then ", " e depois ", ", ", "; ", "\n", "1. ", "2) ",
             "- ", "write the code", "e", "olá", ".", "depois de ", "first "]
        ),
        max_size=14,
    ).map("".join)
)  # fmt: skip
def test_steps_are_valid_and_lose_no_order(text):
    """Steps bear valid labels, are never empty for a text that is not, and no two neighbours share a label."""
    found = split_steps(text)
    assert found
    assert all(step.label in TASKS for step in found)
    assert all(step.text for step in found) or not text.strip()
    assert all(a.label != b.label for a, b in pairwise(found))
