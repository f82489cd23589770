"""Whose request is it?  ``identity`` in the settings says, and binds a place to an account.

It is asked where it matters and nowhere else: for a newcomer to something gated, and for a token that is an
account's. What it raises is the application's own error, and goes where those go: nobody is let in, and
nobody's cookie changes, so that nobody loses a place by it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any
from uuid import UUID

Identity = Callable[[Any], str | int | UUID | None]

_cure = "give a callable, or its dotted path such as 'shop.accounts.account_of', or None"


def resolved(given: object) -> Identity | None:
    """The callable that the settings mean. Raises ValueError with a sentence where there is none."""
    found = _imported(given) if isinstance(given, str) else given
    if found is not None and not callable(found):
        raise ValueError(f"identity is {given!r}: {_cure}.")
    return found


def account_of(identity: Identity, request: Any) -> str | None:
    """The account of a request as one text; None where nobody is logged in.

    An empty text is nobody, too: all who aren't logged in would share one place.
    """
    account = identity(request)
    if account is None or account == "":
        return None
    if isinstance(account, bool) or not isinstance(account, str | int | UUID):
        raise TypeError(
            f"identity gave {type(account).__name__}: let it return the account's id, a text, a whole number "
            "or a UUID, or None where nobody is logged in"
        )
    return str(account)


def _imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"identity is {path!r}, but that can't be imported ({error}): {_cure}.") from error
