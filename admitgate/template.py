"""From a template to a function that renders it: the page's own, a site's in Jinja, or another engine's.

``waiting.html`` and ``left.html`` are written in what Jinja and Django's templates have in common, so that
a template of either kind can extend them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .smaller import smaller_script, smaller_style

TEMPLATES = Path(__file__).with_name("templates")
_scripts = ("sha256.js", "draw.js", "line.js", "waiting.js", "face.js")
_proof = "proof.js"

Render = Callable[[Mapping[str, Any]], str]


def renderer(template: str | Render | None) -> Render:
    """Renders the waiting page by ``template``: a Jinja file, or another engine's function, or None."""
    if callable(template):
        return partial(_of_another_engine, template)
    if template is None:
        return _own().get_template("admitgate/waiting.html").render
    file = Path(template)
    return _environment(TEMPLATES, file.parent).get_template(file.name).render


def _of_another_engine(render: Render, context: Mapping[str, Any]) -> str:
    html: object = render(context)
    if not isinstance(html, str):
        raise TypeError(f"it renders {html!r}, which is no text")
    return html


def good_bye() -> Render:
    """Renders the page of whoever left without a script."""
    return _own().get_template("admitgate/left.html").render


@cache
def _own() -> Environment:
    """Kept, as compiling the templates is most of what starting a gate takes."""
    return _environment(TEMPLATES)


def _environment(*folders: Path) -> Environment:
    return Environment(
        loader=FileSystemLoader(folders), autoescape=True, trim_blocks=True, undefined=StrictUndefined
    )


def style(of_brand: str) -> Markup:
    """The page's style sheet, with the brand's colours after its own."""
    return Markup(smaller_style(_text("waiting.css") + "\n" + of_brand))


def script(*, demands_proof: bool = False) -> Markup:
    """The page's script: its files in one function, so that nothing of it can be seen from outside."""
    names = (*_scripts, _proof) if demands_proof else _scripts
    parts = smaller_script("\n".join([*map(_text, names), "inBrowser();"]))
    return Markup(f'(function(){{"use strict";\n{parts}}})();')


def _text(name: str) -> str:
    return (TEMPLATES / "admitgate" / name).read_text("utf-8")
