"""A waiting page in Django's own templates: found as theirs are, extending ours, refused at start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sites  # configures Django
from django.test import override_settings
from test_page import a_place, a_visit, policy_of, read

from admitgate import ConfigError
from admitgate.django.settings import current_config
from admitgate.page import Page

assert sites

GOOD: dict[str, Any] = {"REDIS_URL": "redis://localhost", "RULES": [{"PATH": "/buy", "CAPACITY": 1}]}


def page_with(folder: Path, text: str, name: str = "shop/waiting.html") -> Page:
    (folder / "shop").mkdir(exist_ok=True)
    (folder / "shop/waiting.html").write_text(text, "utf-8")
    engine = {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [str(folder)]}
    with override_settings(TEMPLATES=[engine], ADMITGATE={**GOOD, "TEMPLATE": name}):
        config = current_config()
        return Page(template=config.template, brand=config.brand)


def test_a_django_template_extends_ours(tmp_path: Path) -> None:
    """With Django's tags and filters; data, script and policy stay the page's own."""
    page = page_with(
        tmp_path,
        '{% extends "admitgate/waiting.html" %}'
        "{% block head %}<style>h1 { color: red }</style>{% endblock %}"
        "{% block heading %}<h1>{{ event|upper }}: {{ position }} to go</h1>{% endblock %}"
        "{% block footer %}{{ block.super }}<p>Call us</p>{% endblock %}",
    )
    answer = page.answer(a_visit(), a_place("<gala>"))
    reader = read(answer)
    for said in ("<GALA>: about 1,234 to go", "Leave the line", "Call us"):
        assert said in reader.words
    assert set(policy_of(answer)["style-src"]) == reader.hashes("style")
    assert set(policy_of(answer)["script-src"]) == reader.hashes("script")
    assert reader.data["place"]["position"] == 1234


@pytest.mark.parametrize("state", ["waiting", "opens", "closed", "full", "outage"])
def test_both_engines_read_our_page_alike(tmp_path: Path, state: str) -> None:
    """It is written in what they have in common."""
    django_page = page_with(tmp_path, '{% extends "admitgate/waiting.html" %}')
    place = a_place("Späti & <Co>", state=state, message="a < b", was_post=True, waited_seconds=9, opens_at=5)
    ours, theirs = (read(page.answer(a_visit("POST"), place)) for page in (Page(), django_page))
    assert theirs.tags == ours.tags
    assert "".join(theirs.text.split()) == "".join(ours.text.split())


@pytest.mark.parametrize(
    ("text", "name", "evidence"),
    [
        pytest.param(
            "{% block heading %}", "shop/waiting.html", "TemplateSyntaxError", id="a block left open"
        ),
        pytest.param(
            "", "shop/nowhere.html", "TemplateDoesNotExist: shop/nowhere.html", id="no such template"
        ),
    ],
)
def test_a_faulty_django_template_is_refused_at_start(
    tmp_path: Path, text: str, name: str, evidence: str
) -> None:
    """With its name, and what Django says of it."""
    with pytest.raises(ConfigError, match=evidence) as caught:
        page_with(tmp_path, text, name)
    assert repr(name) in str(caught.value)


def test_a_files_path_is_read_by_jinja(tmp_path: Path) -> None:
    """As everywhere else, so that one page can serve a shop and its waiting room."""
    path = tmp_path / "page.html"
    path.write_text(
        "{% extends 'admitgate/waiting.html' %}{% block footer %}{{ 6 * 7 }}{% endblock %}", "utf-8"
    )
    with override_settings(ADMITGATE={**GOOD, "TEMPLATE": str(path)}):
        page = Page(template=current_config().template)
    assert "42" in read(page.answer(a_visit(), a_place())).words
