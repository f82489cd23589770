"""Caches: what is one visitor's is kept by none; what is everybody's is the same for everybody."""

from __future__ import annotations

import pytest
from attack_lines import about
from attack_site import JSON, Site


@about("waiting page stored by a CDN")
@pytest.mark.parametrize("accept", ["text/html", "application/json", "image/avif,*/*;q=0.8"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_no_cache_keeps_the_waiting_page(site: Site, method: str, accept: str) -> None:
    """no-store, varying by all that it depends on, and no validator to ask with."""
    reply = site.send("/checkout", method, headers={"Accept": accept})
    assert reply.get("Cache-Control") == "no-store"
    assert {"Cookie", "Accept"} <= set(reply.get("Vary").split(", "))
    assert not reply.all("ETag")
    assert not reply.all("Last-Modified")


@about("/checkout/x.css deception")
@pytest.mark.parametrize(
    "name", ["x.css", "x.js", "logo.png", ".well-known/x", "%2e%2e%2fx.css", "x.css?v=1"]
)
def test_a_file_below_the_check_out_is_gated_and_not_kept(site: Site, name: str) -> None:
    """What a cache would keep for its ending is the visitor's own page all the same."""
    inside = site.fill()
    path = site.at(f"checkout/{name}")
    waiting = site.send(path)
    if waiting.body != b"a page":  # %2e%2e%2f has led elsewhere
        assert waiting.is_waiting
        admitted = site.send(path, cookies=inside)
        assert "Cookie" in admitted.get("Vary")


@about("a cached 503")
@pytest.mark.parametrize("deed", ["", "check-in", "leave"])
def test_no_answer_that_turns_somebody_away_is_kept(site: Site, deed: str) -> None:
    """Neither for them nor for who is let in later; who is let in gets an answer that varies by cookie."""
    inside = site.fill()
    waiting, _ = site.queue()
    reply = site.post(deed, waiting) if deed else site.send(cookies=waiting)
    assert reply.get("Cache-Control") == "no-store"
    assert "Cookie" in site.send(cookies=inside).get("Vary")


@pytest.mark.parametrize("cookies", ["", "sessionid=1", "ours"])
@about("status answer with Set-Cookie", "status answer varying by cookie")
def test_the_status_is_the_same_for_everybody(site: Site, cookies: str) -> None:
    """It reads no cookie, sets none, and does not vary."""
    inside = site.fill()
    site.queue()
    path = site.below_the_mount("status")
    for headers in (
        {},
        JSON,
        {"Accept-Language": "de"},
        {"Range": "bytes=0-1"},
        {"Authorization": "Basic x"},
    ):
        reply = site.send(path, cookies=inside if cookies == "ours" else cookies, headers=headers)
        assert reply.status == 200
        assert reply.get("Cache-Control") == "public, max-age=1"
        assert not reply.all("Set-Cookie")
        assert "cookie" not in reply.get("Vary").lower()
        assert reply.json["leases"] == 1
        assert inside.split(".")[1] not in reply.text


@about("random query strings against the status answer")
def test_random_query_strings_cost_redis_nothing(site: Site) -> None:
    """Each worker looks once a second, whatever is asked along."""
    site.fill()
    path, before = site.below_the_mount("status"), site.script_calls()
    for number in range(60):
        reply = site.send(f"{path}?{number}={'x' * number}", cookies=f"a={number}")
        assert reply.get("Cache-Control") == "public, max-age=1"
    assert site.script_calls() - before <= 12  # two workers, and this may take a few seconds
