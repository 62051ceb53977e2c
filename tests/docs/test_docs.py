"""The documents' examples run, and their links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from coreto.settings.load import check

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]+\]\(([^)#:]+)(?:#[^)]*)?\)")


def blocks(language):
    for page in PAGES:
        for number, match in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8"))):
            if match.group(1) == language:
                yield pytest.param(match.group(2), id=f"{page.relative_to(ROOT)}-{number}")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Every relative link of a page names a file that is there."""
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [t for t in targets if not (page.parent / t).exists()] == []


@pytest.fixture
def run(tmp_path, models_dir):
    """Runs Python as a new user would: no settings, nothing but the embedded model."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CORETO_DATA_DIR": str(tmp_path / "data"),
        "CORETO_MODELS_DIR": str(models_dir),
        "CORETO_OFFLINE": "true",
    }

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.slow
@pytest.mark.parametrize("code", [b for b in blocks("python") if "# docs: " not in b.values[0]])
def test_python_examples_run(code, run):
    """Every Python example of a page runs as written, on the embedded model."""
    run("-c", code)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stream.py", "last_resort.py"])
def test_examples_run(name, run):
    """Every file in examples/ runs as written, and says who answered."""
    output = run(str(ROOT / "examples" / name))
    assert "embedded/smollm2" in output or "by rules" in output


def test_every_example_is_run():
    """No example is left out of the test above."""
    assert {p.name for p in (ROOT / "examples").glob("*.py")} == {"stream.py", "last_resort.py"}


@pytest.mark.parametrize("text", [*blocks("toml")])
def test_toml_examples_load(text, tmp_path):
    """Every configuration example is valid once the keys it names are set."""
    file = tmp_path / "coreto.toml"
    file.write_text(text, encoding="utf-8")
    names = set(re.findall(r"env:(\w+)", text))
    assert check(config=file, env=dict.fromkeys(names, "x" * 20), cwd=tmp_path) == []
