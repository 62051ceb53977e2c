"""The commander over the real sandbox: what models write is mended, limited, contained."""

import asyncio
import shutil

import pytest

from coreto.crews.commander.settings import CommanderSettings
from coreto.crews.commander.tools import judged
from coreto.tools.sandbox import SandboxKind, SandboxLimits, SandboxResult, run_python
from coreto.tools.sandbox.bubblewrap import Bubblewrap

RUN = "Execute um código Python que soma números"


@pytest.fixture(scope="module")
def box():
    """Bubblewrap, where it holds."""
    sandbox = Bubblewrap()
    obstacle = asyncio.run(sandbox.obstacle()) if shutil.which("bwrap") else "bubblewrap is not installed"
    if obstacle is not None:
        pytest.skip(obstacle)

    async def run(code, **options):
        return await run_python(code, sandbox=sandbox, **options)

    return run


def test_a_failing_snippet_is_mended(bench, block, box):
    """The real traceback goes to the executor."""
    crew = bench({"executor": [block("print(sum([1, '2']))"), block("print(sum([1, 2]))")]}, sandbox=box)
    result = crew.ask(RUN)
    assert (result.plan[0].status, result.plan[0].output, result.plan[0].rounds) == ("done", "3\n", 2)
    assert "TypeError: unsupported operand" in crew.prompt(1)
    assert 'File "main.py", line 1' in crew.prompt(1)


def test_an_endless_loop_is_limited(bench, block, box):
    """It ends at its limit in every round, and is called that."""
    crew = bench(
        {"executor": [block(f"n = {n}\nwhile True: n += 1") for n in range(3)]},
        sandbox=box,
        settings=CommanderSettings(limits=SandboxLimits(cpu_seconds=0.2), most_rounds=2),
    )
    (step,) = crew.ask(RUN).plan
    assert (step.status, step.rounds) == ("failed", 2)
    assert step.error == "encerrado pelo limite de tempo de CPU"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import urllib.request\nurllib.request.urlopen('http://192.0.2.1/')", "não há rede"),
        ("import socket\nsocket.create_connection(('example.com', 80))", "não há rede"),
        ("print(open('/etc/passwd').read())", "nada fora da pasta"),
        ("open('/usr/bin/evil', 'w')", "nada fora da pasta"),
        ("import os\nos.remove('/usr/bin/env')", "nada fora da pasta"),
    ],
)
def test_a_hostile_snippet_is_contained(bench, block, box, code, said):
    """It fails, is called contained, and is not turned into a success that it never was."""
    crew = bench(
        {"executor": [block(code), block(f"{code}\nprint(2)")]},
        sandbox=box,
        settings=CommanderSettings(most_rounds=2),
    )
    result = crew.ask(RUN)
    (step,) = result.plan
    assert (step.status, result.ok) == ("failed", False)
    assert said in step.error
    assert "contido pela sandbox" in step.error
    assert step.exit_code != 0


def test_files_of_the_real_sandbox(bench, block, plan, box):
    """What a step writes is there for the next one."""
    crew = bench(
        {
            "brain": [plan(("code", "write"), ("execution", "read"))],
            "executor": [
                block("import os\nos.makedirs('data')\nopen('data/a.csv', 'w').write('1,2')"),
                block("print(open('data/a.csv').read())"),
            ],
        },
        sandbox=box,
    )
    result = crew.ask("Plan a complex task and then run the code it needs")
    assert [file.name for file in result.plan[0].files] == ["data/a.csv"]
    assert result.plan[1].output == "1,2\n"


def outcome(stderr="", exit_code=1, limit=None):
    return SandboxResult(SandboxKind.BUBBLEWRAP, "", stderr, exit_code, 0.0, limit)


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        (outcome(exit_code=0), None),
        (outcome("a warning\n", exit_code=0), None),
        (outcome("ValueError: x\n"), "raised"),
        (outcome("FileNotFoundError: [Errno 2] No such file or directory: 'a.txt'"), "raised"),
        (outcome("FileNotFoundError: [Errno 2] No such file or directory: '/etc/passwd'"), "blocked.files"),
        (outcome("PermissionError: [Errno 13] Permission denied: '/root'"), "blocked.files"),
        (outcome("OSError: [Errno 30] Read-only file system: '/usr/x'"), "blocked.files"),
        (outcome("OSError: [Errno 101] Network is unreachable"), "blocked.network"),
        (outcome("PermissionError: [Errno 1] Operation not permitted"), "blocked.system"),
        (outcome(exit_code=159), "blocked.system"),
        (outcome(exit_code=3), "error.exit"),
        (outcome("Killed", exit_code=137, limit="memory"), "limit.memory"),
    ],
)
def test_why_a_run_failed(result, problem):
    """Each way to fail is told apart by exit code, limit and the last line."""
    assert judged(result)[0] == problem
