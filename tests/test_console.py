"""The operator's console on every edge: who gets in, what a form must bring, and what is done by it."""

from __future__ import annotations

import json
import re
import time
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
import redis
import sites
from click.testing import CliRunner
from sites import CHECKOUT, KEY, Browser, Opener, Site
from werkzeug.test import TestResponse

from admitgate import Config, ConfigError
from admitgate.cli import main
from admitgate.console import access
from admitgate.console.access import Access, enter_path
from admitgate.control import Change, Control
from admitgate.django.console import is_operator
from admitgate.names import event_slug
from admitgate.room import WaitingRoom

pytestmark = pytest.mark.filterwarnings("ignore:Absolute URLs required")  # RFC 9110 wants none
open_site, open_plain, clock = sites.open_site, sites.open_plain, sites.clock

CONSOLE, GALA = "/_admitgate/console/", "/_admitgate/console/event/gala"
HERE = {"Origin": "http://shop.example"}
ANNA = {"Operator": "Anna"}
EVERYWHERE = {"path": "/<path:event>/checkout", "capacity": 1, "lease_seconds": 60, "admit_per_minute": 6000}
HOSTILE = [
    pytest.param("<script>alert(1)</script>", id="a script"),
    pytest.param('"><img src=x onerror=alert(1)>', id="an attribute's end"),
    pytest.param("' autofocus onfocus=alert(1) '", id="a handler"),
    pytest.param("</title><base href=//evil.example>", id="a title's end"),
    pytest.param("{{ 7 * 7 }}{% raw %}", id="a template"),
    pytest.param("ümläut 東京 🎟", id="other letters"),
    pytest.param("a" * 120, id="a long name"),
]


def by_header(request: Any) -> str | None:
    """A site's own log-in, on each edge: who it is stands in a header, for tests."""
    if isinstance(request, dict) and "headers" in request:
        return dict(request["headers"]).get(b"operator", b"").decode() or None
    environ = getattr(request, "META", None) or getattr(request, "environ", None) or request
    return environ.get("HTTP_OPERATOR")


class Looked(HTMLParser):
    """A page as a browser takes it apart."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._is_code = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._is_code = tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._is_code = False

    def handle_data(self, data: str) -> None:
        if not self._is_code:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def fields(self) -> dict[str, str]:
        """What the hidden fields hold."""
        inputs = [attrs for tag, attrs in self.tags if tag == "input" and attrs.get("type") == "hidden"]
        return {str(attrs["name"]): str(attrs["value"]) for attrs in inputs}


class Desk:
    """An operator before the console of a site."""

    def __init__(self, site: Site, name: str = "Anna") -> None:
        self.browser, self._who = site.browser(), {"Operator": name}

    def see(self, path: str = GALA) -> TestResponse:
        return self.browser.get(path, headers=self._who)

    def token(self, path: str = GALA) -> str:
        return Looked(self.see(path).text).fields()["form_token"]

    def send(self, form: dict[str, str], path: str = GALA, **headers: str) -> TestResponse:
        """A form as the page sends it."""
        data = {"form_token": form.pop("form_token", None) or self.token(), **form}
        return self.browser.post(path, data=data, headers={**self._who, **(headers or HERE)})

    def do(self, path: str = GALA, **form: str) -> TestResponse:
        """Ask, and say yes."""
        asked = self.send(dict(form), path)
        assert asked.status_code == 200, asked.text
        extra = {"all": "yes"} if form["action"] == "reset" else {}
        return self.send({**Looked(asked.text).fields(), "action": form["action"], **extra}, path)


@pytest.fixture
def open_desk(open_site: Opener) -> Any:
    """Opens a site with a console, and a desk before it."""

    def make(**options: Any) -> tuple[Site, Desk]:
        site = open_site(console=by_header, **options)
        return site, Desk(site)

    return make


@pytest.fixture
def plain_desk(open_plain: Opener) -> tuple[Site, Desk]:
    """The same on the WSGI edge only, where the edge makes no difference."""
    site = open_plain(console=by_header, rules=[EVERYWHERE])
    return site, Desk(site)


def control(redis_url: str, **options: Any) -> Control:
    """The levers, pulled from another process."""
    given = {"rules": [EVERYWHERE], "secret_key": KEY, "redis_url": redis_url, "redis_timeout_seconds": 10}
    return Control.of(Config.from_options({**given, **options}))


def log(redis_url: str, event: str = "gala") -> list[Change]:
    rules = [{"path": "/events/<event>/checkout", "capacity": 1}]
    return control(redis_url, rules=rules).event(event).log()


# --- who gets in


def test_a_console_that_nobody_configured_is_not_there(open_site: Opener) -> None:
    """It is one of the addresses below the mount that there aren't, whoever asks, however."""
    site = open_site()
    site.fill()
    nothing = site.browser().get("/_admitgate/nothing/")
    for path in (CONSOLE, GALA, enter_path("/_admitgate/", "x")):
        for ask in (site.browser().get, site.browser().post):
            answer = ask(path, headers={**ANNA, **HERE})
            assert (answer.status_code, answer.data) == (404, nothing.data)


def test_to_a_stranger_it_looks_as_if_it_were_off(open_desk: Any) -> None:
    """The same answer to the byte, and no cookie that would tell."""
    site, _ = open_desk()
    site.fill()
    nothing = site.browser().get("/_admitgate/nothing/")
    for path in (CONSOLE, GALA, CONSOLE + "event/none", CONSOLE + "leave", CONSOLE + "enter?token=x"):
        for ask in (site.browser().get, site.browser().post):
            answer = ask(path, headers=HERE)
            assert (answer.status_code, answer.data) == (404, nothing.data)
            assert "Set-Cookie" not in answer.headers


def test_an_operator_sees_the_events_and_each_of_them(open_desk: Any) -> None:
    """Live numbers, charts with their table, levers and the log, under the operator's name."""
    site, desk = open_desk()
    site.fill()
    site.browser().get(CHECKOUT)
    events = desk.see(CONSOLE)
    assert events.status_code == 200
    assert "gala Queueing 1 of 1 in flight" in Looked(events.text).text
    page = Looked(desk.see().text)
    assert "Anna" in page.text
    for word in ("In flight", "Waiting", "Admitted per minute", "How long they had waited", "No-shows"):
        assert word in page.text
    assert [tag for tag, _ in page.tags].count("svg") == 5
    assert [tag for tag, _ in page.tags].count("tr") == 61
    assert "Nobody has changed anything yet." in page.text


def test_its_pages_are_kept_by_nobody_and_framed_nowhere(open_desk: Any) -> None:
    """No store, no frame, no sniffing, and no script or style but the page's own, by their hashes."""
    _, desk = open_desk()
    headers = desk.see(CONSOLE).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert re.search(r"script-src 'sha256-[^']+';", policy)
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_it_stands_below_the_applications_own_root(open_desk: Any) -> None:
    """Its addresses and its cookie's, where a server mounts the application below a path."""
    _, desk = open_desk()
    below = desk.browser.get(CONSOLE, headers=ANNA, base_url="http://shop.example/box")
    assert 'action="/box/_admitgate/console/"' in below.text
    assert "Path=/box/_admitgate/console/" in below.headers["Set-Cookie"]


def test_head_has_no_body_and_other_methods_nothing_to_do(open_desk: Any) -> None:
    """As everywhere."""
    _, desk = open_desk()
    assert desk.browser.head(CONSOLE, headers=ANNA).data == b""
    assert desk.browser.put(CONSOLE, headers={**ANNA, **HERE}).status_code == 405


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(None, id="None"),
        pytest.param("", id="an empty name"),
        pytest.param(" \n", id="a blank name"),
        pytest.param(True, id="True, which names nobody"),
        pytest.param(SimpleNamespace(is_anonymous=True), id="a user object, which may be an anonymous one"),
    ],
)
def test_what_is_no_name_lets_nobody_in(open_plain: Opener, answer: Any) -> None:
    """An operator has a name, for the log."""
    site = open_plain(console=lambda request: answer)
    assert site.browser().get(CONSOLE).status_code == 404


def test_a_log_in_that_breaks_lets_nobody_in(open_plain: Opener, caplog: pytest.LogCaptureFixture) -> None:
    """And says so to the log."""
    site = open_plain(console=lambda request: {}["user"])
    assert site.browser().get(CONSOLE).status_code == 404
    assert "could not be asked" in caplog.text


def test_the_place_of_a_callable_will_do(open_site: Opener) -> None:
    """It is looked up when somebody comes."""
    site = open_site(console="test_console.by_header")
    assert Desk(site).see(CONSOLE).status_code == 200
    assert site.browser().get(CONSOLE).status_code == 404


@pytest.mark.parametrize(
    ("user", "name"),
    [
        pytest.param({}, "anna", id="of the staff with the permission"),
        pytest.param({"is_staff": False}, None, id="not of the staff"),
        pytest.param({"is_active": False}, None, id="left the staff"),
        pytest.param({"has_perm": lambda permission: False}, None, id="without the permission"),
    ],
)
def test_djangos_staff_with_a_permission(user: dict[str, Any], name: str | None) -> None:
    """All three, and a request that knows no user is nobody's."""
    known = {
        "is_staff": True,
        "is_active": True,
        "has_perm": lambda permission: permission == "admitgate.operate",
        "get_username": lambda: "anna",
    }
    assert is_operator(SimpleNamespace(user=SimpleNamespace(**{**known, **user}))) == name
    assert is_operator({"wsgi.input": None}) is None


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(True, id="True"),
        pytest.param("", id="nothing"),
        pytest.param("anna", id="a name"),
        pytest.param(["shop.staff"], id="a list"),
    ],
)
def test_a_console_for_nobody_in_particular_is_refused(value: Any) -> None:
    """With name, value and cure."""
    options = {"rules": [EVERYWHERE], "secret_key": KEY, "redis_url": "redis://localhost", "console": value}
    with pytest.raises(ConfigError) as error:
        Config.from_options(options)
    (fault,) = error.value.faults
    assert fault.startswith(f"console is {value!r}: give who may operate: a callable")


# --- by a link


def link(name: str = "Anna", seconds: float = 600, **options: Any) -> str:
    """What ``admitgate console-link`` makes."""
    given = {"rules": [EVERYWHERE], "secret_key": KEY, "redis_url": "redis://localhost", "console": "link"}
    config = Config.from_options({**given, **options})
    return enter_path(config.mount, Access(config).link_token(name, seconds))


def test_a_link_opens_the_console_for_its_name(open_site: Opener, redis_url: str) -> None:
    """Its cookie is a key: for no script, for no other site, for no other path."""
    site = open_site(console="link")
    site.fill()
    desk = Desk(site)
    assert desk.see(CONSOLE).status_code == 404
    entered = desk.browser.get(link("Anna Weber"))
    assert "Good to see you, Anna Weber" in Looked(entered.text).text
    cookie = entered.headers["Set-Cookie"]
    for part in ("HttpOnly", "SameSite=Strict", "Path=/_admitgate/console/", "Max-Age=28800"):
        assert part in cookie
    assert desk.see(CONSOLE).status_code == 200
    assert desk.do(action="pause").status_code == 303
    assert log(redis_url)[0].who == "Anna Weber"
    assert desk.send({}, CONSOLE + "leave").status_code == 200
    assert desk.see(CONSOLE).status_code == 404


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(enter_path("/_admitgate/", ""), id="no token"),
        pytest.param(enter_path("/_admitgate/", "WyJBbm5hIiw2MDBd.x"), id="no signature"),
        pytest.param(link(seconds=-1), id="its time is over"),
        pytest.param(link(secret_key="another shop's key, as long as ours is"), id="another key"),
    ],
)
def test_a_link_that_is_not_ours_or_too_old_opens_nothing(open_plain: Opener, forged: str) -> None:
    """To whom it is shown there is no console."""
    browser = open_plain(console="link").browser()
    answer = browser.get(forged)
    assert answer.status_code == 404
    assert "Set-Cookie" not in answer.headers


def test_a_link_is_no_session_and_a_session_no_link(open_plain: Opener) -> None:
    """Each is signed for its own purpose."""
    site = open_plain(console="link")
    token = link().partition("token=")[2]
    assert site.show(f"admitgate_console={token}", CONSOLE).status_code == 404
    entered = site.browser().get(link()).headers["Set-Cookie"]
    session = entered.partition(";")[0].partition("=")[2]
    assert site.show(f"admitgate_console={session}", CONSOLE).status_code == 200
    assert site.browser().get(enter_path("/_admitgate/", session)).status_code == 404


def test_a_session_ends_after_a_working_day(open_plain: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the browser keeps."""
    site = open_plain(console="link")
    cookie = site.browser().get(link()).headers["Set-Cookie"].partition(";")[0]
    assert site.show(cookie, CONSOLE).status_code == 200
    later = time.time() + access.session_seconds + 1
    monkeypatch.setattr(access, "time", SimpleNamespace(time=lambda: later))
    assert site.show(cookie, CONSOLE).status_code == 404


def test_a_link_is_for_a_console_that_takes_links(open_desk: Any) -> None:
    """Where the site has a log-in, none is a way round it."""
    site, _ = open_desk()
    assert site.browser().get(link()).status_code == 404


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs ``admitgate console-link``."""
    settings = {"RULES": json.dumps([EVERYWHERE]), "SECRET_KEY": KEY, "REDIS_URL": "redis://localhost"}
    for name, value in {**settings, "CONSOLE": "link"}.items():
        monkeypatch.setenv(f"ADMITGATE_{name}", value)
    return lambda *words: CliRunner().invoke(main, ["console-link", *words])


def test_the_command_makes_a_link_that_opens(open_plain: Opener, run: Any) -> None:
    """Without asking Redis; as JSON, too."""
    made = run("Anna Weber", "--site", "http://shop.example/")
    assert made.exit_code == 0
    link = made.stdout.strip()
    assert link.startswith("http://shop.example/_admitgate/console/enter?token=")
    browser = open_plain(console="link").browser()
    assert "Good to see you, Anna Weber" in browser.get(link.removeprefix("http://shop.example")).text
    assert json.loads(run("Anna", "--json", "--minutes", "5").stdout)["minutes"] == 5


@pytest.mark.parametrize(
    ("words", "console", "said"),
    [
        pytest.param(["Anna"], "shop.staff.operator", "takes no links", id="the site has a log-in"),
        pytest.param([" "], "link", "can't stand in the log", id="no name"),
        pytest.param(["Anna\u202e"], "link", "can't stand in the log", id="a name that turns the log round"),
        pytest.param(["Anna", "--site", "shop"], "link", "--site is 'shop'", id="no address"),
        pytest.param(["Anna", "--minutes", "61"], "link", "--minutes", id="for more than an hour"),
    ],
)
def test_the_command_says_why_it_makes_none(
    run: Any, monkeypatch: pytest.MonkeyPatch, words: list[str], console: str, said: str
) -> None:
    """One sentence, and a status that isn't 0."""
    monkeypatch.setenv("ADMITGATE_CONSOLE", console)
    made = run(*words)
    assert made.exit_code in (1, 2)
    assert said in made.output
    assert "token=" not in made.output


def test_the_waiting_room_on_its_own_servers_has_it_too(redis_url: str) -> None:
    """There nobody is logged in, so by a link."""
    given = {"rules": [EVERYWHERE], "secret_key": KEY, "redis_url": redis_url, "console": "link"}
    browser = Browser(WaitingRoom(Config.from_options(given)))
    assert browser.get(CONSOLE).status_code == 404
    browser.get(link())
    assert browser.get(CONSOLE).status_code == 200


# --- what a form must bring


def test_a_form_of_the_page_is_taken(open_desk: Any, redis_url: str) -> None:
    """Asked once it does nothing; asked for sure it does, and the log has who it was."""
    site, desk = open_desk()
    site.fill()
    asked = desk.send({"action": "pause"})
    assert "Pause admissions?" in asked.text
    assert log(redis_url) == []
    done = desk.send({**Looked(asked.text).fields(), "action": "pause"})
    assert (done.status_code, done.headers["Location"]) == (303, f"{GALA}?done=pause")
    (change,) = log(redis_url)
    assert (change.who, change.field, change.after) == ("Anna", "state", "paused")
    assert "Paused: nobody goes in." in desk.see(GALA + "?done=pause").text


def test_a_browser_that_says_so_is_believed_behind_any_proxy(open_desk: Any) -> None:
    """A proxy may change the Host: Sec-Fetch-Site is the browser's own word."""
    site, desk = open_desk()
    site.fill()
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": "https://www.shop.example"}
    assert desk.send({"action": "pause"}, **headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Sec-Fetch-Site": "cross-site"}, id="from another site"),
        pytest.param({"Sec-Fetch-Site": "same-site", **HERE}, id="from a neighbour of the same site"),
        pytest.param({"Sec-Fetch-Site": "none"}, id="from nowhere"),
        pytest.param({"Origin": "https://evil.example"}, id="by another origin"),
        pytest.param({"Origin": "http://shop.example.evil.example"}, id="by an origin that begins like ours"),
        pytest.param({"Origin": "null"}, id="by an origin that hides"),
        pytest.param({"Origin": "http://[::1"}, id="by an origin that is none"),
        pytest.param({"Referer": "http://shop.example/"}, id="by nobody's word"),
    ],
)
def test_a_form_from_elsewhere_is_refused(
    plain_desk: tuple[Site, Desk], redis_url: str, headers: dict[str, str]
) -> None:
    """With 403, also with a good token; and nothing is changed."""
    _, desk = plain_desk
    answer = desk.send({"action": "pause", "sure": "yes"}, **headers)
    assert answer.status_code == 403
    assert log(redis_url) == []


def test_a_forged_form_is_refused(open_desk: Any, redis_url: str) -> None:
    """No token, a made-up one, another operator's, another browser's: 403, and nothing is changed."""
    site, desk = open_desk()
    site.fill()
    desk.see()
    tokens = ("", "x", "x.y", Desk(site, "Tom").token(), Desk(site).token(), Desk(site, "Anna:").token())
    for token in tokens:
        data = {"form_token": token, "action": "close", "sure": "yes"}
        answer = desk.browser.post(GALA, data=data, headers={**ANNA, **HERE})
        assert answer.status_code == 403, token
        assert "This form is refused" in answer.text
    assert log(redis_url) == []


def test_who_logs_in_after_somebody_else_is_not_taken_for_them(open_desk: Any, redis_url: str) -> None:
    """In the same browser: the name is the new one's, and the other one's open page is worth nothing."""
    site, _ = open_desk()
    site.fill()
    tom = Desk(site, "Tom")
    form = {"form_token": tom.token(), "action": "pause", "sure": "yes"}
    anna = Desk(site)
    anna.browser = tom.browser
    assert anna.send(dict(form)).status_code == 403
    assert "You operate as Anna" in Looked(anna.see().text).text
    assert anna.send(dict(form)).status_code == 403
    assert log(redis_url) == []


def test_a_token_without_its_cookie_is_refused(open_plain: Opener, redis_url: str) -> None:
    """As another site's form would come, since its browser keeps the cookie to itself."""
    site = open_plain(console=by_header)
    site.fill()
    data = {"form_token": Desk(site).token(), "action": "pause", "sure": "yes"}
    answer = site.browser().post(GALA, data=data, headers={**ANNA, **HERE})
    assert answer.status_code == 403
    assert log(redis_url) == []


def test_a_token_is_refused_once_its_session_is_over(
    plain_desk: tuple[Site, Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that was left open over night can be read, but not used."""
    _, desk = plain_desk
    token = desk.token()
    later = time.time() + access.session_seconds + 1
    monkeypatch.setattr(access, "time", SimpleNamespace(time=lambda: later))
    assert desk.send({"form_token": token, "action": "pause", "sure": "yes"}).status_code == 403


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"data": "x" * 200_000}, id="too long"),
        pytest.param({"data": b"\xff\xfe=%ff&&&="}, id="not text"),
        pytest.param({"data": "&".join(f"f{n}=" for n in range(500))}, id="too many fields"),
        pytest.param({"data": "{}", "content_type": "application/json"}, id="another kind"),
        pytest.param({"data": None}, id="empty"),
    ],
)
def test_a_body_that_is_no_form_of_ours_is_a_refused_one(open_desk: Any, options: dict[str, Any]) -> None:
    """403 or the framework's own 400, and never an error."""
    _, desk = open_desk()
    desk.see(CONSOLE)
    options.setdefault("content_type", "application/x-www-form-urlencoded")
    answer = desk.browser.post(GALA, headers={**ANNA, **HERE}, **options)
    assert answer.status_code in (400, 403, 413)


# --- what is done

ACTIONS = [
    pytest.param("pause", {}, ("state", "", "paused"), id="pause"),
    pytest.param("queue_all", {}, ("state", "", "queueing"), id="queue everybody"),
    pytest.param("drain", {}, ("state", "", "draining"), id="drain"),
    pytest.param("close", {"message": "Sold out"}, ("message", "", "Sold out"), id="close with a message"),
    pytest.param("message", {"message": "Row A is gone"}, ("message", "", "Row A is gone"), id="message"),
    pytest.param("admit", {"count": "100"}, ("extra", "", "100"), id="admit a hundred"),
    pytest.param("set", {"capacity": "7", "was_capacity": ""}, ("capacity", "", "7"), id="capacity"),
    pytest.param(
        "set",
        {"admit_per_minute": "30", "was_admit_per_minute": ""},
        ("admit_per_minute", "", "30"),
        id="the rate",
    ),
    pytest.param("set", {"max_waiting": "none"}, ("max_waiting", "", "-1"), id="any number waiting"),
    pytest.param("set", {"lease_seconds": "90"}, ("lease_seconds", "", "90"), id="lease"),
    pytest.param("set", {"opens_at": "2999-05-01T10:00:00+02:00"}, None, id="opening"),
]


@pytest.mark.parametrize(("action", "form", "changed"), ACTIONS)
def test_an_action_is_asked_first_and_then_done(
    plain_desk: tuple[Site, Desk], redis_url: str, action: str, form: dict[str, str], changed: Any
) -> None:
    """The question shows what will be, does nothing, and what is done is in the log by name."""
    site, desk = plain_desk
    site.fill("/gala/checkout")
    asked = desk.send({"action": action, **form})
    assert asked.status_code == 200, asked.text
    assert "Yes, do it" in asked.text
    assert control(redis_url).event("gala").log() == []
    done = desk.do(action=action, **form)
    assert (done.status_code, done.headers["Location"]) == (303, f"{GALA}?done={action}")
    changes = control(redis_url).event("gala").log()
    assert {change.who for change in changes} == {"Anna"}
    if changed:
        assert changed in [change[2:] for change in changes]
    assert "Anna" in Looked(desk.see().text).text.partition("Who did what")[2]


def test_open_and_resume_take_it_back(plain_desk: tuple[Site, Desk], redis_url: str) -> None:
    """And the page offers what there is to do in each state."""
    site, desk = plain_desk
    site.fill("/gala/checkout")
    desk.do(action="close", message="Sold out")
    assert 'value="open"' in desk.see().text
    assert 'value="pause"' not in desk.see().text
    desk.do(action="open")
    assert control(redis_url).event("gala").settings() == {}
    desk.do(action="pause")
    assert 'value="resume"' in desk.see().text
    desk.do(action="resume")
    assert control(redis_url).event("gala").settings() == {}


def test_only_what_was_changed_in_the_form_is_set(plain_desk: tuple[Site, Desk], redis_url: str) -> None:
    """Two operators before the same dials don't turn back each other's."""
    _, desk = plain_desk
    form = Looked(desk.see().text).fields()
    gala = control(redis_url).event("gala")
    gala.set(by="Tom", capacity=80)
    dials = {name.removeprefix("was_"): value for name, value in form.items() if name.startswith("was_")}
    desk.do(action="set", **{**form, **dials, "lease_seconds": "90"})
    assert gala.settings() == {"capacity": "80", "lease_seconds": "90"}


@pytest.mark.parametrize(("more", "kind"), [({}, "p1."), ({"uncounted": "yes"}, "g1.")])
def test_passes_are_made_and_shown_once(
    plain_desk: tuple[Site, Desk], redis_url: str, more: dict[str, str], kind: str
) -> None:
    """After a question that makes none; the log says how many, and of which kind."""
    _, desk = plain_desk
    gala = control(redis_url).event("gala")
    asked = desk.send({"action": "pass", "count": "2", "days": "7", **more})
    assert ("Yes, do it" in asked.text, "/pass/gala/" in asked.text, gala.log()) == (True, False, [])
    made = desk.do(action="pass", count="2", days="7", **more)
    links = re.findall(r'<a href="([^"]+/pass/gala/[^"]+)">', made.text)
    assert len(set(links)) == 2
    assert all(f"/_admitgate/pass/gala/{kind}" in link for link in links)
    assert [note.after.partition(",")[0] for note in gala.log()] == ["2 uncounted" if more else "2 counted"]
    assert desk.browser.get(links[0]).status_code == 303


@pytest.mark.parametrize(
    ("form", "words"),
    [
        pytest.param({"count": "0", "days": "1"}, "no number of people", id="none"),
        pytest.param({"count": "1001", "days": "1"}, "at most 1000", id="too many"),
        pytest.param({"count": "1", "days": "91"}, "from 1 to 90", id="for ever"),
        pytest.param({"count": "1", "days": "x"}, "from 1 to 90", id="no number"),
    ],
)
def test_impossible_passes_are_refused(
    plain_desk: tuple[Site, Desk], form: dict[str, str], words: str
) -> None:
    """A sentence, and no pass."""
    _, desk = plain_desk
    refused = desk.send({"action": "pass", **form})
    assert (refused.status_code, words in refused.text) == (422, True)


def test_an_evicted_visitor_has_no_slot_any_more(plain_desk: tuple[Site, Desk], redis_url: str) -> None:
    """By the sid that the application knows."""
    site, desk = plain_desk
    site.fill("/gala/checkout")
    sid = site.shop.seen[-1].admission.sid  # type: ignore[union-attr]
    desk.do(action="evict", sid=sid)
    snapshot = control(redis_url).event("gala").snapshot()
    assert snapshot
    assert snapshot.in_use == 0


def test_a_line_begins_anew_only_by_who_means_it(plain_desk: tuple[Site, Desk], redis_url: str) -> None:
    """Everybody loses their place: that takes a tick of its own."""
    site, desk = plain_desk
    site.fill("/gala/checkout")
    asked = desk.send({"action": "reset"})
    assert "everybody loses their place" in asked.text
    unticked = desk.send({**Looked(asked.text).fields(), "action": "reset"})
    assert unticked.status_code == 200
    snapshot = control(redis_url).event("gala").snapshot()
    assert snapshot
    assert snapshot.in_use == 1
    assert desk.do(action="reset").status_code == 303
    snapshot = control(redis_url).event("gala").snapshot()
    assert snapshot is None or snapshot.in_use == 0


def test_what_is_no_setting_is_told_in_the_log_too(plain_desk: tuple[Site, Desk], redis_url: str) -> None:
    """What happened has no value of before: passes, an eviction, and whatever a shop notes by itself."""
    site, desk = plain_desk
    site.fill("/gala/checkout")
    sid = site.shop.seen[-1].admission.sid  # type: ignore[union-attr]
    gala = control(redis_url).event("gala")
    gala.set(capacity=2, by="Tom")
    gala.note("pass", "2 counted, until 17:09:02", by="Tom")
    gala.note("stock", "none is left", by="the shop")
    gala.evict(sid, by="Tom")
    gala.reset(by="Tom")
    told = Looked(desk.see().text).text.partition("Who did what")[2]
    for words in (
        "Tom Reset: the line began anew",
        f"Tom Evicted: {sid}",
        "the shop stock: none is left",
        "Tom Passes: 2 counted, until 17:09:02",
        "Tom Capacity: the rule's → 2",
    ):
        assert words in told


@pytest.mark.parametrize(
    ("form", "said"),
    [
        pytest.param({"action": "set", "capacity": "-1"}, "capacity is '-1'", id="a capacity below 0"),
        pytest.param({"action": "set", "capacity": "many"}, "capacity is 'many'", id="no number"),
        pytest.param({"action": "set", "opens_at": "yesterday"}, "opens_at is", id="no time"),
        pytest.param({"action": "set"}, "Nothing is changed", id="nothing"),
        pytest.param({"action": "admit", "count": "0"}, "no number of people", id="nobody let in"),
        pytest.param({"action": "admit", "count": "²"}, "no number of people", id="a digit that is none"),
        pytest.param({"action": "message", "message": "x" * 501}, "501", id="a message too long"),
        pytest.param({"action": "evict", "sid": "<b>"}, "is not the sid", id="no sid"),
        pytest.param({"action": "evict", "sid": "A" * 16}, "Nobody called", id="nobody's sid"),
        pytest.param({"action": "explode"}, "asks for nothing that there is", id="no action"),
        pytest.param({}, "asks for nothing that there is", id="no word"),
    ],
)
@pytest.mark.parametrize("sure", [{}, {"sure": "yes"}], ids=["asked", "for sure"])
def test_what_can_not_be_is_said_in_a_sentence(
    plain_desk: tuple[Site, Desk], redis_url: str, form: dict[str, str], said: str, sure: dict[str, str]
) -> None:
    """And nothing is done."""
    _, desk = plain_desk
    answer = desk.send({**form, **sure})
    assert answer.status_code == 422
    assert said in Looked(answer.text).text
    assert control(redis_url).event("gala").log() == []


def test_an_event_that_no_rule_can_have_is_not_found(open_desk: Any) -> None:
    """404, for an operator with a page."""
    _, desk = open_desk(events=["gala"])
    answer = desk.see(CONSOLE + "event/none")
    assert answer.status_code == 404
    assert "no rule has such an event" in answer.text
    assert desk.see(CONSOLE + "nothing").status_code == 404


def test_without_redis_a_sentence_says_so(open_plain: Opener) -> None:
    """503, and nothing half-done."""
    desk = Desk(open_plain(console=by_header))
    cookie, token = desk.see().headers["Set-Cookie"].partition(";")[0], desk.token()
    away = open_plain(console=by_header, redis_url="redis://127.0.0.1:1/0", redis_timeout_seconds=0.5)
    form = {"form_token": token, "action": "pause", "sure": "yes"}
    for path, options in ((CONSOLE, {}), (GALA, {}), (GALA, {"method": "POST", "data": form})):
        answer = away.show(cookie, path, headers={**ANNA, **HERE}, **options)
        assert answer.status_code == 503
        assert "Redis can't be asked" in Looked(answer.text).text


# --- hostile names


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_shown_and_never_obeyed(plain_desk: tuple[Site, Desk], redis_url: str, name: str) -> None:
    """An event, an operator, a message: on every page they are text, and the markup is the page's own."""
    site, desk = plain_desk
    site.fill(f"/{name}/checkout")
    desk = Desk(site, quote(name)[:70])
    path = f"{CONSOLE}event/{event_slug(name)}"
    control(redis_url).event(name).message(name, by=name)
    page, events, asked = desk.see(path), desk.see(CONSOLE), desk.send({"action": "pause"}, path)
    searched = desk.see(f"{CONSOLE}?q={quote(name)}")
    for answer in (page, events, asked, searched):
        looked = Looked(answer.text)
        assert answer.status_code == 200
        assert name in "".join(looked.texts) or len(name) > 100
        assert not {"img", "base", "iframe"} & {tag for tag, _ in looked.tags}
        assert sum(tag == "script" for tag, _ in looked.tags) <= 1
        assert not any(
            key.startswith("on") or key == "autofocus" for _, attrs in looked.tags for key in attrs
        )


def test_so_many_events_are_listed_and_no_more(open_plain: Opener) -> None:
    """Page by page, and found by a part of their names."""
    site = open_plain(console=by_header, rules=[EVERYWHERE])
    for number in range(60):
        site.fill(f"/show-{number:02}/checkout")
    desk = Desk(site)
    first, last = desk.see(CONSOLE).text, desk.see(CONSOLE + "?page=99").text
    assert first.count('class="load"') == 3 * 25
    assert "1 of 3 · 60 events" in Looked(first).text
    assert [f"show-{number}" in last for number in (49, 50, 59)] == [False, True, True]
    found = desk.see(CONSOLE + "?q=SHOW-42&page=x").text
    assert found.count('class="load"') == 3
    assert "show-42" in found


def test_a_page_without_a_script_refreshes_if_asked(plain_desk: tuple[Site, Desk]) -> None:
    """Not by itself: it would empty a form that somebody is filling in. Nor as often as an address says."""
    _, desk = plain_desk
    assert "http-equiv" not in desk.see(GALA).text
    assert '<meta http-equiv="refresh" content="10;' in desk.see(GALA + "?refresh=10").text
    assert "http-equiv" not in desk.see(GALA + "?refresh=1").text


def test_the_list_keeps_to_what_a_redis_can_bear(
    plain_desk: tuple[Site, Desk], redis_client: redis.Redis
) -> None:
    """Looking for keys is done once in a few seconds, however many pages are open."""
    site, desk = plain_desk
    site.fill("/gala/checkout")
    desk.see(CONSOLE)
    scans = redis_client.info("commandstats")["cmdstat_scan"]["calls"]
    for _ in range(5):
        desk.see(CONSOLE)
    assert redis_client.info("commandstats")["cmdstat_scan"]["calls"] == scans
