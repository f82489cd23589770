"""A waiting page in Django's own templates: ``"TEMPLATE": "shop/waiting.html"``.

    {% extends "admitgate/waiting.html" %}
    {% block footer %}{{ block.super }}<p>Box office: 030 1234</p>{% endblock %}

It is found as every template of the project is, and rendered for many visitors at once: there is no request
in it. What is a file's path is left alone, and is read by Jinja.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.template import Context, Engine, Template, TemplateDoesNotExist, TemplateSyntaxError

from ..template import TEMPLATES


def with_own_template(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings, with a template's name turned into a function that renders it."""
    name = given.get("TEMPLATE")
    if not isinstance(name, str) or Path(name).is_file():
        return given
    return {**given, "TEMPLATE": DjangoTemplate(name)}


class DjangoTemplate:
    """Renders a template of the project's first Django engine, which finds our templates behind its own."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, context: Mapping[str, Any]) -> str:
        try:
            return str(self._template.render(Context(dict(context))))
        except (TemplateDoesNotExist, TemplateSyntaxError, ImproperlyConfigured) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error

    @cached_property
    def _template(self) -> Template:
        return _engine().get_template(self._name)

    def __repr__(self) -> str:
        return repr(self._name)


def _engine() -> Engine:
    theirs = Engine.get_default()
    ours = ("django.template.loaders.filesystem.Loader", [TEMPLATES])
    return Engine(
        dirs=theirs.dirs,
        loaders=[*theirs.loaders, ours],
        libraries=theirs.libraries,
        builtins=theirs.builtins,
        string_if_invalid=theirs.string_if_invalid,
    )
