"""URLs with several hosts: what they say, and what is wrong with them, in a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from sites import KEY

from admitgate import AdmitGate, Config, ConfigError
from admitgate.address import SCHEMES, read

RULE: dict[str, Any] = {"path": "/checkout", "capacity": 5}


def fault_of(url: str) -> str:
    """The one thing that is wrong with this redis_url."""
    with pytest.raises(ConfigError) as caught:
        Config.from_options({"rules": [RULE], "secret_key": KEY, "redis_url": url})
    (fault,) = caught.value.faults
    return fault


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_starts_a_gate(scheme: str) -> None:
    """Valkey's too; nothing connects."""
    path = "/tickets/1" if "sentinel" in scheme else ""
    AdmitGate(
        lambda environ, start: [],
        rules=[RULE],
        secret_key=KEY,
        redis_url=f"{scheme}://user:pass@a,b:7000{path}",
    )


def test_what_a_sentinels_url_says() -> None:
    """Hosts, with ports or Sentinel's own; the service; the database; whose names and passwords."""
    address = read("redis+sentinel://me:p%40ss@h1,h2:7,[::1]:8/my%20tickets/3?sentinel_password=s%26t")
    assert address.kind == "sentinel"
    assert address.hosts == (("h1", 26379), ("h2", 7), ("::1", 8))
    assert address.service == "my tickets"
    assert address.url == "redis://me:p%40ss@h1:26379/3?"
    assert address.sentinel_options == {"password": "s&t"}


def test_what_a_clusters_url_says() -> None:
    """Hosts, with ports or Redis' own; TLS and its options."""
    address = read("valkeys+cluster://[::1],h_2:7/0?ssl_cert_reqs=none")
    assert address.kind == "cluster"
    assert address.hosts == (("::1", 6379), ("h_2", 7))
    assert address.url == "rediss://[::1]:6379/0?ssl_cert_reqs=none"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        pytest.param("redis+sentinel://h1,h2", "names no service", id="a Sentinel's without a service"),
        pytest.param("redis+sentinel://h1/", "names no service", id="nor one after the slash"),
        pytest.param("redis+sentinel://h1/tickets/x", "no number", id="a database that is no number"),
        pytest.param("redis+sentinel://h1/tickets/1/2", "no number", id="too long a path"),
        pytest.param("redis+sentinel://h1,/tickets", "place 2", id="a comma too many"),
        pytest.param("redis+sentinel:///tickets", "place 1", id="no host"),
        pytest.param("redis+cluster://", "place 1", id="nothing"),
        pytest.param("redis+cluster://h1,h2:port", "place 2", id="a port that is no number"),
        pytest.param("redis+cluster://h1:0", "place 1", id="a port below the first"),
        pytest.param("redis+cluster://h1:65536", "place 1", id="a port above the last"),
        pytest.param("redis+cluster://h1 ,h2", "place 1", id="a blank"),
        pytest.param("redis+cluster://h1,redis://h2", "place 2", id="two URLs"),
        pytest.param("redis+cluster://[h1", "place 1", id="half a bracket"),
        pytest.param("redis+cluster://h1/1", "only database 0", id="a cluster's database"),
        pytest.param("redis+cluster://h1/tickets/0", "only database 0", id="a cluster's service"),
        pytest.param("redis+cluster://h1?timeout=1", "'timeout'", id="an unknown option"),
        pytest.param("redis+cluster://h1?ssl_cert_reqs=none", "'ssl_cert_reqs'", id="TLS without TLS"),
        pytest.param("rediss+cluster://h1?sentinel_password=x", "'sentinel_password'", id="another's option"),
        pytest.param("redis+cluster:h1", "can't be read", id="no slashes"),
        pytest.param("redis+cluster://a@b@h1", "can't be read", id="an @ in a password"),
        pytest.param("redis:/localhost:6379", "can't be read", id="one slash"),
        pytest.param(" redis://localhost", "can't be read", id="a blank before it"),
        pytest.param("redis://:a#b@localhost:6379/0", "%23", id="a # in a password"),
        pytest.param("redis://:a/b@localhost:6379/0", "%2F", id="a / in a password"),
        pytest.param("redis://localhost:65536", "can't be read", id="one host's port above the last"),
        pytest.param("redis://localhost/zero", "database that is no number", id="a database with a name"),
        pytest.param("redis+sentinels://h1/tickets", "scheme 'redis+sentinels'", id="an unknown scheme"),
        pytest.param("unix+cluster:///x", "scheme 'unix+cluster'", id="sockets"),
    ],
)
def test_a_wrong_url_is_refused_in_a_sentence(url: str, words: str) -> None:
    """With what is wrong and what to give instead."""
    fault = fault_of(url)
    assert fault.startswith("redis_url ")
    assert words in fault
    assert fault.endswith(".")


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://me:sesame@h1,h2",
        "redis+sentinel://me:sesame@h1:x/tickets",
        "redis+sentinel://me:sesame/x@h1/tickets",
        "redis+sentinel://me:sesame?x@h1/tickets",
        "redis+sentinel://me:sesame@x@h1/tickets",
        "redis+sentinel://me:sesame,x@h1/tickets/y",
        "redis+cluster://:sesame#x@h1",
        "redis://me:sesame#x@h1:6379/0",
        "redis://me:sesame/x@h1:6379/0",
        "redis://me:@/sesame@h1",
        "me:x@sesame@h1",
        "redis+cluster://h1?sentinel_password=sesame",
    ],
)
def test_a_fault_does_not_tell_the_password(url: str) -> None:
    """It ends in logs."""
    assert "sesame" not in fault_of(url)


def test_an_addresss_text_does_not_tell_the_password() -> None:
    """Nor does a traceback's."""
    text = repr(read("redis+sentinel://me:sesame@h1/tickets?sentinel_password=sesame"))
    assert "sesame" not in text
