"""Jinja, with nothing that a prompt does not need: the environment that templates are parsed and run in.

A template that :mod:`coreto.prompts.grammar` let through cannot do any of what is refused here; this holds even for
one that nobody checked.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import FunctionLoader, StrictUndefined, Undefined, nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from coreto.prompts.filters import FILTERS, TESTS
from coreto.prompts.grammar import LOOP
from coreto.prompts.variables import as_text

METER: Final = "_meter"
"""Under which name, impossible for a variable, a template's context holds its :class:`Meter`."""

_METERED: Final = "_metered"


@dataclass(slots=True)
class Meter:
    """How much work a rendering may still do. ``price``: what one element costs; it grows with the values."""

    left: int
    price: int = 1

    def spend(self, elements: int) -> None:
        """Raises :class:`SecurityError` when nothing is left."""
        self.left -= elements * self.price
        if self.left < 0:
            raise SecurityError("the loops of this prompt go on for too long")


class Sandbox(ImmutableSandboxedEnvironment):
    """No attributes but those of ``loop``, no calls, no arithmetic, and loops that are metered."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ARG002 - Jinja's
        return isinstance(obj, LoopContext) and attr in LOOP

    def is_safe_callable(self, obj: Any) -> bool:  # noqa: ARG002 - Jinja's
        return False

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002 - Jinja's
        raise SecurityError(f"{operator} is not allowed in a prompt")


class _MeteredLoops(CodeGenerator):
    """Compiles each loop over ``list`` as one over ``list | _metered(its elements)``."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802 - Jinja's
        for loop in list(node.find_all(nodes.For)):
            elements = sum(1 for _ in loop.find_all(nodes.Node))
            price = [nodes.Const(elements, lineno=loop.lineno)]
            loop.iter = nodes.Filter(loop.iter, _METERED, price, [], None, None, lineno=loop.lineno)
        super().visit_Template(node, frame)


@pass_context
def _metered(context: Context, items: Iterable[object], elements: int) -> Iterator[object]:
    meter = context.resolve(METER)
    if not isinstance(meter, Meter):
        raise SecurityError("a loop without a meter")
    if isinstance(items, Undefined) or not isinstance(items, tuple | list):
        raise TypeError("a loop needs a list")
    for item in items:
        meter.spend(elements)
        yield item


def sandbox(texts: Mapping[str, str] | None = None) -> Sandbox:
    """An environment whose templates are ``texts`` and nothing else."""
    known = texts or {}

    def load(name: str) -> tuple[str, str, None] | None:
        return (known[name], name, None) if name in known else None

    made = Sandbox(
        undefined=StrictUndefined,
        loader=FunctionLoader(load),
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalized,
        # what could be computed beforehand would be computed without a meter
        optimized=False,
        autoescape=False,
        auto_reload=False,
    )
    made.code_generator_class = _MeteredLoops
    made.globals = {}
    made.filters = {**FILTERS, _METERED: _metered}
    made.tests = {**TESTS}
    return made


def _finalized(value: object) -> object:
    return value if isinstance(value, Undefined | str) else as_text(value)
