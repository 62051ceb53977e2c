"""What it costs to be there: import of the core against httpx, start and memory of the server.

CPU seconds in fresh interpreters, best of several. Run: ``python benchmarks/footprint.py``.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from support import started

GOAL_IMPORT = 0.3
GOAL_RATIO = 1.5
GOAL_READY = 1.5
GOAL_RSS = 100.0
CODE = "import time; a = time.process_time(); import {}; print(time.process_time() - a)"


def import_cpu(module: str, *, runs: int = 7) -> float:
    """CPU seconds of ``import module``, best of ``runs``."""
    command = [sys.executable, "-c", CODE.format(module)]
    return min(
        float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(runs)
    )


def main() -> int:
    coreto, client, httpx = import_cpu("coreto"), import_cpu("coreto.client"), import_cpu("httpx")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "coreto.toml"
        config.write_text(f'discovery = false\ndata_dir = "{folder}/data"\n', encoding="utf-8")
        ready: list[float] = []
        rss = 0.0
        for _ in range(4):
            argv = [sys.executable, "-m", "coreto", "--config", str(config), "serve", "--port", "0"]
            with started("coreto", argv, cwd=Path(folder)) as server:
                ready.append(server.ready_s)
                rss = server.rss_mb()
    rows = [
        ("import coreto, CPU s", coreto, GOAL_IMPORT),
        ("import coreto / import httpx", coreto / httpx, GOAL_RATIO),
        ("import coreto.client, CPU s", client, None),
        ("first start (makes the database), s", ready[0], None),
        ("start of the server, s", min(ready), GOAL_READY),
        ("resident memory, no model loaded, MB", rss, GOAL_RSS),
    ]
    print("| what | measured | goal |\n|---|---|---|")
    for name, value, goal in rows:
        print(f"| {name} | {value:.2f} | {'' if goal is None else f'≤ {goal:g}'} |")
    return int(any(goal is not None and value > goal for _, value, goal in rows))


if __name__ == "__main__":
    sys.exit(main())
