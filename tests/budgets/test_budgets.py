"""The sizes that the project keeps (DESIGN 12), read off the source."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "coreto"
MODULES = sorted(SOURCE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}

MODULE_MOST = 600
MODULE_MEDIAN = 150
FUNCTION_MOST = 60
PARAMETERS_MOST = 8

#: Where `except Exception` may stand: the edges, which must survive whatever is thrown at them.
BOUNDARIES = {
    "events.py": "an observer's fault must not fail the call it observes",
    "ledger/recorder.py": "the writer's loop must outlive a broken store",
    "server/asgi.py": "a request's unforeseen fault becomes a 500",
}


def relative(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def functions():
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{relative(path)}:{node.lineno} {node.name}", node


def test_modules_are_small():
    """No module is longer than 600 lines, and half of them are below 150."""
    lines = {relative(p): len(p.read_text(encoding="utf-8").splitlines()) for p in MODULES}
    assert {name: n for name, n in lines.items() if n > MODULE_MOST} == {}
    assert statistics.median(lines.values()) <= MODULE_MEDIAN


def test_functions_are_short():
    """No function is longer than 60 lines."""
    assert {
        name: n.end_lineno - n.lineno + 1
        for name, n in functions()
        if n.end_lineno - n.lineno >= FUNCTION_MOST
    } == {}


def test_functions_take_few_parameters():
    """No function takes more than 8 parameters; `typer` commands are their options' list and exempt."""

    def count(node):
        arguments = node.args
        names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        return len([name for name in names if name not in ("self", "cls")])

    long = {name: count(node) for name, node in functions() if count(node) > PARAMETERS_MOST}
    assert {name: n for name, n in long.items() if not name.startswith("cli/")} == {}


def test_broad_excepts_stand_at_the_edges_only():
    """`except Exception` stands in the named boundary modules only; a bare `except` nowhere."""
    found = set()
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"bare except in {relative(path)}:{node.lineno}"
                if isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"):
                    reraises = any(isinstance(n, ast.Raise) and n.exc is None for n in ast.walk(node))
                    if not reraises:
                        found.add(relative(path))
    assert found <= set(BOUNDARIES)


def test_public_surface_is_small():
    """`coreto` exports at most 20 names, and each of them is there."""
    import coreto

    assert len(coreto.__all__) <= 20
    assert all(getattr(coreto, name) is not None for name in coreto.__all__)


@pytest.mark.parametrize(
    "heavy", ["aiohttp", "pydantic", "fastapi", "sqlalchemy", "xllamacpp", "genai_prices", "rich"]
)
def test_import_is_light(heavy):
    """`import coreto` loads none of the heavy libraries; they come with what needs them."""
    code = f"import sys, coreto; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_import_has_side_effects_on_the_loop_or_the_log():
    """Importing every room neither configures logging nor makes an event loop."""
    code = "import logging, coreto.app, coreto.client, sys\nsys.exit(bool(logging.getLogger().handlers))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
