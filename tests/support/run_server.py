"""``coreto serve`` without the command line: ``run_server.py CONFIG [HOST [PORT]]``."""

import sys
from pathlib import Path

from coreto.cli.serve import serve
from coreto.settings.load import load

if __name__ == "__main__":
    _, config, *rest = sys.argv
    host = rest[0] if rest else None
    port = int(rest[1]) if len(rest) > 1 else None
    raise SystemExit(serve(load(config=Path(config)), host=host, port=port))
