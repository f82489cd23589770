"""``@gated`` and ``@ungated``: a view says for itself that it is behind the gate, or in front of it.

The decorators change nothing of what a view does. They leave a mark, which the framework's edge finds on
whatever view its router has chosen; other decorators carry it along, if they use ``functools.wraps`` as they
should. A view that is gated in one place of a router may be ungated in another: each decorated view is a
view of its own. Where nothing of the gate is installed the marks mean nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import partial, wraps
from inspect import isclass, iscoroutinefunction
from typing import Any, TypeVar
from weakref import WeakSet, ref

from .capacity import Capacity
from .errors import ConfigError
from .rules import Rule

View = Callable[..., Any]
V = TypeVar("V", bound=View)

_mark = "_admitgate_mark"
_methods = ("get", "head", "post", "put", "patch", "delete", "options")
_whole = ("dispatch", "dispatch_request")  # of class-based views: Django's, Flask's

made: WeakSet[Mark] = WeakSet()
"""Every mark of a gated view, whether a router knows the view or not."""


class Mark:
    """What a decorator says of a view: the options of its rule, or None where nobody waits for it."""

    def __init__(self, options: dict[str, Any] | None, where: str) -> None:
        self._options = options
        self._rules: dict[str, Rule] = {}
        self.where = where
        self.original: ref[Any] | None = None

    @property
    def is_gated(self) -> bool:
        """False for ``@ungated``."""
        return self._options is not None

    def rule(self, view: View) -> Rule:
        """The rule of a view that has this mark. Its endpoint is the view's dotted name."""
        name = name_of(view)
        rule = self._rules.get(name)
        if rule is None:
            rule = self._rules[name] = Rule(endpoint=name, **self._options or {})
        return rule


def gated(*, capacity: Capacity, event: str | None = None, **options: Any) -> Callable[[V], V]:
    """Nobody sees the view without a slot. ``options`` are a Rule's; ``event`` is a template over the view's
    arguments, by default their values, else the view's dotted name.

    Nearest to the view: below Flask's ``@app.route``. On a class, decorate ``as_view()``, ``dispatch`` or
    single methods (Django: with ``method_decorator``). Wrong options raise ConfigError at import.
    """
    caller = sys._getframe(1)
    where = f"{caller.f_code.co_filename}, line {caller.f_lineno}"
    faults = _faults({"capacity": capacity, "event": event, **options})
    if faults:
        raise ConfigError([f"@gated in {where}: {fault}" for fault in faults])
    mark = Mark({"capacity": capacity, "event": event, **options}, where)
    made.add(mark)
    return lambda view: _marked(view, mark)


def ungated(view: V) -> V:
    """Nobody waits for the view, though a rule for its path or endpoint would have them wait."""
    return _marked(view, _ungated)


_ungated = Mark(None, "")


def mark_of(view: object, method: str) -> Mark | None:
    """What a decorator said of the view that a router chose, or of its class' method that will answer."""
    view = _unwrapped(view)
    mark: Mark | None = getattr(view, _mark, None)
    view_class = getattr(view, "view_class", None)
    if mark is not None or view_class is None:
        return mark
    name = method.lower()
    if name == "head" and not hasattr(view_class, "head"):
        name = "get"
    for attribute in (*_whole, name):
        mark = mark or getattr(getattr(view_class, attribute, None), _mark, None)
    return mark


def marks_on(view: object) -> Iterator[Mark]:
    """Every mark that ``mark_of`` could find there."""
    for method in _methods:
        mark = mark_of(view, method)
        if mark is not None:
            yield mark


def name_of(view: object) -> str:
    """A view's dotted name; a class-based one's is its class'."""
    return ".".join(_names(view))


def _names(view: object) -> tuple[str, str]:
    view = _unwrapped(view)
    view = getattr(view, "view_class", view)
    named = view if hasattr(view, "__qualname__") else type(view)
    return view.__module__, named.__qualname__


def _unwrapped(view: object) -> object:
    """A partial hides what the function in it says of itself."""
    while isinstance(view, partial) and not hasattr(view, _mark):
        view = view.func
    return view


def _marked(view: V, mark: Mark) -> V:
    """A view of its own, as the same function may stand unmarked elsewhere."""
    if isclass(view):
        raise ConfigError(
            [
                f"{view.__qualname__} is a class: decorate {view.__qualname__}.as_view(), or its method "
                "dispatch (Django, with method_decorator), or list the decorator in its decorators (Flask)."
            ]
        )
    marked: Any = _awaiting(view) if iscoroutinefunction(view) else _calling(view)
    if not hasattr(view, "__qualname__"):  # an object or a partial, of which wraps takes no name
        marked.__module__, marked.__qualname__ = _names(view)
    setattr(marked, _mark, mark)
    if mark.is_gated and mark.original is None and not isinstance(view, partial):
        mark.original = ref(view)
    return marked  # type: ignore[no-any-return]


def _calling(view: View) -> View:
    @wraps(view)
    def marked(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return marked


def _awaiting(view: Callable[..., Awaitable[Any]]) -> View:
    @wraps(view)
    async def marked(*args: Any, **kwargs: Any) -> Any:
        return await view(*args, **kwargs)

    return marked


def _faults(options: dict[str, Any]) -> list[str]:
    if options.keys() & {"path", "endpoint"}:
        return ["the view is its own endpoint: leave path and endpoint out."]
    return Rule(endpoint="view", **options).faults()
