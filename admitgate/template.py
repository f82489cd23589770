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

TEMPLATES = Path(__file__).with_name("templates")
_scripts = ("line.js", "waiting.js", "face.js")

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
    return Markup(_without_comments("waiting.css") + "\n" + of_brand)


def script() -> Markup:
    """The page's script: three files in one function, so that nothing of it can be seen from outside."""
    parts = "\n".join(map(_without_comments, _scripts))
    return Markup(f'(function(){{"use strict";\n{parts}\ninBrowser();\n}})();')


def _without_comments(name: str) -> str:
    """What every visitor pays for. Also without indentation, which no string of ours contains."""
    lines = map(str.strip, (TEMPLATES / "admitgate" / name).read_text("utf-8").splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/*")))
