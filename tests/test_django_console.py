"""The console in a Django site with sessions, log-ins and permissions, and the gate before all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
import sites  # noqa: F401  (configures Django)
from django.conf import settings
from django.test import override_settings

from admitgate.django.checks import check_console

# Settings can be configured once in a process, and the tests' own know no accounts.
SITE = """
import json, re, sys
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY="a key that nobody outside this test knows", ALLOWED_HOSTS=["*"], USE_TZ=True,
    LOGGING_CONFIG=None, ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions",
                    "admitgate.django"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    MIDDLEWARE=["admitgate.django.AdmitGateMiddleware",
                "django.contrib.sessions.middleware.SessionMiddleware",
                "django.middleware.locale.LocaleMiddleware",
                "django.middleware.csrf.CsrfViewMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
                "django.contrib.auth.middleware.LoginRequiredMiddleware"],
    ADMITGATE={"REDIS_URL": sys.argv[1], "REDIS_TIMEOUT_SECONDS": 10,
               "CONSOLE": "admitgate.django.console.is_operator",
               "RULES": [{"PATH": "/events/<event>/checkout", "CAPACITY": 3}]})
urlpatterns = [path("events/<event>/checkout", lambda request, event: HttpResponse("the checkout"), name="x")]

import django
django.setup()
from django.contrib.auth.models import Permission, User
from django.core.checks import run_checks
from django.core.management import call_command
from django.test import Client

call_command("migrate", verbosity=0)
call_command("makemigrations", check=True, dry_run=True, verbosity=0)
permission = Permission.objects.get(content_type__app_label="admitgate")
for name, options in {"anna": {"is_staff": True}, "tom": {"is_staff": True}, "eve": {}, "root": {
        "is_staff": True, "is_superuser": True}}.items():
    user = User.objects.create_user(name, **options)
    if name in ("anna", "eve"):
        user.user_permissions.add(permission)

def client(name):
    visitor = Client(enforce_csrf_checks=True)
    if name:
        visitor.force_login(User.objects.get(username=name))
    return visitor

console = "/_admitgate/console/"
names = ("anna", "tom", "eve", "root", "")
seen = {name or "nobody": client(name).get(console).status_code for name in names}
anna = client("anna")
html = anna.get(console + "event/gala").content.decode()
form = {"form_token": re.search('form_token" value="([^"]+)', html)[1], "action": "pause", "sure": "yes"}
own = {"HTTP_ORIGIN": "http://testserver", "HTTP_HOST": "testserver"}
forged = anna.post(console + "event/gala", {**form, "form_token": "x"}, **own).status_code
typed = {"content_type": "application/x-www-form-urlencoded"}
from urllib.parse import urlencode
done = anna.post(console + "event/gala", urlencode(form), **typed, **own).status_code
from admitgate.django import event
print(json.dumps({
    "permission": f"{permission.content_type.app_label}.{permission.codename}",
    "seen": seen, "forged": forged, "done": done,
    "log": [[change.who, change.after] for change in event("gala").log()],
    "shop": client("anna").get("/events/opera/checkout").content.decode(),
    "unknown": client("anna").get("/_admitgate/consoles/").status_code,
    "checks": [check.id for check in run_checks()],
}))
"""


@cache
def _told(redis_url: str) -> str:
    program = [sys.executable, "-W", "error", "-c", SITE, redis_url]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def told(redis_url: str) -> dict[str, Any]:
    """What the site said, once for all tests."""
    result: dict[str, Any] = json.loads(_told(redis_url))
    return result


def test_the_permission_is_there_without_a_table(told: dict[str, Any]) -> None:
    """To be given in Django's admin; and no migration is missing."""
    assert told["permission"] == "admitgate.operate"


def test_staff_with_the_permission_operate_and_nobody_else(told: dict[str, Any]) -> None:
    """Others are told 404, and not where to log in; the gate stands before everything that knows them."""
    assert told["seen"] == {"anna": 200, "tom": 404, "eve": 404, "root": 200, "nobody": 404}


def test_who_is_logged_in_is_who_did_it(told: dict[str, Any]) -> None:
    """In the log by the account's name; a forged form is refused, and Django's own token not asked for."""
    assert told["forged"] == 403
    assert told["done"] == 303
    assert told["log"] == [["anna", "paused"]]


def test_the_rest_of_the_site_is_as_it_was(told: dict[str, Any]) -> None:
    """Its own URLs, what there isn't below the mount, and nothing for the system checks to say."""
    assert told["shop"] == "the checkout"
    assert told["unknown"] == 404
    assert told["checks"] == []


@pytest.mark.parametrize(
    ("console", "middleware", "ids"),
    [
        pytest.param("admitgate.django.console.is_operator", [], ["admitgate.W007"], id="nobody logs in"),
        pytest.param("link", [], [], id="by a link"),
        pytest.param("shop.staff.operator", [], [], id="a log-in of another kind"),
        pytest.param(
            "admitgate.django.console.is_operator",
            ["django.contrib.auth.middleware.AuthenticationMiddleware"],
            [],
            id="the gate stands before the log-in",
        ),
    ],
)
def test_a_check_says_where_nobody_can_be_logged_in(
    console: str, middleware: list[str], ids: list[str]
) -> None:
    """The order in MIDDLEWARE doesn't matter, but that it is there does."""
    rules = [{"PATH": "/checkout", "CAPACITY": 1}]
    gate = {"REDIS_URL": "redis://localhost", "RULES": rules, "CONSOLE": console}
    installed = [*settings.MIDDLEWARE, *middleware]
    with override_settings(ADMITGATE=gate, MIDDLEWARE=installed):
        assert [check.id for check in check_console(None)] == ids
