"""``python -m coreto``."""

from coreto.cli.main import main

main()
