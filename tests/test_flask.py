"""What is Flask's own: factories, several apps, g.admitgate, its keys. The rest is in test_gate.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sites
from flask import Blueprint, Flask, g, redirect, session
from sites import KEY, NEW_KEY, OLD_KEY, Browser, Clock, guarded
from werkzeug.middleware.proxy_fix import ProxyFix

from admitgate import ConfigError
from admitgate.admission import Admission
from admitgate.flask import AdmitGate

clock = sites.clock

MakeApp = Callable[..., Flask]


@pytest.fixture
def make_app(redis_url: str, clock: Clock) -> MakeApp:
    """A factory, as most Flask sites have one. Upper-case options are the gate's settings."""

    def make_app(gate: AdmitGate | None = None, *, key: Any = KEY, **settings: Any) -> Flask:
        app = Flask("shop")
        app.secret_key = key
        defaults = {
            "REDIS_URL": redis_url,
            "REDIS_TIMEOUT_SECONDS": 10,
            "RULES": [{"PATH": "/events/<event>/checkout", "CAPACITY": 1, "LEASE_SECONDS": 60}],
        }
        app.config["ADMITGATE"] = defaults | settings

        @app.get("/events/<event>/checkout")
        def checkout(event: str) -> str:
            return f"the checkout of {event}: {g.admitgate.event}"

        @app.get("/")
        def home() -> str:
            return str(g.admitgate)

        (gate or AdmitGate()).init_app(app)
        return app

    return make_app


def get(app: Flask, path: str = "/events/gala/checkout", **options: Any) -> Any:
    """A new visitor asks."""
    return Browser(guarded(app)).get(path, **options)


def test_init_app_puts_the_gate_before_the_app(make_app: MakeApp) -> None:
    """Room for one."""
    app = make_app()
    assert get(app).text == "the checkout of gala: gala"
    assert get(app).status_code == 503


def test_the_gate_may_be_given_the_app_at_once(redis_url: str, clock: Clock) -> None:
    """Without a factory; options are lower-case here."""
    app = Flask("shop")
    app.secret_key = KEY
    AdmitGate(app, redis_url=redis_url, rules=[{"path": "/checkout", "capacity": 0}])
    assert get(app, "/checkout").status_code == 503


def test_the_apps_settings_win_over_the_extensions(redis_url: str, make_app: MakeApp) -> None:
    """Options are defaults for all apps of a factory."""
    gate = AdmitGate(status_code=429, redis_url="redis://nowhere.invalid")
    app = make_app(gate, STATUS_CODE=202)
    get(app)
    assert get(app).status_code == 202


def test_one_extension_serves_several_apps(make_app: MakeApp) -> None:
    """Each has its own settings and its own memory."""
    gate = AdmitGate()
    one, two = make_app(gate), make_app(gate, RULES=[{"PATH": "/", "CAPACITY": 0}], MOUNT="/queue/")
    assert get(one, "/").text == "None"
    assert get(two, "/").status_code == 503
    assert get(two, "/queue/status/~Lw").json["event"] == "/"
    assert get(one, "/queue/status/~Lw").status_code == 404


def test_two_apps_with_different_keys_do_not_take_each_others_cookies(make_app: MakeApp) -> None:
    """A token is the app's that gave it."""
    one, two = make_app(key=OLD_KEY), make_app(key=NEW_KEY)
    browser = Browser(guarded(one))
    assert browser.get("/events/gala/checkout").status_code == 200
    browser.application = guarded(two)
    assert browser.get("/events/gala/checkout").status_code == 503


def test_an_app_gets_one_gate_only(make_app: MakeApp) -> None:
    """Two would each take a slot for every visitor."""
    app = make_app()
    with pytest.raises(RuntimeError, match="call init_app once"):
        AdmitGate().init_app(app)


def test_g_has_the_admission(make_app: MakeApp) -> None:
    """In every request: None where no rule is meant."""
    app = make_app()
    seen: list[Any] = []
    app.before_request(lambda: seen.append(g.admitgate))
    assert get(app, "/").text == "None"
    seen.clear()
    get(app)
    assert isinstance(seen[0], Admission)


def test_g_has_it_in_error_handlers_too(make_app: MakeApp) -> None:
    """A page that isn't there is a request like any other."""
    app = make_app()
    app.register_error_handler(404, lambda error: (f"nothing, {g.admitgate}", 404))
    assert get(app, "/nowhere").text == "nothing, None"


def test_waiting_visitors_cost_no_session(make_app: MakeApp) -> None:
    """The gate stands before sessions, before_request and the router."""
    app = make_app(RULES=[{"PATH": "/events", "CAPACITY": 0}])
    ran: list[int] = []
    app.before_request(lambda: ran.append(1))
    response = get(app)
    assert response.status_code == 503
    assert not ran


def test_sessions_and_the_gate_set_their_cookies_side_by_side(make_app: MakeApp) -> None:
    """Both are there."""
    app = make_app()

    @app.get("/events/<event>/checkout/basket")
    def basket(event: str) -> str:
        session["basket"] = [event]
        return "ok"

    cookies = get(app, "/events/gala/checkout/basket").headers.getlist("Set-Cookie")
    assert sorted(cookie.split("=")[0].split("_")[0] for cookie in cookies) == ["admitgate", "session"]


def test_blueprints_are_behind_the_gate(make_app: MakeApp, redis_url: str) -> None:
    """Whatever answers the path."""
    shop = Blueprint("vip", __name__)
    shop.add_url_rule("/checkout", view_func=lambda: "vip")
    app = make_app(RULES=[{"PATH": "/vip/checkout", "CAPACITY": 1, "LEASE_SECONDS": 60}])
    app.register_blueprint(shop, url_prefix="/vip")
    assert get(app, "/vip/checkout").text == "vip"
    assert get(app, "/vip/checkout").status_code == 503


def test_a_view_that_raises_keeps_the_slot(make_app: MakeApp) -> None:
    """Flask answers 500 with the visitor's cookie: they try again from inside."""
    app = make_app()
    app.view_functions["checkout"] = lambda event: 1 / 0
    browser = Browser(guarded(app))
    assert browser.get("/events/gala/checkout").status_code == 500
    app.view_functions["checkout"] = lambda event: "ok"
    assert browser.get("/events/gala/checkout").text == "ok"
    assert get(app).status_code == 503


def test_a_view_that_raises_through_gives_the_slot_back(make_app: MakeApp) -> None:
    """Where the app lets errors out (tests, debuggers), no cookie was ever sent."""
    app = make_app()
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.view_functions["checkout"] = lambda event: 1 / 0
    with pytest.raises(ZeroDivisionError):
        get(app)
    app.view_functions["checkout"] = lambda event: "ok"
    assert get(app).text == "ok"


def test_releasing_from_a_view(make_app: MakeApp) -> None:
    """g.admitgate.release(), here before a redirect to a page outside of the gate."""
    app = make_app()

    @app.get("/events/<event>/checkout/pay")
    def pay(event: str) -> Any:
        g.admitgate.release()
        return redirect("http://shop.example/")

    browser = Browser(guarded(app))
    assert browser.get("/events/gala/checkout/pay").status_code == 302
    assert not browser.tokens()
    assert get(app).status_code == 200


def test_releasing_from_a_payments_callback(make_app: MakeApp) -> None:
    """By the sid that was kept with the order, in whichever app is current."""
    gate = AdmitGate()
    app = make_app(gate)
    browser = Browser(guarded(app))
    browser.get("/events/gala/checkout")
    with app.app_context():
        gate.release("gala", browser.token().split(".")[1])
    assert get(app).status_code == 200


def test_staff_need_not_wait(make_app: MakeApp) -> None:
    """An exempt callable is given Flask's request, with its session open, before Flask has seen it."""
    rule = {"ENDPOINT": "checkout", "CAPACITY": 0}
    for rules in [[{"PATH": "/events/<event>/checkout", "CAPACITY": 0}], [rule]]:
        app = make_app(RULES=rules, EXEMPT=[lambda request: request.path != "/" and "staff" in session])
        app.view_functions["checkout"] = lambda event: "in"
        app.add_url_rule("/log-in", view_func=lambda: session.setdefault("staff", "Anna"))
        browser = Browser(guarded(app))
        assert browser.get("/events/gala/checkout").status_code == 503
        browser.get("/log-in")
        assert browser.get("/events/gala/checkout").text == "in"


def test_proxy_fix_goes_around_the_gate(make_app: MakeApp) -> None:
    """Wrapped around afterwards, it tells the gate of https."""
    app = make_app()
    app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1)  # type: ignore[method-assign]
    assert "Secure" in get(app, headers={"X-Forwarded-Proto": "https"}).headers["Set-Cookie"]


# --- keys and settings


@pytest.mark.parametrize("key", [KEY, b"_5#y2L\x00\xec]/" + bytes(range(32))], ids=["text", "bytes"])
def test_flasks_key_is_the_gates(make_app: MakeApp, key: Any) -> None:
    """Flask takes bytes as well."""
    assert get(make_app(key=key)).status_code == 200


def test_flasks_retired_keys_verify(redis_url: str, make_app: MakeApp) -> None:
    """SECRET_KEY_FALLBACKS."""
    browser = Browser(guarded(make_app(key=OLD_KEY)))
    browser.get("/events/gala/checkout")
    app = Flask("shop")
    app.config.update(
        SECRET_KEY=NEW_KEY,
        SECRET_KEY_FALLBACKS=[OLD_KEY],
        ADMITGATE={"REDIS_URL": redis_url, "RULES": [{"PATH": "/events/<event>/checkout", "CAPACITY": 1}]},
    )
    app.add_url_rule("/events/gala/checkout", view_func=lambda: "inside")
    AdmitGate(app)
    browser.application = guarded(app)
    assert browser.get("/events/gala/checkout").text == "inside"


def test_the_gate_may_have_keys_of_its_own(make_app: MakeApp) -> None:
    """So that sessions and places need not be changed together."""
    own = {"SECRET_KEY": KEY}
    browser = Browser(guarded(make_app(key=OLD_KEY, **own)))
    browser.get("/events/gala/checkout")
    browser.application = guarded(make_app(key=NEW_KEY, **own))
    assert browser.get("/events/gala/checkout").status_code == 200


def test_an_app_without_a_key_is_refused(make_app: MakeApp) -> None:
    """With the cure."""
    with pytest.raises(ConfigError, match="secret_key is missing"):
        make_app(key=None)


def test_an_app_without_settings_is_told_every_fault() -> None:
    """Rules, Redis, key."""
    with pytest.raises(ConfigError) as caught:
        AdmitGate(Flask("shop"))
    assert [fault.split()[0] for fault in sorted(caught.value.faults)] == ["redis_url", "rules", "secret_key"]


def test_a_refused_app_can_be_corrected_and_tried_again(make_app: MakeApp, redis_url: str) -> None:
    """Nothing is half done."""
    app = Flask("shop")
    with pytest.raises(ConfigError):
        AdmitGate(app)
    app.secret_key = KEY
    app.config["ADMITGATE"] = {"REDIS_URL": redis_url, "RULES": [{"PATH": "/", "CAPACITY": 0}]}
    AdmitGate(app)
    assert get(app, "/").status_code == 503
