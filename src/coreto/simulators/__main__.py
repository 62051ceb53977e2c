"""``python -m coreto.simulators``."""

import sys

from coreto.simulators.command import run

sys.exit(run(sys.argv[1:]))
