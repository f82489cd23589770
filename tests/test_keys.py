"""A key that somebody can guess is refused, unless somebody is only trying things out."""

from __future__ import annotations

import hashlib
import logging
import secrets
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import sites
from django.core import checks
from django.core.management.utils import get_random_secret_key
from django.test import override_settings
from flask import Flask
from itsdangerous import Signer
from sites import KEY, NEW_KEY, OLD_KEY, Clock, Opener

from admitgate import AdmitGate, Config, ConfigError, keys
from admitgate.config import config_from_environment
from admitgate.errors import BadToken
from admitgate.flask import AdmitGate as FlaskGate
from admitgate.tokens import Lease, Tokens

clock, open_site = sites.clock, sites.open_site

GOOD: dict[str, Any] = {"redis_url": "redis://x", "rules": [{"path": "/checkout", "capacity": 1}]}

KNOWN = [
    *(
        "change-me",
        "changeme",
        "CHANGE ME",
        "secret",
        "dev",
        "test",
        "insecure",
        "your-secret-key",
        "k",
        "key",
    ),
    "change me to a long random text",
    "a long random text, a long random text",
    "a key to try this with, and nothing else",
    "please-change-this-secret-key-in-production!",
    "my-super-secret-key-for-development-1234567890",
    "replace-this-with-a-long-random-secret-value",
    *("secret" * 6, "change me " * 5, "test" * 20, "x" * 64, "0123456789" * 4, "\0" * 32, "abcabc" * 8),
]
RANDOM: list[Callable[[], Any]] = [
    secrets.token_hex,
    lambda: secrets.token_hex(16),
    lambda: secrets.token_urlsafe(24),
    lambda: secrets.token_urlsafe(50),
    lambda: secrets.token_bytes(32),
    get_random_secret_key,
]


@pytest.fixture(autouse=True)
def _nothing_said_yet() -> Iterator[None]:
    """What the log was told once, it may be told in each test."""
    keys.warn_of.cache_clear()
    yield
    keys.warn_of.cache_clear()


def faults_of(key: Any, *fallbacks: Any, **options: Any) -> tuple[str, ...]:
    """What is wrong with such keys."""
    given = GOOD | {"secret_key": key, "secret_key_fallbacks": list(fallbacks), **options}
    try:
        Config.from_options(given)
    except ConfigError as error:
        return error.faults
    return ()


@pytest.mark.parametrize("key", KNOWN, ids=lambda key: ascii(key[:40]))
def test_a_key_that_everybody_knows_is_refused(key: str) -> None:
    """Text or bytes, with how to make a better one; and it is not repeated."""
    for given in (key, key.encode()):
        (fault,) = faults_of(given)
        assert fault.startswith("secret_key is the one of an example")
        assert 'python -c "import secrets; print(secrets.token_urlsafe(50))"' in fault
        assert len(key) < 8 or key not in fault


@pytest.mark.parametrize("rest", ["Vn3zq8Wm2Lr7Tb5Xc9Jd4Hf6Gs1Kp0Ya", "change-me-in-production-please"])
def test_a_key_that_startproject_made_is_refused(rest: str) -> None:
    """It is random and nobody's example, but in a file that is mostly committed."""
    (fault,) = faults_of("django-insecure-" + rest)
    assert fault.startswith("secret_key begins with 'django-insecure-', as startproject makes it")
    assert rest not in fault


@pytest.mark.parametrize("key", ["p9Zk4WqY0sT7", "Vn3zq8Wm2Lr7Tb5Xc9Jd4Hf6Gs1Kp0Y"], ids=len)
def test_a_short_key_is_refused(key: str) -> None:
    """Below 32 characters, however random."""
    (fault,) = faults_of(key)
    assert fault.startswith(f"secret_key has {len(key)} characters, and 32 is the least.")
    assert key not in fault
    assert faults_of(key + "a" * (32 - len(key))) == ()


@pytest.mark.parametrize(
    "make", RANDOM, ids=["hex", "short hex", "shortest", "the cure", "bytes", "Django's"]
)
def test_a_random_key_is_never_refused(make: Callable[[], Any]) -> None:
    """Whatever words chance puts into it."""
    assert [key for key in (make() for _ in range(2000)) if list(keys.weak_keys(key, []))] == []


@pytest.mark.parametrize("key", [KEY, OLD_KEY, "correct horse battery staple, and a salad"])
def test_a_sentence_of_your_own_is_a_key(key: str) -> None:
    """A word of an example in it does no harm."""
    assert faults_of(key) == ()


def test_fallbacks_are_held_to_the_same() -> None:
    """They verify, so whoever guesses one is in; each is named, none is repeated."""
    faults = faults_of(KEY, "changeme", OLD_KEY, "Vn3zq8Wm2")
    assert [fault.partition(" is the one")[0].partition(" has 9")[0] for fault in faults] == [
        "a key of secret_key_fallbacks",
        "a key of secret_key_fallbacks",
    ]
    assert "Vn3zq8Wm2" not in str(faults)


def test_while_debugging_the_log_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """However many gates a process makes of the settings, and as many times as they are read."""
    with caplog.at_level(logging.WARNING, "admitgate"):
        for _ in range(5):
            assert faults_of("dev", debug=True) == ()
    (line,) = caplog.messages
    assert "secret_key is the one of an example" in line
    assert "Outside of debugging it is refused" in line
    assert "dev" not in line.replace("debug", "")


def test_a_good_key_says_nothing_while_debugging(caplog: pytest.LogCaptureFixture) -> None:
    """There is nothing to say."""
    with caplog.at_level(logging.DEBUG, "admitgate"):
        assert faults_of(KEY, OLD_KEY, debug=True) == ()
    assert caplog.messages == []


def test_debugging_does_without_a_good_key_but_not_without_any() -> None:
    """Nor with one that is no text."""
    assert "secret_key is missing" in faults_of("", debug=True)[0]
    assert "secret_key is missing" in faults_of(5, debug=True)[0]
    assert "non-empty texts" in faults_of(KEY, "", debug=True)[0]


# --- what debugging is, on each edge


def test_plain_wsgi_is_told() -> None:
    """By a setting, which is off."""
    options = GOOD | {"secret_key": "dev"}
    with pytest.raises(ConfigError, match="of an example"):
        AdmitGate(lambda environ, start: [], **options)
    AdmitGate(lambda environ, start: [], **options, debug=True)


def flask_app(**options: Any) -> Flask:
    """An app with the key of Flask's own tutorial."""
    app = Flask("shop")
    app.secret_key = "dev"
    app.config["ADMITGATE"] = {"REDIS_URL": "redis://x", "RULES": [{"PATH": "/", "CAPACITY": 1}], **options}
    return app


def test_flask_knows_by_itself() -> None:
    """``flask run --debug`` sets app.debug; the setting says the same."""
    with pytest.raises(ConfigError, match="of an example"):
        FlaskGate(flask_app())
    FlaskGate(flask_app(DEBUG=True))
    app = flask_app()
    app.debug = True
    FlaskGate(app)


DJANGO = {"REDIS_URL": "redis://x", "RULES": [{"PATH": "/checkout", "CAPACITY": 1}]}
FRESH = "django-insecure-" + "k)1v$w8(7s0q+e3@u5z" * 2


def django_faults() -> list[str]:
    """What Django's checks say of the gate's settings."""
    return [message.msg for message in checks.run_checks() if message.id == "admitgate.E001"]


def test_django_knows_by_itself() -> None:
    """A project as startproject makes it starts, and doesn't go into production so."""
    with override_settings(ADMITGATE=DJANGO, SECRET_KEY=FRESH):
        (fault,) = django_faults()
        assert "as startproject makes it" in fault
    with override_settings(ADMITGATE=DJANGO, SECRET_KEY=FRESH, DEBUG=True):
        assert django_faults() == []


def test_a_fresh_django_project_can_be_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its test runner turns DEBUG off, and the settings file still says what the project is."""
    project = ModuleType("a_fresh_project_of_a_test")
    monkeypatch.setitem(sys.modules, project.__name__, project)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", project.__name__)
    for is_debug, count in ((True, 0), (False, 1)):
        project.DEBUG = is_debug  # type: ignore[attr-defined]
        with override_settings(ADMITGATE=DJANGO, SECRET_KEY=FRESH, DEBUG=False):
            assert len(django_faults()) == count


def test_what_runs_beside_the_shop_takes_its_debug_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """The waiting room and the publisher read the same settings file."""
    monkeypatch.syspath_prepend(tmp_path)
    for number, debug in enumerate(("DEBUG = True\n", "DEBUG = 1\n", "DEBUG = False\n", "")):
        name = f"shop_settings_of_test_keys_{number}"
        (tmp_path / f"{name}.py").write_text(f"SECRET_KEY = 'dev'\nADMITGATE = {DJANGO!r}\n{debug}")
        if number < 2:
            assert config_from_environment(name).debug is True
        else:
            with pytest.raises(ConfigError, match="of an example"):
                config_from_environment(name)


# --- rotation


@pytest.mark.parametrize(
    ("key", "is_in"),
    [
        pytest.param(NEW_KEY, True, id="the key"),
        pytest.param(OLD_KEY, True, id="the one before"),
        pytest.param(KEY, True, id="the one before that"),
        pytest.param("a key that belongs to another shop", False, id="a stranger's"),
    ],
)
def test_the_newest_key_signs_and_every_listed_one_verifies(
    open_site: Opener, clock: Clock, key: str, is_in: bool
) -> None:
    """On each edge, in the order in which its framework lists them; a retired key never signs again."""
    site = open_site(capacity=0, secret_key=NEW_KEY, secret_key_fallbacks=[OLD_KEY, KEY])
    lease = Lease("A" * 16, clock.now_ms + 50_000, clock.now_ms + 40_000)
    browser = site.browser()
    browser.carry(Tokens([key]).write("gala", lease))
    assert site.is_in(browser) is is_in
    clock.forward(45)
    site.is_in(browser)
    token = browser.token()
    Tokens([NEW_KEY]).read("gala", token)
    for retired in (OLD_KEY, KEY):
        with pytest.raises(BadToken):
            Tokens([retired]).read("gala", token)


@pytest.mark.parametrize("form", ["l0", "l2", "l9", "t0", "t2", "o2", "L1", "l", "l11", "x1"])
def test_a_token_of_another_version_is_no_token(open_site: Opener, form: str) -> None:
    """Signed by the right key or not: a newcomer, and no error."""
    site = open_site()
    site.fill()
    far = 2**52
    for purpose in {form[0], "l", "t"}:
        token = signed(f"{form}.AAAAAAAAAAAAAAAA.{far}.{far}", purpose)
        answer = site.show(f"{sites.cookie_of('gala')}={token}")
        assert answer.status_code == 503
        assert "Set-Cookie" in answer.headers  # a number of their own


def signed(text: str, purpose: str) -> str:
    """What a gate of another version might have written."""
    signer = Signer(
        [KEY], salt=f"admitgate.{purpose}:gala", digest_method=hashlib.sha256, key_derivation="hmac"
    )
    return signer.sign(text).decode()
