"""The WSGI edge keeps PEP 3333 to the letter, and loses no slot where an application breaks."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults

import pytest
import redis
import sites
from sites import CHECKOUT, HOME, KEY, STATUS, Clock, Opener, Said
from werkzeug.middleware.proxy_fix import ProxyFix

from admitgate import AdmitGate, Config, ConfigError, Rule

clock, open_plain = sites.clock, sites.open_plain

OK = ("200 OK", [("Content-Type", "text/plain")])
Gated = Callable[..., AdmitGate]


@pytest.fixture
def gated(redis_url: str, clock: Clock) -> Gated:
    """Puts an application behind a gate with one slot."""
    rule = Rule("/events/<event>/checkout", capacity=1, lease_seconds=60)
    options = {"secret_key": KEY, "redis_url": redis_url, "redis_timeout_seconds": 10, "rules": [rule]}
    return lambda application, **more: AdmitGate(application, **(options | more))


class Served:
    """One request as a server makes it: what was called, in which order, and what came out."""

    def __init__(
        self, application: Any, path: str = CHECKOUT, *, at_once: bool = True, **environ: Any
    ) -> None:
        self.environ: dict[str, Any] = {"PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": "", **environ}
        setup_testing_defaults(self.environ)
        self.starts: list[tuple[str, dict[str, str], Any]] = []
        self.written: list[bytes] = []
        self._application = application
        self.body: Any = self._call() if at_once else None

    def _call(self) -> Any:
        return self._application(self.environ, self._start_response)

    def serve(self) -> bytes:
        """The whole of it."""
        self.body = self._call()
        return self.finish()

    def _start_response(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        assert len(exc_info) <= 1
        self.starts.append((status, dict(headers), exc_info[0] if exc_info else None))
        return self.written.append

    def finish(self) -> bytes:
        """Send it all and close it, as servers must. What was written first stands first."""
        try:
            rest = b"".join(self.body)
            return b"".join(self.written) + rest
        finally:
            self.close()

    def close(self) -> None:
        """Only if there is something to close."""
        if hasattr(self.body, "close"):
            self.body.close()

    @property
    def status(self) -> str:
        """The latest status line."""
        return self.starts[-1][0]

    @property
    def headers(self) -> dict[str, str]:
        """The latest headers."""
        return self.starts[-1][1]

    @property
    def cookie(self) -> str:
        """What a browser sends back."""
        return self.headers["Set-Cookie"].split(";")[0]


def is_free(gate: AdmitGate) -> bool:
    """Does a newcomer find the slot free? (And takes it.)"""
    gate._application = hello
    served = Served(gate)
    served.finish()
    return served.status.startswith("200")


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The simplest application."""
    start_response(*OK)
    return [b"hello"]


class Body:
    """A response that counts how often it is closed."""

    def __init__(self, *chunks: bytes | Exception) -> None:
        self.chunks, self.closed, self.given = iter(chunks), 0, 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self.chunks)
        if isinstance(chunk, Exception):
            raise chunk
        self.given += 1
        return chunk

    def close(self) -> None:
        self.closed += 1


def answering(body: Any, *, starts: str = "at once") -> Any:
    """An application that calls start_response at once, when it is first iterated, or never."""

    def at_once(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(*OK)
        return body

    class Late:
        def __init__(self, environ: dict[str, Any], start_response: Any) -> None:
            self._start: Any = start_response

        def __iter__(self) -> Iterator[bytes]:
            return self

        def __next__(self) -> bytes:
            if self._start:
                self._start(*OK)
                self._start = None
            return next(body)  # type: ignore[no-any-return]

        def close(self) -> None:
            body.close()

    return {"at once": at_once, "late": Late}[starts]


STARTS = pytest.mark.parametrize("starts", ["at once", "late"])


# --- what passes


def test_what_passes_is_not_touched(gated: Gated) -> None:
    """The application gets the server's own environ and start_response, and the server its own body."""
    body = Body(b"a")
    got: list[Any] = []

    def application(environ: dict[str, Any], start_response: Any) -> Body:
        got.extend((environ, start_response))
        start_response(*OK)
        return body

    served = Served(gated(application), HOME)
    assert got[0] is served.environ
    assert got[1] == served._start_response
    assert served.body is body
    assert "admitgate" not in served.environ


def test_the_admission_is_in_the_environ(gated: Gated) -> None:
    """Under its own name, and nowhere for those who wait."""
    gate = gated(hello)
    first, second = Served(gate), Served(gate)
    assert first.environ["admitgate"].event == "gala"
    assert second.status.startswith("503")
    assert "admitgate" not in second.environ


# --- close


@STARTS
def test_close_is_passed_on_once(gated: Gated, starts: str) -> None:
    """After the last chunk."""
    body = Body(b"a", b"b")
    served = Served(gated(answering(body, starts=starts)))
    assert served.finish() == b"ab"
    assert body.closed == 1


@STARTS
def test_close_is_passed_on_when_the_visitor_goes_away(gated: Gated, starts: str) -> None:
    """A server stops in the middle."""
    body = Body(b"a", b"b")
    served = Served(gated(answering(body, starts=starts)))
    assert next(iter(served.body)) == b"a"
    served.close()
    assert body.closed == 1
    assert body.given == 1


@STARTS
def test_close_is_passed_on_when_the_application_breaks(gated: Gated, starts: str) -> None:
    """The error comes out as it was."""
    error = ZeroDivisionError("in the middle")
    body = Body(b"a", error)
    served = Served(gated(answering(body, starts=starts)))
    with pytest.raises(ZeroDivisionError) as caught:
        served.finish()
    assert caught.value is error
    assert body.closed == 1


@pytest.mark.parametrize("body", [[b"a"], (b"a",), iter([b"a"])], ids=["a list", "a tuple", "an iterator"])
def test_a_body_without_close_has_none(gated: Gated, body: Iterable[bytes]) -> None:
    """Nothing is invented for it."""
    assert Served(gated(answering(body))).finish() == b"a"


# --- start_response


def test_write_works(gated: Gated) -> None:
    """The old way to send a body."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response(*OK)
        write(b"one "), write(b"two ")
        return [b"three"]

    served = Served(gated(application))
    assert served.written == [b"one ", b"two "]
    assert served.finish() == b"one two three"


def test_an_error_page_replaces_the_answer(gated: Gated) -> None:
    """start_response called again with exc_info: passed on as it is, with our headers once more."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(*OK)
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            start_response("500 Oops", [("Content-Type", "text/plain")], sys.exc_info())
        return [b"oops"]

    served = Served(gated(application))
    assert served.finish() == b"oops"
    assert [status for status, _, _ in served.starts] == ["200 OK", "500 Oops"]
    assert served.starts[1][2][0] is ZeroDivisionError
    assert served.cookie


def test_exc_info_is_passed_by_place(gated: Gated) -> None:
    """And not at all where there is none: some servers take two arguments only until then."""

    def strict(status: str, headers: list[tuple[str, str]]) -> Any:
        return None

    environ: dict[str, Any] = {"PATH_INFO": CHECKOUT}
    setup_testing_defaults(environ)
    assert list(gated(hello)(environ, strict)) == [b"hello"]


def test_the_applications_headers_are_not_changed_in_place(gated: Gated) -> None:
    """Some applications keep one list for all their answers."""
    headers = [("Content-Type", "text/plain"), ("Admitgate-Release", "1")]

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", headers)
        return []

    Served(gated(application)).finish()
    assert headers == [("Content-Type", "text/plain"), ("Admitgate-Release", "1")]


def test_repeated_headers_stay_repeated(open_plain: Opener) -> None:
    """Two cookies of the application's are two cookies."""
    site = open_plain()
    cookies = (("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))
    site.shop.view = lambda seen: Said(headers=cookies)
    assert site.browser().get(CHECKOUT).headers.getlist("Set-Cookie")[:2] == ["a=1", "b=2"]


# --- streaming


@STARTS
def test_a_streaming_response_is_not_buffered(gated: Gated, starts: str) -> None:
    """The first chunk is out before the second is made."""
    body = Body(b"a", b"b", b"c")
    chunks = iter(Served(gated(answering(body, starts=starts))).body)
    for given in (1, 2, 3):
        next(chunks)
        assert body.given == given


def test_a_file_wrapper_stays_one(gated: Gated) -> None:
    """Servers send it by the system's own means if they get the very object."""
    wrapper = FileWrapper(io.BytesIO(b"ticket.pdf"))
    assert Served(gated(answering(wrapper))).body is wrapper


def test_a_generator_is_an_application_like_any_other(gated: Gated, redis_client: redis.Redis) -> None:
    """It calls start_response when it is first iterated."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response(*OK)
        yield b"a"
        environ["admitgate"].release()
        yield b"b"

    gate = gated(application)
    served = Served(gate)
    assert not served.starts
    assert served.finish() == b"ab"
    assert served.cookie
    assert is_free(gate)


# --- applications that break, and what becomes of the slot


def raising(environ: dict[str, Any], start_response: Any) -> Any:
    """Breaks before it answers."""
    raise ZeroDivisionError


def raising_later(environ: dict[str, Any], start_response: Any) -> Any:
    """Breaks when it is first iterated."""
    raise ZeroDivisionError
    yield b""


def raising_after_starting(environ: dict[str, Any], start_response: Any) -> Any:
    """Breaks between its headers and its body: the server still throws the headers away."""
    start_response(*OK)
    raise ZeroDivisionError


def raising_after_starting_later(environ: dict[str, Any], start_response: Any) -> Any:
    """The same in a generator."""
    start_response(*OK)
    raise ZeroDivisionError
    yield b""


def exiting(environ: dict[str, Any], start_response: Any) -> Any:
    """The worker is told to end in the middle of a request."""
    raise SystemExit


BREAKING = [raising, raising_later, raising_after_starting, raising_after_starting_later, exiting]


@pytest.mark.parametrize("application", BREAKING, ids=lambda application: application.__name__)
def test_a_first_visit_that_breaks_gives_the_slot_back(gated: Gated, application: Any) -> None:
    """The cookie never goes out, so nobody could ever use the slot or leave it."""
    gate = gated(application)
    with pytest.raises((ZeroDivisionError, SystemExit)):
        Served(gate).finish()
    assert is_free(gate)


def test_a_first_visit_that_breaks_leaves_no_keys(gated: Gated, redis_client: redis.Redis) -> None:
    """An address that makes the application stumble is no way to fill Redis."""
    gate = gated(raising)
    with pytest.raises(ZeroDivisionError):
        Served(gate, "/events/invented/checkout")
    assert sites.state_keys(redis_client) == []


@pytest.mark.parametrize("application", BREAKING, ids=lambda application: application.__name__)
def test_a_later_visit_that_breaks_keeps_the_slot(gated: Gated, application: Any) -> None:
    """Its visitor has the cookie and tries again."""
    gate = gated(hello)
    cookie = Served(gate).cookie
    gate._application = application
    with pytest.raises((ZeroDivisionError, SystemExit)):
        Served(gate, HTTP_COOKIE=cookie).finish()
    assert not is_free(gate)
    assert Served(gate, HTTP_COOKIE=cookie).status == "200 OK"


def writing(environ: dict[str, Any], start_response: Any) -> Any:
    """Breaks after the headers went out with a first piece."""
    start_response(*OK)(b"half a page")
    raise ZeroDivisionError


def yielding(environ: dict[str, Any], start_response: Any) -> Any:
    """The same in a generator."""
    start_response(*OK)
    yield b"half a page"
    raise ZeroDivisionError


@pytest.mark.parametrize("application", [writing, yielding], ids=lambda application: application.__name__)
def test_a_first_visit_that_breaks_half_way_keeps_the_slot(gated: Gated, application: Any) -> None:
    """The cookie is out: whoever reloads the half page is inside."""
    gate = gated(application)
    served = Served(gate, at_once=False)
    with pytest.raises(ZeroDivisionError):
        served.serve()
    assert not is_free(gate)
    assert Served(gate, HTTP_COOKIE=served.cookie).status == "200 OK"


def test_a_generator_that_is_closed_before_it_starts_gives_the_slot_back(gated: Gated) -> None:
    """The visitor was gone before the server had asked for the first chunk."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response(*OK)
        yield b"a"

    gate = gated(application)
    Served(gate).close()
    assert is_free(gate)


def test_a_body_that_is_never_closed_holds_up_nobody_for_long(gated: Gated, clock: Clock) -> None:
    """A careless server: the slot ends with its lease."""
    gate = gated(answering(Body(b"a", b"b")))
    next(iter(Served(gate).body))
    clock.forward(60.1)
    assert is_free(gate)


def test_a_lease_that_ends_during_its_request(gated: Gated, clock: Clock) -> None:
    """The request goes on; releasing afterwards frees nobody else's slot."""
    released: list[Any] = []

    def slow(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        clock.forward(61)
        gate._application = hello
        assert Served(gate).status == "200 OK"
        environ["admitgate"].release()
        released.append(1)
        return hello(environ, start_response)

    gate = gated(slow)
    assert Served(gate).finish() == b"hello"
    assert released
    assert not is_free(gate)


# --- every kind of application, between validators


def by_write(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The body goes out by write()."""
    start_response(*OK)(b"hello")
    return []


def by_generator(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Nothing happens before the first chunk is asked for."""
    start_response(*OK)
    yield b"hel"
    yield b"lo"


def by_error_page(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Another answer takes the place of the first."""
    start_response(*OK)
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        start_response("500 Oops", OK[1], sys.exc_info())
    return [b"hello"]


def by_nothing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """An answer without a body or a type."""
    start_response("204 No Content", [("Content-Length", "0")])
    return []


@pytest.mark.parametrize("kind", [hello, by_write, by_generator, by_error_page, by_nothing])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_the_gate_is_valid_wsgi_on_both_sides(gated: Gated, kind: Any, method: str) -> None:
    """For visits that pass, come first, come again, wait or stay below the mount."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "HEAD":
            return by_nothing(environ, start_response)
        result: Iterable[bytes] = kind(environ, start_response)
        return result

    app = sites.guarded(gated(sites.inside(sites.guarded, application)))
    body = b"" if method == "HEAD" or kind is by_nothing else b"hello"
    served, cookie = [], ""
    for path in (HOME, CHECKOUT, CHECKOUT):
        request = Served(app, path, REQUEST_METHOD=method, HTTP_COOKIE=cookie)
        served.append(request.finish())
        cookie = request.headers.get("Set-Cookie", "").split(";")[0]
    assert served == [body] * 3
    waiting, status = (Served(app, path, REQUEST_METHOD=method) for path in (CHECKOUT, STATUS))
    assert bool(waiting.finish()) is (method != "HEAD")
    assert bool(status.finish()) is (method != "HEAD")
    assert (waiting.status[:3], status.status[:3]) == ("503", "405" if method == "POST" else "200")


# --- HEAD, prefixes, proxies


def test_our_answers_to_head_have_no_body(gated: Gated) -> None:
    """The waiting page's headers, and nothing behind them."""
    gate = gated(hello, rules=[Rule("/checkout", capacity=0)])
    served = Served(gate, "/checkout", REQUEST_METHOD="HEAD")
    assert served.status.startswith("503")
    assert served.finish() == b""


def test_the_applications_answer_to_head_is_its_own(gated: Gated) -> None:
    """Passed on as it came."""
    served = Served(gated(answering([])), REQUEST_METHOD="HEAD")
    assert (served.status, served.finish()) == ("200 OK", b"")


def test_a_missing_path_is_the_root(gated: Gated) -> None:
    """PEP 3333 lets servers leave it out."""
    gate = gated(hello, rules=[Rule("/", capacity=0)])
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    del environ["PATH_INFO"]
    starts: list[Any] = []
    gate(environ, lambda *start: starts.append(start))
    assert starts[0][0].startswith("503")


@pytest.mark.parametrize(
    ("trusted", "forwarded", "secure"),
    [
        pytest.param(0, "https", False, id="nobody is trusted"),
        pytest.param(1, "https", True, id="our proxy says https"),
        pytest.param(1, "http", False, id="our proxy says http"),
        pytest.param(1, "https, http", False, id="what is further left anybody may have written"),
        pytest.param(2, "https, http", True, id="the outer of two proxies"),
        pytest.param(2, "https", False, id="a proxy is missing"),
        pytest.param(1, "HTTPS ", True, id="in capitals"),
        pytest.param(1, "", False, id="nothing is said"),
    ],
)
def test_trusted_proxies_say_how_the_visitor_came(
    gated: Gated, trusted: int, forwarded: str, secure: bool
) -> None:
    """So that the cookie is Secure where the browser's side is."""
    gate = gated(hello, trusted_proxies=trusted)
    served = Served(gate, HTTP_X_FORWARDED_PROTO=forwarded)
    assert ("Secure" in served.headers["Set-Cookie"]) is secure


def test_inside_of_proxy_fix(gated: Gated) -> None:
    """What it rewrites is what the gate sees: scheme and prefix."""
    application = ProxyFix(gated(hello), x_proto=1, x_prefix=1)
    served = Served(application, HTTP_X_FORWARDED_PROTO="https", HTTP_X_FORWARDED_PREFIX="/box")
    assert "Secure" in served.headers["Set-Cookie"]
    assert "Path=/box/" in served.headers["Set-Cookie"]


# --- several gates, several workers, other callers


def test_gates_of_one_process_know_nothing_of_each_other(gated: Gated) -> None:
    """Two applications, two sets of rules; the same event in both is the same event, by Redis."""
    one, two = gated(hello), gated(hello, rules=[Rule("/queue/<event>", capacity=1, lease_seconds=60)])
    assert Served(one).status == "200 OK"
    assert Served(two).status == "200 OK"
    assert "admitgate" not in Served(two).environ
    assert Served(two, "/queue/gala").status.startswith("503")
    assert Served(two, "/queue/opera").status == "200 OK"


def test_key_prefixes_keep_sites_apart(gated: Gated, redis_client: redis.Redis) -> None:
    """Two shops on one Redis."""
    one, two = gated(hello), gated(hello, key_prefix="other")
    assert Served(one).status == Served(two).status == "200 OK"
    assert {key.split(b":")[0] for key in redis_client.keys("*:{*")} == {b"admitgate", b"other"}


def test_workers_share_the_cap_and_the_line(gated: Gated) -> None:
    """By nothing but Redis and the cookies."""
    one, two = gated(hello), gated(hello)
    cookie = Served(one).cookie
    assert Served(two).status.startswith("503")
    assert Served(two, HTTP_COOKIE=cookie).status == "200 OK"


@pytest.mark.parametrize("sees_at_once", [False, True])
def test_a_release_through_another_worker(gated: Gated, clock: Clock, sees_at_once: bool) -> None:
    """Seen at the lease's next renewal, or at once by a rule that asks every time."""
    rule = Rule("/events/<event>/checkout", capacity=1, lease_seconds=60, verify_every_request=sees_at_once)
    one, two = gated(hello, rules=[rule]), gated(hello, rules=[rule])
    first = Served(one)
    assert Served(two, HTTP_COOKIE=first.cookie).status == "200 OK"
    clock.forward(1)
    first.environ["admitgate"].release()
    Served(one)
    assert Served(two, HTTP_COOKIE=first.cookie).status.startswith("503") is sees_at_once
    clock.forward(20)
    assert Served(two, HTTP_COOKIE=first.cookie).status.startswith("503")


def test_a_payments_callback_gives_the_slot_back(gated: Gated) -> None:
    """By the event and the sid that were kept with the order, from any process."""
    gate = gated(hello)
    sid = Served(gate).environ["admitgate"].sid
    gated(hello).release("gala", sid)
    assert is_free(gate)


def test_a_callback_for_an_event_without_a_rule_is_an_error(gated: Gated) -> None:
    """A slip in the shop's code, which it should hear of."""
    gate = gated(hello, rules=[Rule("/checkout", capacity=1)])
    with pytest.raises(LookupError, match="opera"):
        gate.release("opera", "x" * 16)


def test_a_config_may_be_made_first(redis_url: str) -> None:
    """For sites that check it in their own start."""
    config = Config.from_options(
        {"rules": [Rule("/checkout", capacity=1)], "secret_key": KEY, "redis_url": redis_url}
    )
    assert Served(AdmitGate(hello, config), "/checkout").finish() == b"hello"


def test_wrong_settings_are_refused_at_start() -> None:
    """Not at the first visitor."""
    with pytest.raises(ConfigError) as caught:
        AdmitGate(hello, rules=[Rule("/checkout", capacity=-1)])
    assert len(caught.value.faults) == 3


def test_a_client_object_is_used_as_it_is(gated: Gated, redis_client: redis.Redis) -> None:
    """With the site's own pool."""
    gate = gated(hello, redis_url=None, redis_client=redis_client)
    assert Served(gate, STATUS).status == "200 OK"
    assert Served(gate).status == "200 OK"
    assert not is_free(gate)
