"""What kind of run a request is."""

import pytest

from coreto.crews.commander.decision import MODES, Decision, decide, given_code
from coreto.routing.tasks import detect_task, detect_task_quickly

VERBATIM = [
    ("Planeje uma tarefa complexa e depois execute o código necessário", "plan_execute"),
    ("Planeje um fluxo completo de edição de vídeo no After Effects", "plan"),
    ("Execute um código Python que soma números", "execution"),
    ("Crie um script Python que soma números", "code"),
    ("Analise e planeje uma solução", "plan"),
    ("Planeje e execute uma tarefa complexa", "plan_execute"),
    ("Plan a complex task and then run the code it needs", "plan_execute"),
]

OTHERS = [
    # talk and facts
    ("What is the capital of France?", "plain", "brain"),
    ("oi, tudo bem?", "plain", "brain"),
    ("Quanto é 2+2?", "plain", "brain"),
    ("Qual é a diferença entre TCP e UDP?", "plain", "brain"),
    ("Write a haiku about the sea", "plain", "brain"),
    ("Escreva um poema sobre o mar", "plain", "brain"),
    # reasoning without a plan
    ("Analyse the pros and cons of microservices", "plain", "brain"),
    # a go-ahead for nothing
    ("execute", "plain", "brain"),
    ("Pode executar", "plain", "brain"),
    # one screen
    ("Create a login screen in HTML", "plain", "ui"),
    ("Crie uma tela de login em HTML", "plain", "ui"),
    ("Desenhe um botão em CSS", "plain", "ui"),
    # about code, or in what is not run here
    ("Explain this traceback: KeyError 'a'", "plain", "executor"),
    ("Como faço para rodar um script Python?", "plain", "executor"),
    ("How do I run a Python script?", "plain", "executor"),
    ("Write a bash script to delete temp files", "plain", "executor"),
    ("Crie um script em bash que apaga arquivos temporários", "plain", "executor"),
    ("Write a JavaScript function to debounce", "plain", "executor"),
    ("Generate a JSON with 3 users", "plain", "executor"),
    # Python, written and tried
    ("Write a Python function that reverses a string", "code", None),
    ("Can you write a Python function that reverses a string?", "code", None),
    ("Refatore esta função: def f(x): return x", "code", None),
    ("Fix this code: for i in range(10) print(i)", "code", None),
    # run
    ("Write and run a Python script that prints primes up to 50", "execution", None),
    ("Escreva e execute um script que lista os primos até 50", "execution", None),
    ("Rode um código que calcula o fatorial de 20", "execution", None),
    ("Run Python code that computes 20!", "execution", None),
    # plans
    ("Plan a trip to Lisbon for five days", "plan", None),
    ("Faça um plano de estudos de 3 meses para aprender inglês", "plan", None),
    # plans and work
    ("Plan the migration of our database, then write the script and run it", "plan_execute", None),
    ("Planeje a migração do banco, depois escreva o script e execute-o", "plan_execute", None),
    ("Plan a REST API; implement it; test it", "plan_execute", None),
    ("Primeiro planeje, depois escreva o código e por fim execute", "plan_execute", None),
    ("Design a dashboard, then write the code for it", "plan_execute", None),
]


def decided(text, fallback="pt-BR"):
    return decide(text, detect_task_quickly(text), fallback)


@pytest.mark.parametrize(("text", "mode"), VERBATIM)
@pytest.mark.parametrize("detect", [detect_task, detect_task_quickly])
def test_the_examples_of_the_earlier_designs(text, mode, detect):
    """Each example is the kind of run that it says, with the embedder and without."""
    assert decide(text, detect(text), "pt-BR").mode == mode


@pytest.mark.parametrize(("text", "mode", "role"), OTHERS)
def test_others(text, mode, role):
    """Requests of all kinds in both languages."""
    found = decided(text)
    assert found.mode == mode
    assert role is None or found.role == role


@pytest.mark.parametrize(
    "text",
    [
        "Send an email to Ana with the report",
        "Envie um e-mail para a Ana",
        "Pause a campanha de verão",
        "Baixe o arquivo do site e conte as linhas",
    ],
)
def test_what_no_sandbox_can_do(text):
    """To touch the world outside is answered plainly, and marked."""
    found = decided(text)
    assert found.mode == "plain"
    assert found.outside


def test_writing_and_running_is_one_step():
    """The steps that the request names are the work; to write and to run code are one."""
    found = decided("Plan the migration, then write the script and run it")
    assert [step.kind for step in found.work] == ["execution"]
    assert "run it" in found.work[0].text
    found = decided("Design a dashboard, then write the code for it")
    assert [step.kind for step in found.work] == ["ui", "code"]


def test_the_language_is_the_request_s():
    """The answer's language is the request's; the settings' where it shows none."""
    assert decided("Execute um código Python que soma números").language == "pt-BR"
    assert decided("Run Python code that adds numbers").language == "en"
    assert decided("👍", "en").language == "en"
    assert decided("👍", "pt-BR").language == "pt-BR"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Execute:\n```python\nprint(1)\n```", "print(1)"),
        ("Run this:\n```\nx = 1\nprint(x)\n```", "x = 1\nprint(x)"),
        ("Execute este código: print(1+1)", "print(1+1)"),
        ("run: `print(2)`", "print(2)"),
        ("Run this:\n```python\nprint(1/0\n```", "print(1/0"),  # broken, but said to be Python
        ("Run this:\n```\nnot code at all\n```", None),
        ("Run this:\n```bash\nls\n```", None),
        ("Fix and run:\n```python\nprint(1/0)\n```", None),
        ("Execute um código Python que soma números", None),
        ("Run: something", None),
    ],
)
def test_code_that_comes_along(text, code):
    """A program in the request is found; one that shall be mended first is the coder's."""
    assert given_code(text) == code


@pytest.mark.parametrize("text", [text for text, _ in VERBATIM] + ["Execute: print(1)"])
def test_decisions_survive_json(text):
    """A decision is the same after JSON."""
    found = decided(text)
    assert found.mode in MODES
    assert Decision.from_json(found.as_json()) == found
