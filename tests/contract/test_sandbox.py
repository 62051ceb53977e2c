"""One suite over every sandbox: bubblewrap, the interpreter, and the fake that trusts; then what only a whole
Python can do."""

import asyncio
import sys
import textwrap
import time

import pytest

from coreto.errors import InvalidRequestError
from coreto.testing.sandbox import TrustingSandbox
from coreto.tools.sandbox import (
    Job,
    SandboxKind,
    SandboxLimits,
    SandboxRefusedError,
    run_python,
    run_shell,
)
from coreto.tools.sandbox.bubblewrap import Bubblewrap
from coreto.tools.sandbox.interpreter import Interpreter
from coreto.tools.sandbox.jobs import MIB

MAKERS = {"bubblewrap": Bubblewrap, "interpreter": Interpreter, "trusting": TrustingSandbox}
TIGHT = SandboxLimits(
    cpu_seconds=0.5,
    memory_bytes=64 * MIB,
    output_bytes=4096,
    files_bytes=MIB,
    files_count=20,
    wall_seconds=20,
)


def holding(name):
    """The sandbox of that name, where it holds."""
    sandbox = MAKERS[name]()
    obstacle = asyncio.run(sandbox.obstacle())
    if obstacle is not None:
        pytest.skip(obstacle)
    return sandbox


@pytest.fixture(scope="module", params=list(MAKERS))
def sandbox(request):
    """Each sandbox that holds here."""
    return holding(request.param)


@pytest.fixture(scope="module")
def real(sandbox):
    """Each that is more than a fake."""
    if isinstance(sandbox, TrustingSandbox):
        pytest.skip("the fake runs code in this process")
    return sandbox


@pytest.fixture(scope="module")
def whole():
    """The one with a whole Python."""
    return holding("bubblewrap")


def python(sandbox, code, **options):
    return asyncio.run(run_python(textwrap.dedent(code), sandbox=sandbox, **options))


def test_prints_come_back(sandbox):
    """Both streams come back apart, the exit code is 0, and nothing else is said."""
    result = python(sandbox, "import sys\nprint('out', 1 + 1)\nprint('err', file=sys.stderr)")
    assert (result.stdout, result.stderr, result.exit_code) == ("out 2\n", "err\n", 0)
    assert (result.limit_hit, dict(result.files), result.left_out, result.ok) == (None, {}, (), True)
    assert result.kind is sandbox.kind
    assert 0 <= result.seconds < 5


def test_an_error_is_a_traceback(sandbox):
    """Code that fails has exit code 1 and a traceback that names its own file and line, and ends in the error."""
    result = python(sandbox, "def half(x):\n    return x / 0\n\nprint('so far')\nhalf(3)\n")
    assert (result.exit_code, result.limit_hit, result.ok) == (1, None, False)
    assert result.stdout == "so far\n"
    lines = result.stderr.strip().splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert 'File "main.py", line 5' in result.stderr
    assert 'File "main.py", line 2' in result.stderr
    assert "return x / 0" in result.stderr
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_a_syntax_error_is_said(sandbox):
    """Code that is no Python fails with the place, and none of it runs."""
    result = python(sandbox, "print('not run')\nx = (\n")
    assert (result.stdout, result.exit_code) == ("", 1)
    assert 'File "main.py", line ' in result.stderr
    assert "SyntaxError" in result.stderr


def test_unicode_goes_in_and_comes_out(sandbox):
    """Text of every script survives, in code, output and files."""
    text = "ação — 日本語 🎬 \u0000".replace("\u0000", "")
    result = python(
        sandbox, f"print({text!r})\nprint(len(open('é.txt').read()))", files={"é.txt": text.encode()}
    )
    assert result.stdout == f"{text}\n{len(text)}\n"


def test_what_is_no_text_does_not_break_it(sandbox):
    """A lone surrogate in the code, as a broken model may write, is replaced and not an error of ours."""
    assert python(sandbox, "print('a\ud800b')").stdout == "a?b\n"


def test_files_go_in_and_changed_ones_come_out(sandbox):
    """Given files can be read; of all files those that are new or changed come back, as bytes."""
    given = {"same.txt": b"same", "data/in.csv": b"a,b\n1,2\n", "old.txt": b"old"}
    result = python(
        sandbox,
        """
        rows = open('data/in.csv').read().splitlines()
        with open('old.txt', 'w') as file:
            file.write('new')
        with open('sum.bin', 'wb') as file:
            file.write(str(len(rows)).encode())
        print(open('same.txt').read())
        """,
        files=given,
    )
    assert result.stdout == "same\n", result.stderr
    assert dict(result.files) == {"old.txt": b"new", "sum.bin": b"2"}


def test_a_file_that_is_not_there(sandbox):
    """A file outside of what was given is an error inside."""
    assert "FileNotFoundError" in python(sandbox, "open('missing.txt')").stderr
    assert python(sandbox, "open('/etc/passwd').read()").exit_code == 1


@pytest.mark.parametrize("name", ["../x", "/x", "a/../b", "", ".", "main.py", "a\nb", "a\\b"])
def test_names_that_lead_out_are_refused(sandbox, name):
    """Files are named inside the folder, or nothing is run."""
    with pytest.raises(InvalidRequestError):
        python(sandbox, "print(1)", files={name: b"x"})


def test_an_endless_loop_ends(sandbox):
    """Code that computes for ever is ended at its CPU limit, with what it had printed."""
    result = python(sandbox, "print('before')\nwhile True:\n    pass\n", limits=TIGHT)
    assert (result.limit_hit, result.stdout, result.ok) == ("cpu", "before\n", False)
    assert result.exit_code != 0
    assert result.seconds < 10


def test_output_is_cut(sandbox):
    """Output ends at the allowance, its beginning kept."""
    result = python(sandbox, "while True:\n    print('flood')\n", limits=TIGHT)
    assert result.limit_hit == "output"
    assert result.stdout.startswith("flood\nflood\n")
    assert len(result.stdout) == TIGHT.output_bytes


def test_too_many_bytes_of_files(sandbox):
    """Files end at the allowance."""
    code = (
        "for n in range(8):\n    with open(f'{n}.bin', 'wb') as file:\n        file.write(b'x' * 400_000)\n"
    )
    assert python(sandbox, code, limits=TIGHT).limit_hit == "files"


def test_too_many_files(sandbox):
    """So does their number."""
    code = "for n in range(50):\n    with open(f'{n}.txt', 'w') as file:\n        file.write('')\n"
    result = python(sandbox, code, limits=TIGHT)
    assert result.limit_hit == "files" or len(result.files) + len(result.left_out) == 50
    assert len(result.files) <= TIGHT.files_count


def test_memory_ends(real):
    """Memory ends at the limit."""
    result = python(real, "x = []\nwhile True:\n    x.append('a' * 1_000_000 + str(len(x)))\n", limits=TIGHT)
    assert result.limit_hit == "memory"
    assert result.exit_code != 0


def test_sleeping_ends(real):
    """Waiting ends at the wall clock's limit."""
    result = python(real, "import time\ntime.sleep(3600)\n", limits=SandboxLimits(wall_seconds=0.3))
    assert result.limit_hit == "wall"
    assert result.seconds < 5


def test_cancelling(real):
    """A run can be cancelled, and the next one is not the worse for it."""

    async def go():
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await run_python("while True:\n    pass\n", sandbox=real)
        assert time.monotonic() - started < 5
        assert (await run_python("print('next')", sandbox=real)).stdout == "next\n"

    asyncio.run(go())


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_thirty_at_once(sandbox, loop):
    """Thirty runs at the same time do not see each other, on either event loop."""
    factory = pytest.importorskip("uvloop").new_event_loop if loop == "uvloop" else None

    async def go():
        code = "print(open('mine.txt').read())\nwith open('mine.txt', 'w') as f:\n    f.write('used')\n"
        runs = (run_python(code, files={"mine.txt": str(n).encode()}, sandbox=sandbox) for n in range(30))
        return await asyncio.gather(*runs)

    with asyncio.Runner(loop_factory=factory) as runner:
        results = runner.run(go())
    assert [result.stdout for result in results] == [f"{n}\n" for n in range(30)]
    assert all(result.ok and dict(result.files) == {"mine.txt": b"used"} for result in results)


def test_what_an_interpreter_cannot_do_is_refused():
    """Shell scripts, packages and standard input are refused by what does not have them, not done halfway."""
    interpreter = Interpreter()
    for job in (Job("ls", "shell"), Job("print(1)", packages=True), Job("input()", stdin=b"x")):
        with pytest.raises(SandboxRefusedError, match="apt install bubblewrap"):
            asyncio.run(interpreter.run(job))


def test_shell_scripts_take_permission(sandbox):
    """Nobody runs a shell script without saying that it is allowed."""
    with pytest.raises(SandboxRefusedError, match="allowed=True"):
        asyncio.run(run_shell("echo hi", sandbox=sandbox))


@pytest.mark.parametrize(
    "attempt",
    [
        "print(open('/etc/passwd').read())", "print(open('../../etc/passwd').read())", "import os\nprint(os.listdir('/etc'))",
        "import os\nprint(os.environ['PATH'])", "import subprocess\nprint(subprocess.run(['id']))", "import ctypes\nprint(1)",
        "import socket\nprint(1)", "import importlib\nprint(1)", "print(__import__('subprocess'))", "import os\nprint(os.system('id'))",
        "import os\nprint(os.fork())", "import sys\nprint(sys.modules['os'].system)", "print(print.__globals__)",
        "print([c for c in ().__class__.__base__.__subclasses__()])", "def f():\n    f()\nf()\nprint(1)",
        'exec("import os; print(os.getcwd() and os.kill)")', "import pathlib\nprint(pathlib.Path('/etc/passwd').read_text())",
        "import pathlib\nprint(list(pathlib.Path('/proc').iterdir()))",
    ],
)  # fmt: skip
def test_the_interpreter_has_no_way_out(attempt):
    """Nothing of the machine can be named in the interpreter: files, environment, modules that reach out."""
    result = python(holding("interpreter"), attempt)
    assert (result.stdout, result.exit_code) == ("", 1)


# What only a whole Python can do


def test_standard_library(whole):
    """The standard library is there, compiled modules too, and code may start processes, threads and loops."""
    result = python(
        whole,
        """
        import asyncio, csv, ctypes, decimal, hashlib, json, math, random, re, sqlite3, statistics, subprocess
        import concurrent.futures, multiprocessing, tempfile, threading, unittest, zoneinfo
        async def one():
            await asyncio.sleep(0)
            return 1
        def square(x):
            return x * x
        if __name__ == "__main__":
            print(asyncio.run(one()))
            print(subprocess.run(["sh", "-c", "echo two"], capture_output=True, text=True).stdout, end="")
            with concurrent.futures.ThreadPoolExecutor(3) as pool:
                print(sum(pool.map(square, [1, 1, 1])))
            with multiprocessing.get_context("fork").Pool(2) as pool:
                print(sum(pool.map(square, [2, 0])))
            with tempfile.NamedTemporaryFile("w") as file:
                print(file.write("12345"))
            print(sqlite3.connect("db.sqlite").execute("select 6").fetchone()[0])
            exit(0)
        """,
    )
    assert (result.stdout, result.stderr, result.ok) == ("1\ntwo\n3\n4\n5\n6\n", "", True)


def test_standard_input(whole):
    """Standard input is what was given, as much as a pipe would not hold, and empty otherwise."""
    big = b"x" * (1 << 20)
    assert python(whole, "import sys; print(len(sys.stdin.read()))", stdin=big).stdout == f"{1 << 20}\n"
    assert python(whole, "import sys; print(repr(sys.stdin.read()))").stdout == "''\n"
    assert python(whole, "print(input() + input())", stdin=b"a\nb\n").stdout == "ab\n"


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("import sys; sys.exit(3)", 3),
        ("raise SystemExit('words')", 1),
        ("exit()", 0),
        ("import os; os._exit(255)", 255),
        ("import os; os.abort()", 134),
        ("import os; os.kill(os.getpid(), 15)", 143),
        ("import ctypes; ctypes.string_at(1)", 139),
    ],
)
def test_exit_codes(whole, code, exit_code):
    """An exit code is that of the code, or 128 + n where signal n ended it."""
    result = python(whole, code)
    assert (result.exit_code, result.limit_hit) == (exit_code, None)


def test_modules_of_its_own(whole):
    """The code can import modules that it was given, and a traceback through Python's own is short."""
    result = python(
        whole,
        "import helper.tools\nhelper.tools.parse()",
        files={
            "helper/__init__.py": b"",
            "helper/tools.py": b"import json\n\ndef parse():\n    json.loads('{')\n",
        },
    )
    assert 'File "main.py", line 2' in result.stderr
    assert 'File "helper/tools.py", line 4' in result.stderr
    assert 'File "<python>/json/__init__.py"' in result.stderr
    assert sys.base_prefix not in result.stderr
    assert dict(result.files) == {}


def test_packages_are_there_when_asked_for(whole):
    """A package installed beside this Python is hidden, and visible but read-only with ``packages``."""
    code = "import orjson; print(orjson.dumps([1]).decode())"
    assert "ModuleNotFoundError" in python(whole, code).stderr
    assert python(whole, code, packages=True).stdout == "[1]\n"
    write = "import orjson, os; open(os.path.join(os.path.dirname(orjson.__file__), 'x'), 'w')"
    assert "OSError" in python(whole, write, packages=True).stderr


def test_shell_scripts(whole):
    """A script of the POSIX shell has the commands of the system, its files and its exit code."""

    def shell(script, **options):
        return asyncio.run(run_shell(script, allowed=True, sandbox=whole, **options))

    result = shell("sort in.txt | tee out.txt; exit 4", files={"in.txt": b"b\na\n"})
    assert (result.stdout, result.exit_code, dict(result.files)) == ("a\nb\n", 4, {"out.txt": b"a\nb\n"})
    assert shell("tr a-z A-Z", stdin=b"loud").stdout == "LOUD"
    assert "not found" in shell("no-such-command").stderr
    # a text that a command line built from it would run
    assert shell("echo '$(id)' \"; echo pwned\"").stdout == "$(id) ; echo pwned\n"


def test_streams_can_be_opened_by_name(whole):
    """``/dev/stdout`` and its likes are there, as scripts use them."""
    script = (
        "echo out > /dev/stdout; echo err > /dev/stderr; cat < /dev/stdin > /dev/fd/1; echo gone > /dev/null"
    )
    result = asyncio.run(run_shell(script, allowed=True, stdin=b"in\n", sandbox=whole))
    assert (result.stdout, result.stderr) == ("out\nin\n", "err\n")


def test_big_results(whole):
    """Results of many megabytes come back whole."""
    limits = SandboxLimits(output_bytes=8 * MIB)
    result = python(
        whole, "open('big', 'wb').write(b'x' * (20 << 20))\nprint('y' * (4 << 20))", limits=limits
    )
    assert (len(result.files["big"]), len(result.stdout)) == (20 * MIB, 4 * MIB + 1)


def test_kind_says_who_ran_it(whole):
    """A result says which sandbox ran the code."""
    assert python(whole, "print(1)").kind is SandboxKind.BUBBLEWRAP
