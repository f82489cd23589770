"""The documentation says what is so: its settings, its commands, its files, its tutorials."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path

import click
import pytest
import redis

from admitgate import Config, Rule
from admitgate.cli import main
from admitgate.live import OPTIONS
from admitgate.operate import group

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md"])
TEXTS = [pytest.param(page.read_text("utf-8"), id=page.name) for page in PAGES]
settings_page = runpy.run_path(str(DOCS / "settings_page.py"))


# --- settings


@pytest.mark.parametrize("kind", [Config, Rule])
def test_every_setting_is_described(kind: type) -> None:
    """By a row of the README's table; else the page can't be made."""
    page = settings_page["reference"](kind)
    for option in fields(kind):
        assert option.name == "_" or re.search(rf"^### .*`{option.name}`", page, re.MULTILINE), option.name


@pytest.mark.parametrize("kind", [Config, Rule])
def test_no_description_is_left_of_a_setting_that_is_gone(kind: type) -> None:
    """Each name in the first column of the README's table is a setting."""
    known = {option.name for option in fields(kind)}
    for names, text in settings_page["rows"](kind):
        assert set(names) <= known, text
        assert names, text


@pytest.mark.parametrize("kind", [Config, Rule])
def test_defaults_are_those_of_the_code(kind: type) -> None:
    """Where the README's table has plain values, in the order of the names."""
    defaults = {option.name: option.default for option in fields(kind)}
    told = settings_page["told_defaults"](kind)
    for name, text in told:
        if re.fullmatch(r"[\d.]+|`\".*\"`|true|false", text):
            value = {"true": "True", "false": "False"}.get(text, text.strip("`").replace('"', "'"))
            assert repr(defaults[name]) == value, name
        elif text == "none":
            assert defaults[name] in (None, (), ""), name
        elif text == "required":
            assert defaults[name] is MISSING, name


# --- commands

SHOWN = re.compile(r"`(?:admitgate|manage\.py admitgate|flask admitgate) ([a-z-]+)((?: [^`]*)?)`")


def command_of(name: str) -> click.Command | None:
    """A command of ``admitgate``."""
    return main.get_command(click.Context(main), name)


@pytest.mark.parametrize("text", TEXTS)
def test_the_commands_that_are_shown_exist(text: str) -> None:
    """With the options that are shown with them."""
    lines = re.findall(r"^ {4}(?:\S+=\S+ )?admitgate ([a-z-]+)(.*)$", text, re.MULTILINE)
    for name, rest in [*lines, *SHOWN.findall(text)]:
        command = command_of(name)
        assert command, f"admitgate {name}"
        known = {option for part in command.params for option in part.opts}
        assert set(re.findall(r"--[a-z-]+", rest.split("#")[0])) <= known, f"admitgate {name}{rest}"


def test_the_operators_table_has_every_command() -> None:
    """What there is and isn't told might as well not be."""
    text = (DOCS / "operations.md").read_text("utf-8")
    told = {name for pair in re.findall(r"^\| `([a-z-]+)|, `([a-z-]+) EVENT`", text, re.M) for name in pair}
    assert set(group.COMMANDS) <= told


@pytest.mark.parametrize("text", TEXTS)
def test_the_options_that_are_set_can_be_set(text: str) -> None:
    """``admitgate set EVENT name=…``."""
    for shown in re.findall(r"\bset (?:EVENT|gala) ([^`\n]*)", text):
        assert set(re.findall(r"\b([a-z_]+)=", shown)) <= set(OPTIONS), shown


# --- files and links


@pytest.mark.parametrize("text", TEXTS)
def test_the_files_that_are_named_are_there(text: str) -> None:
    """Examples, benchmarks and the other documents."""
    for name in re.findall(r"`((?:examples|benchmarks|tests|docs)/[\w./-]+|[A-Z]+\.md)`", text):
        assert (ROOT / name).exists(), name


def test_every_page_is_in_the_navigation() -> None:
    """mkdocs would write it, and nobody find it."""
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert [page.name for page in DOCS.glob("*.md") if f": {page.name}\n" not in navigation] == []


# --- tutorials


def files_in(page: str) -> dict[str, str]:
    """The files that a page shows, by their titles."""
    text = (DOCS / page).read_text("utf-8")
    return dict(re.findall(r'```python title="([^"]+)"\n(.*?)```', text, re.DOTALL))


def run(folder: Path, *command: str) -> None:
    """In another process, with warnings as errors."""
    environ = {"PATH": os.environ["PATH"], "SECRET_KEY": "oS7cVtQ2mZx9LrBfWd4Jh1uKpEa6YgNi"}
    done = subprocess.run(
        [sys.executable, "-W", "error", *command], cwd=folder, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


FLASK = """
from shop import app

first, second = app.test_client(), app.test_client()
assert "Yours until" in first.get("/events/gala/checkout").text
assert second.get("/events/gala/checkout").status_code == 503
answer = first.post("/events/gala/checkout", follow_redirects=True)
assert answer.text == "Thank you!", answer.text
assert second.get("/_admitgate/status/gala").json["leases"] == 0
"""
FLASK_CALLBACK = """
import callback
from shop import app

first, second = app.test_client(), app.test_client()
assert first.post("/events/gala/checkout/order").text == "off to the bank"
assert second.get("/_admitgate/status/gala").json["leases"] == 1
assert second.post("/payment-callback", data={"order": "4711"}).status_code == 204
assert second.get("/healthz-of-nobody").status_code == 404
"""
FLASK_FACTORY = """
from factory import create_app

assert create_app().test_client().get("/events/gala/checkout").text == "pay here"
"""
DJANGO = """
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "boxoffice.settings"
import django
from django.conf import settings

settings.ALLOWED_HOSTS = ["*"]
django.setup()
import boxoffice.decorated
from django.test import Client

first, second = Client(), Client()
assert b"Yours until" in first.get("/events/gala/checkout").content
assert second.get("/events/gala/checkout").status_code == 503
assert first.post("/events/gala/checkout", follow=True).content == b"Thank you!"
assert second.get("/_admitgate/status/gala").json()["leases"] == 0
"""


FLASK_UNCOUNTED = """
import callback
from shop import app

visitor = app.test_client()
assert "Welcome." in visitor.get("/events/gala/checkout").text
assert visitor.post("/events/gala/checkout", follow_redirects=True).text == "Thank you!"
assert visitor.post("/events/gala/checkout/order").text == "off to the bank"
assert visitor.post("/payment-callback", data={"order": "4711"}).status_code == 204
"""
DJANGO_UNCOUNTED = (
    DJANGO[: DJANGO.index("first, second")]
    + """
visitor = Client()
assert b"Welcome." in visitor.get("/events/gala/checkout").content
assert visitor.post("/events/gala/checkout", follow=True).content == b"Thank you!"
"""
)
SWITCHES = [
    pytest.param('"RULES": [', '"ENABLED": False, "RULES": [', id="the gate is off"),
    pytest.param('"CAPACITY": 1,', '"CAPACITY": 1, "MODE": "off",', id="the rule is off"),
    pytest.param('"CAPACITY": 1,', '"CAPACITY": 0, "MODE": "observe",', id="the rule only observes"),
    pytest.param('"CAPACITY": 1,', '"CAPACITY": 1, "ON_OUTAGE": "open",', id="Redis is away"),
]


def test_the_flask_tutorial_runs(redis_url: str, redis_client: redis.Redis, tmp_path: Path) -> None:
    """Each file as it is shown, but for the address of Redis; each day with new visitors."""
    for name, text in files_in("tutorial-flask.md").items():
        (tmp_path / name).write_text(text.replace("redis://localhost:6379/0", redis_url), "utf-8")
    for visit in (FLASK, FLASK_FACTORY, FLASK_CALLBACK):
        redis_client.flushall()
        run(tmp_path, "-c", visit)


def test_the_django_tutorial_runs(redis_url: str, tmp_path: Path) -> None:
    """In a project that startproject has made; the settings at the end of its own."""
    run(tmp_path, "-m", "django", "startproject", "boxoffice", ".")
    for name, text in files_in("tutorial-django.md").items():
        with (tmp_path / name).open("a" if name.endswith("settings.py") else "w", encoding="utf-8") as file:
            file.write(text.replace("redis://localhost:6379/0", redis_url))
    run(tmp_path, "manage.py", "check")
    run(tmp_path, "-c", DJANGO)


@pytest.mark.parametrize(("usual", "switched"), SWITCHES)
def test_the_tutorials_shops_sell_on_when_the_gate_counts_nobody(
    redis_url: str, tmp_path: Path, usual: str, switched: str
) -> None:
    """A view that takes an admission for granted turns the switch that shall save the day into an error."""
    url = "unix:///nowhere.sock" if "OUTAGE" in switched else redis_url
    run(tmp_path, "-m", "django", "startproject", "boxoffice", ".")
    for name, text in {**files_in("tutorial-flask.md"), **files_in("tutorial-django.md")}.items():
        with (tmp_path / name).open("a", encoding="utf-8") as file:
            file.write(text.replace("redis://localhost:6379/0", url).replace(usual, switched))
    (tmp_path / "boxoffice/urls.py").write_text(files_in("tutorial-django.md")["boxoffice/urls.py"], "utf-8")
    for visit in (FLASK_UNCOUNTED, DJANGO_UNCOUNTED):
        run(tmp_path, "-c", visit)
