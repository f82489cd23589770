"""A place that is bound to an account: shared by its devices, worthless in anybody else's hands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
import redis
import sites
from django.core import checks
from django.http import HttpRequest
from django.test import override_settings
from flask import Flask, session
from sites import (
    CHECK_IN,
    CHECKOUT,
    HOME,
    JSON,
    KEY,
    LEAVE,
    NEW_KEY,
    THANKS,
    Browser,
    Clock,
    Opener,
    Site,
    cookie_of,
    guarded,
)

from admitgate import AdmitGate, Config, ConfigError, Rule
from admitgate.config import config_from_environment
from admitgate.django import account_of as django_account
from admitgate.flask import AdmitGate as FlaskGate
from admitgate.identity import account_of
from admitgate.tokens import Lease, Tokens, is_of_account

clock, open_site = sites.clock, sites.open_site

AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
GATE = "admitgate.django.AdmitGateMiddleware"


def header_of(request: Any, name: str) -> str | None:
    """A header of whatever a framework calls its request."""
    if isinstance(request, dict) and "headers" in request:  # ASGI's scope
        return {key.decode(): value.decode() for key, value in request["headers"]}.get(name)
    environ = request if isinstance(request, dict) else getattr(request, "META", None) or request.environ
    value: str | None = environ.get("HTTP_" + name.upper().replace("-", "_"))
    return value


def named(request: Any) -> str | None:
    """A shop whose visitors simply say who they are."""
    return header_of(request, "x-account")


def as_(account: str | None) -> dict[str, Any]:
    """The options of a request by somebody who is logged in; None: who isn't."""
    return {"headers": {"X-Account": account} if account else {}}


def device(site: Site) -> Browser:
    """Another browser."""
    return site.browser()


def is_in(browser: Browser, account: str | None) -> bool:
    """Does the account see the check-out on this device?"""
    return browser.get(CHECKOUT, **as_(account)).data == b"the checkout"


def checks_in(browser: Browser, account: str | None) -> str:
    """What the page hears that asks in person."""
    state: str = browser.post(CHECK_IN, **as_(account)).json["state"]
    return state


def leases(client: redis.Redis) -> int:
    """How many slots are in use."""
    return sum(client.zcard(key) - 1 for key in client.scan_iter("*:leases"))


# --- one account, one slot


def test_a_second_device_of_an_account_shares_the_slot(open_site: Opener, redis_client: redis.Redis) -> None:
    """It goes in although nobody else would, and takes nothing from anybody."""
    site = open_site(identity=named)
    phone, laptop = device(site), device(site)
    assert is_in(phone, "ada")
    assert not is_in(device(site), "bob")
    assert is_in(laptop, "ada")
    assert leases(redis_client) == 1
    assert phone.token() != laptop.token() or phone.token().split(".")[1] == laptop.token().split(".")[1]


def test_both_devices_of_an_account_stay_in(open_site: Opener, clock: Clock) -> None:
    """Each renews the slot with a token of its own, and neither looks like a copy of the other's."""
    site = open_site(identity=named, lease_overlap_seconds=1)
    phone, laptop = device(site), device(site)
    assert is_in(phone, "ada")
    assert is_in(laptop, "ada")
    for _ in range(4):
        clock.forward(25)
        assert is_in(phone, "ada")
        clock.forward(20)
        assert is_in(laptop, "ada")


def test_a_second_device_in_line_goes_in_when_the_first_one_has(open_site: Opener, clock: Clock) -> None:
    """Though its own ticket is far behind."""
    site = open_site(identity=named)
    inside = site.fill()
    phone, laptop = device(site), device(site)
    assert not is_in(phone, "ada")
    others = [device(site) for _ in range(20)]
    assert not any(is_in(other, None) for other in others)
    assert not is_in(laptop, "ada")
    inside.get(THANKS)
    clock.forward(7)
    checks_in(phone, "ada")
    clock.forward(7)
    assert checks_in(phone, "ada") == "admitted"
    assert is_in(laptop, "ada")
    assert not any(is_in(other, None) for other in others[:3])


@pytest.mark.parametrize("later", [0, 1], ids=["in the same millisecond", "a second later"])
def test_a_404_on_a_second_device_ends_nothing_on_the_first(
    open_site: Opener, clock: Clock, later: int
) -> None:
    """A first visit's 404 gives its slot back; this one isn't, and its end would look like a loss to all."""
    site = open_site(identity=named, verify_every_request=True)
    phone, laptop = device(site), device(site)
    assert is_in(phone, "ada")
    clock.forward(later)
    site.shop.view = lambda seen: sites.Said(404, b"no such page")
    assert laptop.get(CHECKOUT, **as_("ada")).status_code == 404
    site.shop.view = lambda seen: sites.Said()
    assert is_in(phone, "ada")


def test_a_404_at_an_accounts_first_visit_gives_the_slot_back(
    open_site: Opener, redis_client: redis.Redis
) -> None:
    """As anybody's: an invented event leaves no keys."""
    site = open_site(identity=named)
    site.shop.view = lambda seen: sites.Said(404, b"no such page")
    assert device(site).get(CHECKOUT, **as_("ada")).status_code == 404
    assert list(redis_client.scan_iter("admitgate:*")) == []


def test_who_has_paid_can_line_up_again(open_site: Opener, clock: Clock) -> None:
    """The name comes again, and isn't taken for the slot that was given back; nor is its old ticket good."""
    site = open_site(identity=named, verify_every_request=True)
    site.fill()
    ada = device(site)
    assert not is_in(ada, "ada")
    old_ticket = ada.token()
    clock.forward(61)
    checks_in(ada, "ada")
    clock.forward(7)
    assert checks_in(ada, "ada") == "admitted"
    assert is_in(ada, "ada")
    old_lease = ada.token()
    ada.get(THANKS, **as_("ada"))
    inside = site.fill()
    replaying = device(site)
    replaying.carry(old_ticket)
    assert checks_in(replaying, "ada") == "gone"
    clock.forward(1)
    assert not is_in(ada, "ada")
    replaying.carry(old_lease)
    assert checks_in(replaying, "ada") == "gone"
    inside.get(THANKS)
    clock.forward(7)
    checks_in(ada, "ada")
    clock.forward(7)
    assert checks_in(ada, "ada") == "admitted"


# --- a copied cookie


@pytest.mark.parametrize(
    "holder", [pytest.param("bob", id="by another account"), pytest.param(None, id="by nobody")]
)
def test_a_copied_lease_is_worth_nothing(open_site: Opener, holder: str | None) -> None:
    """Its holder is a newcomer like any other, who can give nothing back either."""
    site = open_site(identity=named)
    ada, thief = device(site), device(site)
    assert is_in(ada, "ada")
    thief.carry(ada.token())
    assert checks_in(thief, holder) == "no-ticket"
    thief.post(LEAVE, **as_(holder))
    thief.carry(ada.token())
    thief.get(THANKS, **as_(holder))
    assert not is_in(thief, holder)
    assert is_in(ada, "ada")


def test_a_copied_ticket_is_worth_nothing(open_site: Opener) -> None:
    """The holder gets a number of their own, behind."""
    site = open_site(identity=named)
    site.fill()
    ada, thief = device(site), device(site)
    number = ada.get(CHECKOUT, headers={"X-Account": "ada", "Accept": "application/json"}).json["number"]
    thief.carry(ada.token())
    theirs = thief.get(CHECKOUT, headers={"X-Account": "bob", "Accept": "application/json"}).json["number"]
    assert theirs == number + 1
    assert checks_in(ada, "ada") == "waiting" or checks_in(ada, "ada") == "ready"


def test_somebody_elses_token_hides_nobodys_own(open_site: Opener) -> None:
    """Of an account that was here before, or planted by another site below the same domain."""
    site = open_site(identity=named)
    eve, ada = device(site), device(site)
    assert is_in(eve, "eve")
    as_ada = {"headers": {**JSON, "X-Account": "ada"}}
    number = ada.get(CHECKOUT, **as_ada).json["number"]
    both = "; ".join(f"{cookie_of('gala')}={browser.token()}" for browser in (eve, ada))
    assert site.show(both, **as_ada).json["number"] == number
    assert site.show(both, **as_("eve")).data == b"the checkout"


def test_who_logs_in_keeps_the_place_they_had(open_site: Opener, redis_client: redis.Redis) -> None:
    """A place without an account counts for whoever has its cookie."""
    site = open_site(identity=named)
    browser = device(site)
    assert is_in(browser, None)
    token = browser.token()
    assert is_in(browser, "ada")
    assert browser.token() == token
    assert not is_of_account(token.split(".")[1])
    assert leases(redis_client) == 1


def test_the_waiting_room_takes_an_accounts_ticket_by_its_signature(redis_url: str, clock: Clock) -> None:
    """Nobody is logged in there. In the shop it is worth nothing to anybody else."""
    options = {
        "secret_key": KEY,
        "redis_url": redis_url,
        "rules": [Rule("/checkout", capacity=0, event="gala")],
    }
    shop = Browser(AdmitGate(lambda environ, start: [], identity=named, **options))
    room = Browser(AdmitGate(lambda environ, start: [], **options))
    assert shop.get("/checkout", **as_("ada")).status_code == 503
    room.carry(shop.token())
    assert checks_in(room, None) in ("waiting", "ready")


# --- when it is asked


def test_it_is_asked_only_where_it_matters(open_site: Opener) -> None:
    """Not where no rule is meant, not for the shared status, and not for a token that is nobody's."""
    asked: list[str] = []

    def identity(request: Any) -> str | None:
        asked.append("")
        return named(request)

    site = open_site(identity=identity, capacity=2)
    anonymous, ada = device(site), device(site)
    anonymous.get(HOME)
    anonymous.get("/_admitgate/status/gala")
    assert asked == []
    is_in(anonymous, None)
    assert len(asked) == 1
    is_in(anonymous, "ada")
    assert len(asked) == 1
    is_in(ada, "ada")
    is_in(ada, "ada")
    assert len(asked) == 3


def test_one_that_breaks_breaks_the_request_and_costs_nobody_a_place(
    open_site: Opener, redis_client: redis.Redis
) -> None:
    """Nobody goes in, no cookie changes, and the application's own error handling hears of it."""
    is_broken = []

    def identity(request: Any) -> str | None:
        if is_broken:
            raise ZeroDivisionError("the accounts are away")
        return named(request)

    site = open_site(identity=identity)
    ada = device(site)
    assert is_in(ada, "ada")
    token = ada.token()
    is_broken.append(True)
    with suppress(ZeroDivisionError):
        assert ada.get(CHECKOUT, **as_("ada")).status_code == 500
    is_broken.clear()
    assert ada.token() == token
    assert is_in(ada, "ada")
    assert leases(redis_client) == 1


@pytest.mark.parametrize(
    ("given", "account"),
    [
        pytest.param(None, None, id="None is nobody"),
        pytest.param("", None, id="an empty text is nobody"),
        pytest.param("ada", "ada", id="a name"),
        pytest.param(0, "0", id="a number, though it is 0"),
        pytest.param(UUID(int=7), str(UUID(int=7)), id="a UUID"),
    ],
)
def test_what_an_account_may_be(given: Any, account: str | None) -> None:
    """One text, the same on every device."""
    assert account_of(lambda request: given, None) == account


@pytest.mark.parametrize(
    "given", [object(), True, b"ada", 1.5, ("ada",)], ids=lambda value: type(value).__name__
)
def test_what_an_account_may_not_be(given: Any) -> None:
    """A user object has one name, 'AnonymousUser', for all who aren't logged in: they would share a place."""
    with pytest.raises(TypeError, match="let it return the account's id"):
        account_of(lambda request: given, None)


# --- names


def test_an_accounts_name_is_the_same_everywhere() -> None:
    """In every worker, for one event; its tag, which places are counted by, is its own."""
    tokens = Tokens([KEY])
    sid = tokens.sid_of("gala", account="ada")
    assert Tokens([KEY]).sid_of("gala", account="ada") == sid
    assert is_of_account(sid)
    others = [
        tokens.sid_of("opera", account="ada"),
        tokens.sid_of("gala", account="bob"),
        tokens.sid_of("gala", account="Ada"),
        Tokens([NEW_KEY]).sid_of("gala", account="ada"),
    ]
    assert len({sid[:5], *(other[:5] for other in others)}) == 5


def test_event_and_account_do_not_run_into_each_other() -> None:
    """Whatever either is called."""
    tokens = Tokens([KEY])
    assert tokens.sid_of("a", account="b:c") != tokens.sid_of("a:b", account="c")
    assert tokens.sid_of("1:a", account="b") != tokens.sid_of("1", account=":ab")


def test_an_accounts_tokens_are_read_while_keys_are_changed() -> None:
    """With the old key's name and with the new one's; then the old one is nobody's."""
    old, both, new = Tokens([KEY]), Tokens([KEY, NEW_KEY]), Tokens([NEW_KEY])
    before, after = old.sid_of("gala", account="ada"), both.sid_of("gala", account="ada")
    assert before != after == new.sid_of("gala", account="ada")
    assert both.is_of("gala", before, "ada")
    assert both.is_of("gala", after, "ada")
    assert not both.is_of("gala", before, "bob")
    assert not both.is_of("gala", before, None)
    assert not new.is_of("gala", before, "ada")


def test_a_token_may_carry_either_kind_of_name() -> None:
    """And no third one."""
    tokens = Tokens([KEY])
    lease = Lease(tokens.sid_of("gala", account="ada"), 2, 1)
    assert tokens.read("gala", tokens.write("gala", lease)) == lease


def test_the_clients_of_one_address_share_a_tag_and_nothing_else() -> None:
    """The tag is keyed: nobody can choose an address for its sake. Of whom nothing is known it is random."""
    tokens = Tokens([KEY])
    first, second = (tokens.sid_of("gala", client="192.0.2.1") for _ in range(2))
    assert first[:5] == second[:5]
    assert first != second
    others = [
        tokens.sid_of("gala", client="192.0.2.2"),
        tokens.sid_of("opera", client="192.0.2.1"),
        Tokens([NEW_KEY]).sid_of("gala", client="192.0.2.1"),
        tokens.sid_of("gala"),
        tokens.sid_of("gala"),
    ]
    assert len({first[:5], *(other[:5] for other in others)}) == 6
    assert not any(map(is_of_account, [first, *others]))


# --- settings


def options(redis_url: str = "redis://localhost", **given: Any) -> dict[str, Any]:
    """Settings that are otherwise right."""
    return {"secret_key": KEY, "redis_url": redis_url, "rules": [Rule("/checkout", capacity=1)], **given}


def test_a_dotted_path_is_imported() -> None:
    """As Django's settings name things."""
    config = Config.from_options(options(identity="admitgate.django.account_of"))
    assert config.identity is django_account


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("shop.nowhere.account_of", id="a module that isn't there"),
        pytest.param("admitgate.django.nobody", id="a name that isn't there"),
        pytest.param("account_of", id="no dot"),
        pytest.param("", id="nothing"),
        pytest.param("admitgate.django.identity", id="a module"),
        pytest.param(7, id="a number"),
    ],
)
def test_what_cannot_be_called_is_refused_with_a_sentence(given: Any) -> None:
    """At start, with the value in it."""
    with pytest.raises(ConfigError) as caught:
        Config.from_options(options(identity=given))
    (fault,) = caught.value.faults
    assert fault.startswith(f"identity is {given!r}")
    assert "dotted path" in fault


def test_the_waiting_room_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """On its servers the shop's accounts can't even be imported."""
    module = ModuleType("shop_settings")
    vars(module)["ADMITGATE"] = {
        "RULES": [{"path": "/", "capacity": 1}],
        "IDENTITY": "shop.accounts.account_of",
    }
    monkeypatch.setitem(sys.modules, "shop_settings", module)
    monkeypatch.setenv("ADMITGATE_SECRET_KEY", KEY)
    monkeypatch.setenv("ADMITGATE_REDIS_URL", "redis://localhost")
    monkeypatch.setenv("ADMITGATE_IDENTITY", "shop.y")
    assert config_from_environment("shop_settings").identity is None


# --- the frameworks' own


@pytest.fixture
def flask_app(redis_url: str, clock: Clock) -> Iterator[Flask]:
    """A Flask shop with its accounts in the session."""
    app = Flask("shop")
    app.secret_key = KEY
    rule = {"PATH": "/checkout", "CAPACITY": 1, "EVENT": "gala"}
    app.config["ADMITGATE"] = {
        "REDIS_URL": redis_url,
        "REDIS_TIMEOUT_SECONDS": 10,
        "RULES": [rule, {"ENDPOINT": "desk", "CAPACITY": 1}],
        "IDENTITY": lambda request: session.get("account") or request.headers.get("X-Account"),
    }

    @app.get("/login/<account>")
    def login(account: str) -> str:
        session["account"] = account
        return account

    app.add_url_rule("/checkout", "checkout", lambda: "the checkout")
    app.add_url_rule("/desk", "desk", lambda: "the checkout")
    FlaskGate().init_app(app)
    return app


@pytest.mark.parametrize(
    "path", [pytest.param("/checkout", id="a path"), pytest.param("/desk", id="an endpoint")]
)
def test_flask_finds_its_session_open(flask_app: Flask, path: str) -> None:
    """The gate stands before Flask, and the account is known there all the same."""
    site = guarded(flask_app)
    phone, laptop, other = Browser(site), Browser(site), Browser(site)
    for browser, account in ((phone, "ada"), (laptop, "ada"), (other, "bob")):
        browser.get(f"/login/{account}")
    seen = [browser.get(path).status_code for browser in (phone, laptop, other)]
    assert seen == [200, 200, 503]


class User:
    """As django.contrib.auth has it."""

    pk = UUID(int=7)

    def __init__(self, is_authenticated: bool) -> None:
        self.is_authenticated = is_authenticated


def test_django_asks_request_user() -> None:
    """The primary key, whatever it is; None for who isn't logged in."""
    request = HttpRequest()
    request.user = User(False)  # type: ignore[attr-defined]
    assert django_account(request) is None
    request.user = User(True)  # type: ignore[attr-defined]
    assert django_account(request) == str(UUID(int=7))


@pytest.mark.parametrize(
    ("middleware", "ids"),
    [
        pytest.param([SESSIONS, AUTHENTICATION, GATE], set(), id="behind it, all is well"),
        pytest.param([GATE, SESSIONS, AUTHENTICATION], {"admitgate.W006"}, id="before it"),
        pytest.param([GATE], {"admitgate.W006"}, id="without it"),
    ],
)
def test_django_says_where_the_gate_has_to_stand(
    middleware: list[str], ids: set[str], redis_url: str
) -> None:
    """admitgate.W006; and sessions before the gate are then no waste."""
    rule = {"PATH": "/checkout", "CAPACITY": 1}
    given = {"REDIS_URL": redis_url, "RULES": [rule], "IDENTITY": "admitgate.django.account_of"}
    with override_settings(MIDDLEWARE=middleware, ADMITGATE=given, ROOT_URLCONF=()):
        messages = [message for message in checks.run_checks() if (message.id or "").startswith("admitgate")]
    assert {message.id for message in messages} == ids
    assert all(message.hint for message in messages)
