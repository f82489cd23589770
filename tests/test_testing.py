"""The fixtures that the package brings for the tests of others, as their page shows them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from sites import CHECKOUT, KEY

from admitgate import Rule
from admitgate.asgi import AdmitGateASGI
from admitgate.testing import Admitted, Full

pytest_plugins = ["admitgate.testing", "pytester"]

PAGE = (Path(__file__).parent.parent / "docs" / "testing.md").read_text("utf-8")
HEAD, *SITES = re.split(r"^## ", PAGE, flags=re.MULTILINE)
SITES = [site for site in SITES if "```python" in site]


def files_in(text: str) -> dict[str, str]:
    """The files that a page shows, by their titles."""
    return dict(re.findall(r'```python title="([^"]+)"\n(.*?)```', text, re.DOTALL))


@pytest.mark.parametrize("site", [pytest.param(site, id=site.splitlines()[0]) for site in SITES])
@pytest.mark.usefixtures("redis_server")
def test_what_the_page_shows_runs(site: str, pytester: pytest.Pytester) -> None:
    """Each file copied as it is, the tests run by another pytest, with warnings as errors."""
    files = files_in(HEAD) | files_in(site)
    for name, text in files.items():
        (pytester.path / name).write_text(text, "utf-8")
    expected = sum(text.count("\ndef test_") for text in files.values())
    run = pytester.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider")
    run.assert_outcomes(passed=expected)
    assert expected >= 3


class InALoop:
    """A shop that awaits, and a visitor of it."""

    def __init__(self) -> None:
        rule = Rule("/events/<event>/checkout", capacity=500, release_on="/events/<event>/thanks")
        self.gate = AdmitGateASGI(self._shop, secret_key=KEY, redis_url="unix:///nowhere", rules=[rule])
        self.cookie = b""

    async def _shop(self, scope: Any, receive: Any, send: Any) -> None:
        if "admitgate" in scope:
            await scope["admitgate"].aextend(1200)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"pay here"})

    def get(self, path: str = CHECKOUT) -> int:
        """The status of an answer; its cookie is kept."""
        said: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            said.append(message)

        headers = [(b"cookie", self.cookie)] if self.cookie else []
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "headers": headers,
            "scheme": "http",
            "query_string": b"",
            "root_path": "",
            "client": ("192.0.2.1", 1),
        }
        asyncio.run(self.gate(scope, receive, send))
        given = dict(said[0]["headers"]).get(b"set-cookie", b"")
        self.cookie = given.split(b";")[0] or self.cookie
        status: int = said[0]["status"]
        return status


def test_off_holds_in_an_event_loop(admitgate_off: None) -> None:
    """Nobody is asked."""
    assert InALoop().get() == 200


def test_admitted_holds_in_an_event_loop(admitgate_admitted: Admitted) -> None:
    """What was awaited is noted, too."""
    visitor = InALoop()
    assert (visitor.get(), visitor.get("/events/gala/thanks")) == (200, 200)
    assert admitgate_admitted.extended == [("gala", 1200), ("gala", 1200)]
    assert admitgate_admitted.released == ["gala"]


def test_full_holds_in_an_event_loop(admitgate_full: Full) -> None:
    """The same line as everywhere."""
    admitgate_full("gala")
    visitor = InALoop()
    assert visitor.get() == 503
    admitgate_full.make_room("gala")
    assert visitor.get() == 200


def test_levers_reach_the_private_redis(admitgate_full: Full) -> None:
    """And the log of it has who pulled them."""
    gate = InALoop().gate
    admitgate_full("gala")
    gate.event("gala").set(capacity=3, by="Anna")
    assert [(change.who, change.field, change.after) for change in gate.event("gala").log()] == [
        ("Anna", "capacity", "3")
    ]
