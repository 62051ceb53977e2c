"""Privacy labels: how far a piece of data may travel.

``public < internal < private``. Combining takes the stricter; an output inherits the label of its
input. ``private`` never leaves the machine (SPEC R7); :func:`permit` is the one question every sink
(cloud deployment, remote cache, trace exporter, webhook) has to ask.
"""

from enum import IntEnum


class Label(IntEnum):
    """How far data may travel; the order is the strictness."""

    PUBLIC = 0
    INTERNAL = 1
    PRIVATE = 2

    @classmethod
    def parse(cls, text: str) -> "Label":
        """Read a label's name, in any case. Raises ``ValueError`` naming the valid ones."""
        try:
            return cls[text.strip().upper()]
        except KeyError:
            names = ", ".join(label.name.lower() for label in cls)
            raise ValueError(f"unknown label {text!r}; one of: {names}") from None

    def __str__(self) -> str:
        return self.name.lower()


def combine(*labels: Label) -> Label:
    """The strictest of ``labels``; :attr:`Label.PUBLIC` for none."""
    return max(labels, default=Label.PUBLIC)


def permit(label: Label, *, sink_is_local: bool) -> bool:
    """Whether data with ``label`` may enter a sink: private data only one on this machine."""
    return sink_is_local or label < Label.PRIVATE
