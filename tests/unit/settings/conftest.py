"""A working directory and a user's configuration folder of the test's own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from coreto.settings.load import Loaded, load


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's configuration folder, empty, so that the developer's own file has no part in a test."""
    for name in ("XDG_CONFIG_HOME", "HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def load_text(cwd: Path) -> Callable[..., Loaded]:
    """``load`` with the text of ``coreto.toml`` and of ``.env``."""

    def run(
        toml: str = "", *, dotenv: str = "", env: dict[str, str] | None = None, **flags: object
    ) -> Loaded:
        if toml:
            (cwd / "coreto.toml").write_text(toml, encoding="utf-8")
        if dotenv:
            (cwd / ".env").write_text(dotenv, encoding="utf-8")
        overrides = {name.replace("__", "."): value for name, value in flags.items()}
        return load(env=env or {}, cwd=cwd, overrides=overrides)

    return run
