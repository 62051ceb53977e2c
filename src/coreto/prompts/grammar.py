"""What a template may contain: a small part of Jinja, checked before anything runs. Pure.

Output, ``if``, ``for`` over lists, comparisons, the filters of :mod:`coreto.prompts.filters`, ``loop``, and ``include``
of a fragment. No calls, no attributes, no arithmetic, no assignment, no macros: nothing that could grow, leave the
template or go on for ever. :mod:`coreto.prompts.sandbox` guards the same a second time while it runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from jinja2 import Environment, TemplateSyntaxError, nodes

from coreto.prompts.errors import PromptError
from coreto.prompts.filters import FILTERS, TESTS
from coreto.prompts.variables import NAME

MOST_NODES: Final = 2_000
"""Elements of a template with its fragments."""

DEEPEST: Final = 40
MOST_LOOPS: Final = 3
"""Loops in each other."""

MOST_INCLUDES: Final = 5
"""Fragments in each other."""

LOOP: Final = frozenset({"index", "index0", "first", "last", "length", "revindex", "revindex0"})

_ALLOWED = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Const,
    nodes.List,
    nodes.Tuple,
    nodes.If,
    nodes.CondExpr,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Neg,
    nodes.Compare,
    nodes.Operand,
    nodes.Slice,
    nodes.Keyword,
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the check stands. ``line``: what is added to Jinja's line numbers."""

    file: str
    line: int
    names: frozenset[str]
    loops: int = 0
    depth: int = 0
    included: tuple[str, ...] = ()

    def fail(self, problem: str, node: nodes.Node | None = None, *, line: int = 1) -> PromptError:
        return PromptError(
            problem, file=self.file, line=(node.lineno if node is not None else line) + self.line
        )


@dataclass(slots=True)
class Grammar:
    """Checks the templates of one prompt; :attr:`used` are the fragments that they include."""

    environment: Environment
    fragments: Mapping[str, str]
    used: dict[str, str] = field(default_factory=dict[str, str])
    _nodes: int = 0

    def check(self, body: str, names: frozenset[str], *, file: str, line: int) -> None:
        """Raise :class:`PromptError` unless ``body``, which begins at ``line`` of ``file``, is a template over
        ``names``."""
        self._check_text(body, _Place(file, line - 1, names))

    def _check_text(self, body: str, place: _Place) -> None:
        try:
            tree = self.environment.parse(body)
        except TemplateSyntaxError as error:
            raise place.fail(error.message or "not a template", line=error.lineno) from None
        except (ValueError, OverflowError):
            raise place.fail("a number that cannot be read") from None
        except (RecursionError, MemoryError):
            raise place.fail("nested too deeply") from None
        self._check(tree, place)

    def _check(self, node: nodes.Node, place: _Place) -> None:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise place.fail(f"more than {MOST_NODES} elements", node)
        if place.depth > DEEPEST:
            raise place.fail("nested too deeply", node)
        place = replace(place, depth=place.depth + 1)
        match node:
            case nodes.Name():
                if node.name not in place.names:
                    known = ", ".join(sorted(place.names)) or "none"
                    raise place.fail(
                        f"{node.name!r} is not a variable of this prompt; there is: {known}", node
                    )
            case nodes.Getattr():
                self._check_attribute(node, place)
            case nodes.Getitem():
                self._check_item(node, place)
            case nodes.Filter() | nodes.Test():
                self._check_named(node, place)
            case nodes.For():
                self._check_for(node, place)
            case nodes.Include():
                self._check_include(node, place)
            case _:
                self._check_plain(node, place)

    def _check_children(self, node: nodes.Node, place: _Place) -> None:
        for child in node.iter_child_nodes():
            self._check(child, place)

    def _check_plain(self, node: nodes.Node, place: _Place) -> None:
        if not isinstance(node, _ALLOWED):
            raise place.fail(f"{type(node).__name__} is not allowed in a prompt", node)
        if isinstance(node, nodes.Const) and isinstance(node.value, str):
            try:
                node.value.encode()
            except UnicodeEncodeError:
                raise place.fail("half of a surrogate pair", node) from None
        self._check_children(node, place)

    def _check_attribute(self, node: nodes.Getattr, place: _Place) -> None:
        owner = node.node
        of_loop = isinstance(owner, nodes.Name) and owner.name == "loop" and place.loops > 0
        if not of_loop or node.attr not in LOOP:
            raise place.fail(
                f"attribute {node.attr!r} is not allowed: only loop.{', loop.'.join(sorted(LOOP))}", node
            )

    def _check_item(self, node: nodes.Getitem, place: _Place) -> None:
        index = node.arg.node if isinstance(node.arg, nodes.Neg) else node.arg
        whole = isinstance(index, nodes.Const) and type(index.value) is int
        if not whole and not isinstance(node.arg, nodes.Slice):
            raise place.fail("an item's number must be written as a number", node)
        self._check_children(node, place)

    def _check_named(self, node: nodes.Filter | nodes.Test, place: _Place) -> None:
        a_filter = isinstance(node, nodes.Filter)
        known = FILTERS if a_filter else TESTS
        kind = "filter" if a_filter else "test"
        if node.name not in known:
            raise place.fail(f"no {kind} {node.name!r}; there is: {', '.join(sorted(known))}", node)
        if node.node is None or node.dyn_args is not None or node.dyn_kwargs is not None:
            raise place.fail(f"{kind} {node.name!r} cannot be used like that", node)
        self._check_children(node, place)

    def _check_for(self, node: nodes.For, place: _Place) -> None:
        target = node.target
        if node.recursive:
            raise place.fail("recursive loops are not allowed", node)
        if not isinstance(target, nodes.Name) or target.name == "loop" or not NAME.fullmatch(target.name):
            raise place.fail("a loop needs one plain name", node)
        if place.loops >= MOST_LOOPS:
            raise place.fail(f"more than {MOST_LOOPS} loops in each other", node)
        self._check(node.iter, place)
        inner = replace(place, loops=place.loops + 1, names=place.names | {target.name})
        for child in (*((node.test,) if node.test is not None else ()), *node.body):
            self._check(child, inner)
        for child in node.else_:
            self._check(child, place)

    def _check_include(self, node: nodes.Include, place: _Place) -> None:
        wanted = node.template.value if isinstance(node.template, nodes.Const) else None
        if not isinstance(wanted, str) or node.ignore_missing or not node.with_context:
            raise place.fail("include needs the name of one fragment in quotes, and nothing else", node)
        if place.loops:
            raise place.fail("include cannot stand in a loop", node)
        if wanted in place.included or len(place.included) >= MOST_INCLUDES:
            raise place.fail(f"fragment {wanted!r} includes itself, or too many others", node)
        if wanted not in self.fragments:
            known = ", ".join(sorted(self.fragments)) or "none"
            raise place.fail(f"no fragment {wanted!r} in this prompt's folder; there is: {known}", node)
        body = self.used[wanted] = self.fragments[wanted]
        self._check_text(body, replace(place, file=wanted, line=0, included=(*place.included, wanted)))
