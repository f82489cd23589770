"""What a Redis URL says, above all one of many hosts. Knows no Redis client: settings are checked by it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

SCHEMES = tuple(
    f"{scheme}+{kind}"
    for kind in ("sentinel", "cluster")
    for scheme in ("redis", "rediss", "valkey", "valkeys")
)
EXAMPLES = {
    "one": "redis://localhost:6379/0",
    "sentinel": "redis+sentinel://h1:26379,h2:26379,h3:26379/service/0",
    "cluster": "redis+cluster://h1:6379,h2:6379,h3:6379",
}

_default_ports = {"sentinel": 26379, "cluster": 6379}
_tls_options = ("ca_certs", "ca_path", "cert_reqs", "certfile", "check_hostname", "keyfile", "password")
_sentinel_options = ("sentinel_username", "sentinel_password")
_parts = re.compile(r"([^:]+)://(?:([^@/?#]*)@)?([^@/?#]*)(?:/([^?#]*))?(?:\?([^#]*))?").fullmatch
_one = re.compile(
    r"[A-Za-z]+://(?:[^/?#]*@)?(?:\[[0-9a-fA-F:.]+\]|[^/?#@:]*)(?::[0-9]{1,5})?(?:/([^?#]*))?(?:\?[^#]*)?"
).fullmatch
_host = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::([0-9]{1,5}))?").fullmatch


@dataclass(frozen=True)
class Address:
    """Several hosts of one Redis. ``url`` is the same for the first of them alone."""

    kind: str
    hosts: tuple[tuple[str, int], ...]
    service: str
    url: str = field(repr=False)
    sentinel_options: dict[str, str] = field(repr=False)


def read(url: str) -> Address:
    """The address in a URL of one of ``SCHEMES``.

    Raises ValueError with what is wrong and the cure; it doesn't repeat the URL, which may hold a password.
    """
    scheme, user, hosts, path, options = _split(url)
    base, kind = scheme.split("+")
    places = tuple(_place(host, number, kind) for number, host in enumerate(hosts.split(","), 1))
    service, database = _service(path) if kind == "sentinel" else ("", _no_database(path))
    _check(options, [*_tls_names(base), *(_sentinel_options if kind == "sentinel" else ())], scheme)
    (host, port), query = places[0], {name: value for name, value in options if name.startswith("ssl_")}
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Address(
        kind,
        places,
        service,
        f"{base.replace('valkey', 'redis')}://{user}{place}/{database}?{urlencode(query)}",
        {name.removeprefix("sentinel_"): value for name, value in options if name in _sentinel_options},
    )


def check_one(url: str) -> None:
    """See that a URL of one Redis can be read. Raises ValueError as ``read`` does, and repeats as little."""
    match = _one(url)
    try:
        is_read = match is not None and (urlsplit(url).port or 1) > 0
    except ValueError:  # brackets with no address in them, a port above the last
        is_read = False
    if match is None or not is_read:
        raise ValueError(_unreadable("one"))
    if not url.lower().startswith("unix:") and not re.fullmatch("[0-9]{0,9}/?", match[1] or ""):
        raise ValueError(f"has a database that is no number: give one as in {EXAMPLES['one']!r}")


def _unreadable(kind: str) -> str:
    return (
        f"can't be read: give one such as {EXAMPLES[kind]!r}, "
        "with '@', '/', '?' and '#' in a password as %40, %2F, %3F and %23"
    )


def _split(url: str) -> tuple[str, str, str, str, list[tuple[str, str]]]:
    match = _parts(url)
    if match is None or match[1].lower() not in SCHEMES:
        raise ValueError(_unreadable("sentinel"))
    scheme, user, hosts, path, query = match.groups(default="")
    user = f"{user}@" if user else ""
    return scheme.lower(), user, hosts, path, parse_qsl(query, keep_blank_values=True)


def _place(text: str, number: int, kind: str) -> tuple[str, int]:
    match = _host(text)
    port = int(match[2] or _default_ports[kind]) if match else 0
    if match is None or not 0 < port < 65536:
        raise ValueError(
            f"has no host, or a wrong port, in place {number}: give hosts as in {EXAMPLES[kind]!r}"
        )
    return match[1].strip("[]"), port


def _service(path: str) -> tuple[str, int]:
    service, _, database = path.partition("/")
    if not service:
        raise ValueError(f"names no service: give the Sentinels' name of it, as in {EXAMPLES['sentinel']!r}")
    if not re.fullmatch("[0-9]{0,9}", database):
        raise ValueError(f"has a database that is no number: give one as in {EXAMPLES['sentinel']!r}")
    return unquote(service), int(database or 0)


def _no_database(path: str) -> int:
    if path not in ("", "0"):
        raise ValueError(
            f"has a path: a cluster has no service and only database 0, as in {EXAMPLES['cluster']!r}"
        )
    return 0


def _tls_names(base: str) -> list[str]:
    return [f"ssl_{name}" for name in _tls_options] if base in ("rediss", "valkeys") else []


def _check(options: list[tuple[str, str]], known: list[str], scheme: str) -> None:
    strangers = [name for name, _ in options if name not in known]
    if strangers:
        raise ValueError(f"has the option {strangers[0]!r}: {scheme} knows {', '.join(known) or 'none'}")
