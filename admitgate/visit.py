"""The framework-neutral request and answer. Edges translate to and from these; the core knows no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import Any
from urllib.parse import parse_qsl

_form_type, _form_most_digits = "application/x-www-form-urlencoded", 5


def _untold(request: Any) -> str:
    return ""


def _no_form(request: Any) -> Mapping[str, str]:
    return {}


@dataclass(slots=True)
class Visit:
    """One request as the gate sees it.

    ``path`` is relative to ``root`` (WSGI's SCRIPT_NAME) and percent-decoded once, as the application will
    see it.
    ``header`` takes a lower-case name and gives the value, or the empty string; ``is_secure`` is true for
    https. Both are asked only where it matters: most requests need neither.
    ``request`` is the framework's own object, for the callables in the settings; ``language`` reads off it
    which language the site itself speaks to this visitor; the empty string leaves that to the browser.
    ``address`` is who has come to the server, often a proxy (REMOTE_ADDR): ``clients.py`` knows more.
    ``account`` is whose request it is, ``...`` until that was asked.
    ``form`` reads what was sent with a POST off the request; only the operator's console does.
    """

    method: str
    path: str
    root: str
    query: str
    is_secure: Callable[[], bool]
    cookies: str
    header: Callable[[str], str]
    request: Any = None
    language: Callable[[Any], str] = _untold
    address: str = ""
    account: str | EllipsisType | None = ...
    form: Callable[[Any], Mapping[str, str]] = _no_form


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer that an edge can send as it is."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def cgi_header(environ: Mapping[str, Any]) -> Callable[[str], str]:
    """A ``Visit.header`` over CGI's names: a WSGI environ, or Django's ``request.META``."""

    def header(name: str) -> str:
        variable = name.upper().replace("-", "_")
        prefix = "" if variable in ("CONTENT_LENGTH", "CONTENT_TYPE") else "HTTP_"
        return str(environ.get(prefix + variable) or "")

    return header


def form_length(header: Callable[[str], str]) -> int:
    """How long a form is that somebody sends; 0 for other bodies, and for those that no form of ours has."""
    kind, length = header("content-type").partition(";")[0].strip().lower(), header("content-length")
    is_length = length.isascii() and length.isdigit() and len(length) <= _form_most_digits
    return int(length) if is_length and kind == _form_type else 0


def form_in(body: bytes) -> dict[str, str]:
    """The fields of a form's body."""
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=100))
    except ValueError:
        return {}
