"""Where things are inside the sandbox. Nothing of the host's own folders shows in these names."""

import re

BOX = "/box"
"""The only place that can be written to: a file system in memory, of limited size, gone with the run."""

WORK = f"{BOX}/work"
"""The job's folder."""

TEMPORARY = f"{BOX}/tmp"  # noqa: S108 the sandbox's own
SHARED_MEMORY = f"{BOX}/shm"

PYTHON = "/python"
"""The interpreter, where the host keeps it outside of ``/usr``."""

INSIDE = "/inside.py"
"""What is process 1."""

LIBRARY = rf"(?:{re.escape(PYTHON)}|/usr|/usr/local)/lib(?:64)?/python3\.\d+/"
"""Python's own modules, as a regular expression."""
