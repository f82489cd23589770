"""Both nginx configurations of the examples as they are, before a real waiting room.

Each test has an event of its own, as the waiting room outlives them. How old an answer is can be told from
its "updated", which is Redis' time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import redis
from conftest import missing
from werkzeug.test import Client

from admitgate import AdmitGate, Rule
from admitgate.embedded import EmbeddedRedis

EXAMPLE = Path(__file__).parents[2] / "examples" / "nginx"
KEY = "the key of the shop and of the waiting room"
CAPACITY = 3
numbers = count()

pytestmark = pytest.mark.slow


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        document = json.loads(self.body)
        assert isinstance(document, dict)
        return document


class Place:
    """One of the two, running."""

    def __init__(self, way: str, nginx: Any, client: redis.Redis, shop: Client) -> None:
        self.way, self.nginx, self.redis, self.shop = way, nginx, client, shop

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.nginx.port, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        response = connection.getresponse()
        answer = Answer(response.status, dict(response.getheaders()), response.read())
        connection.close()
        return answer

    def status(self, event: str) -> dict[str, Any]:
        answer = self.ask(f"/_admitgate/status/{event}")
        assert answer.status == 200, answer
        return answer.json

    def join(self, event: str) -> str:
        """A newcomer at the shop; the cookie they get."""
        answer = Client(self.shop.application).get(f"/events/{event}/checkout")
        return answer.headers["Set-Cookie"].partition(";")[0]

    def line(self, event: str) -> str:
        """An event with a line; the cookie of the last in it."""
        return [self.join(event) for _ in range(CAPACITY + 3)][-1]

    def now_ms(self) -> float:
        seconds, micro = self.redis.time()
        return float(seconds * 1000 + micro / 1000)

    def looks(self) -> int:
        stats = self.redis.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))

    def file(self, event: str) -> Path:
        return Path(self.nginx.folder, "status", event)

    def published(self, event: str) -> dict[str, Any]:
        """What the publisher says, once it has found the event."""
        until(self.file(event).exists)
        document = json.loads(self.file(event).read_bytes())
        assert isinstance(document, dict)
        return document


def check_out(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"check-out"]


def until(is_so: Any, *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"still not so after {seconds} s"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = spec_from_file_location("nginx_example", EXAMPLE / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["nginx_example"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.nginx_path() is None:
        missing("nginx", cure="'apt install nginx-light' (Debian, Ubuntu)")
    return module


@pytest.fixture(scope="module", params=["microcache", "published"])
def place(
    request: pytest.FixtureRequest,
    example: ModuleType,
    redis_server: EmbeddedRedis,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    url = redis_server.url
    rule = Rule("/events/<event>/checkout", capacity=CAPACITY, lease_seconds=60)
    shop = AdmitGate(check_out, secret_key=KEY, redis_url=url, rules=[rule])
    folder = tmp_path_factory.mktemp(request.param)
    with (
        pytest.MonkeyPatch.context() as environment,
        redis.Redis.from_url(url, decode_responses=True) as client,
    ):
        environment.setenv("SECRET_KEY", KEY)
        port = example.free_port()
        with example.opened(request.param, port=port, redis_url=url, folder=folder) as nginx:
            yield Place(request.param, nginx, client, Client(shop))


@pytest.fixture
def event() -> str:
    """A new one for each test."""
    return f"gala-{next(numbers)}"


def test_the_answer_is_what_the_gate_says(place: Place, event: str) -> None:
    """The same document, though one of them may be a second older."""
    place.line(event)
    if place.way == "published":
        place.published(event)
    said, gate = place.status(event), place.shop.get(f"/_admitgate/status/{event}").get_json()
    moving = {"serving", "waiting", "step", "updated", "state"}
    assert list(said) == list(gate)
    assert {key: said[key] for key in said if key not in moving} == {
        key: gate[key] for key in gate if key not in moving
    }


def test_the_answer_has_the_headers_of_the_gate(place: Place, event: str) -> None:
    """For pages on other hosts, and for caches further out."""
    place.line(event)
    gate = place.shop.get(f"/_admitgate/status/{event}").headers
    names = ("Content-Type", "Cache-Control", "Access-Control-Allow-Origin", "X-Content-Type-Options")
    for _ in range(2):  # from the waiting room, then from nginx
        headers = place.ask(f"/_admitgate/status/{event}").headers
        assert {name: headers.get(name) for name in names} == {name: gate.get(name) for name in names}
        assert not {"Set-Cookie", "Vary", "X-Accel-Expires"} & set(headers)
        if place.way == "published":
            place.published(event)


def test_whoever_asks_and_however_redis_is_asked_once_a_second(place: Place, event: str) -> None:
    """Query strings, cookies, other hosts and odd spellings of the path don't make it another answer."""
    cookie = place.line(event)
    if place.way == "published":
        place.published(event)
    started, looks = place.now_ms(), place.looks()
    variants = [
        place.ask(f"/_admitgate/status/{event}?{number}", Cookie=cookie, Host=f"{number}.example")
        for number in range(100)
    ]
    variants += [place.ask(f"/_admitgate//status/x/../{event}", Accept="text/html") for _ in range(50)]
    assert {variant.status for variant in variants} == {200}
    assert {variant.json["event"] for variant in variants} == {event}
    rounds = (place.now_ms() - started) / 1000 + 2
    assert len({variant.body for variant in variants}) <= rounds
    # Each event that is published already is looked at once a round as well.
    events = len(list(place.file(event).parent.iterdir())) if place.way == "published" else 1
    assert place.looks() - looks <= rounds * events


def test_a_path_that_only_looks_the_same_does_not_get_into_the_answer(place: Place, event: str) -> None:
    """What one visitor asks for must not be what the others get."""
    for path in (f"{event}%2f..", f"..%2f{event}", f"{event}/", f"{event}%00", f"./{event}/../{'a' * 130}"):
        place.ask(f"/_admitgate/status/{path}")
    assert place.status(event)["event"] == event


def test_after_a_quiet_time_the_first_answer_is_new(place: Place, event: str) -> None:
    """Nobody is told what was true before they asked, but for two seconds."""
    place.line(event)
    place.status(event)
    started = place.now_ms()
    until(lambda: place.now_ms() > started + 3000)
    assert_new(place, event)


def test_after_a_restart_the_first_answer_is_new(place: Place, event: str) -> None:
    """nginx finds its cache of before on the disk."""
    place.line(event)
    place.status(event)
    place.nginx.stop()
    started = place.now_ms()
    until(lambda: place.now_ms() > started + 2100)
    place.nginx.start()
    assert_new(place, event)


def test_under_load_no_answer_is_old(place: Place, event: str) -> None:
    """For three seconds, so that nginx' second and Redis' meet in several ways."""
    place.line(event)
    if place.way == "published":
        place.published(event)
    ends_at = place.now_ms() + 3000
    while place.now_ms() < ends_at:
        assert_new(place, event)


def assert_new(place: Place, event: str) -> None:
    """At most two seconds old; where a publisher writes, nginx is at most one behind what it wrote."""
    if place.way == "microcache":
        asked_at = place.now_ms()
        assert place.status(event)["updated"] >= asked_at - 2000
        return
    written = place.published(event)["updated"]
    asked_at = place.now_ms()
    until(lambda: place.now_ms() > asked_at + 1000)
    assert place.status(event)["updated"] >= written


def test_an_event_nobody_has_asked_for_is_open(place: Place, event: str) -> None:
    """As the gate says; there is no file of it."""
    assert place.status(event)["state"] == "open"


def test_a_new_event_is_known_at_once(place: Place, event: str) -> None:
    """The publisher needs seconds to find it; until then the waiting room answers."""
    place.line(event)
    assert place.status(event)["state"] == "waiting"


def test_an_event_that_no_rule_has_is_not_found(place: Place) -> None:
    """No event's name is as long as that."""
    answer = place.ask(f"/_admitgate/status/{'a' * 130}")
    assert answer.status == 404
    assert answer.json["title"] == "Nothing here"


def test_only_reading_is_allowed(place: Place, event: str) -> None:
    """A POST to the shared answer is refused, and doesn't become it."""
    place.line(event)
    assert place.ask(f"/_admitgate/status/{event}", "POST").status == 405
    assert place.ask(f"/_admitgate/status/{event}", "HEAD").status == 200
    assert place.status(event)["state"] == "waiting"


def test_check_in_is_the_visitors_own(place: Place, event: str) -> None:
    """With the cookie it reaches the gate, and no cache comes between."""
    cookie = place.line(event)
    path = f"/_admitgate/check-in/{event}"
    mine = place.ask(path, "POST", Cookie=cookie)
    assert (mine.status, mine.json["state"]) == (200, "waiting")
    assert mine.json["position"] > 1
    assert mine.headers["Cache-Control"] == "no-store"
    assert place.ask(path, "POST").json == {"state": "no-ticket"}


def test_a_visitor_can_leave_and_cannot_pretend_to_be_on_https(place: Place, event: str) -> None:
    """The scheme is what nginx saw, whatever the visitor says."""
    cookie = place.line(event)
    path = f"/_admitgate/leave/{event}"
    left = place.ask(path, "POST", Cookie=cookie, Accept="application/json", X_Forwarded_Proto="https")
    assert left.json == {"state": "left"}
    assert "Secure" not in left.headers["Set-Cookie"]


def test_nothing_else_is_served(place: Place) -> None:
    """Neither the shop nor the publisher's own files."""
    assert place.ask("/events/gala/checkout").status == 404
    assert place.ask("/_admitgate/status/.admitgate-1").status == 404


def test_the_waiting_room_says_how_it_is(place: Place) -> None:
    """For whoever watches over it."""
    assert place.ask("/_admitgate/healthz").json == {"redis": "well"}
