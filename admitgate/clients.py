"""Where does a request come from? The address that is counted by, and whether its browser speaks https.

A proxy adds to X-Forwarded-For who came to it, behind what it was sent itself: so the list is true from the
right, as far as our own proxies reach, and further left anybody may have written anything.
``trusted_proxies`` says which ones are ours: how many there are, or their networks, and ``"unix"`` among
these for one that comes through a Unix socket. Nobody else's header is believed.

IPv4 addresses count one by one, IPv6 ones by the /64 that a household or a server is given as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import takewhile

Header = Callable[[str], str]
Trusted = int | Sequence[str]

_unix = "unix"
_proxies_most = 10
_entries_most = 32  # of a header, from the right
_longest = 64  # of an address
_remembered = 4096
_written = re.compile(r"(?:\[(.+)\]|([0-9.]+))(?::[0-9]{1,5})?").fullmatch


def is_trusted_proxies(value: object) -> bool:
    """True for a number of proxies, and for their networks."""
    if isinstance(value, int) and not isinstance(value, bool):
        return 0 <= value <= _proxies_most
    return isinstance(value, tuple) and all(isinstance(item, str) and _is_network(item) for item in value)


def client_of(header: Header, peer: str, trusted: Trusted) -> str:
    """The client's address, or its network: what requests are counted by. Empty where nobody knows it.

    ``peer`` is REMOTE_ADDR. Where one of our proxies doesn't say who came to it, it counts itself: that can
    only be too strict.
    """
    if not trusted:
        return _client(peer)
    way = _way(header, peer)
    nearer = way[_outermost(way, trusted) :: -1]
    return next(filter(None, map(_client, nearer)), "")


def is_https(header: Header, peer: str, trusted: Trusted) -> bool:
    """True if the outermost of our proxies says in X-Forwarded-Proto that its client speaks https.

    A proxy adds to what it was sent or overwrites it: so there may be fewer words than proxies of ours, but
    not where these are counted.
    """
    if not trusted:
        return False
    said = _entries(header("x-forwarded-proto"))
    if isinstance(trusted, int):
        return len(said) >= trusted and said[trusted - 1].lower() == "https"
    said = said[: len(_ours(_way(header, peer), trusted))]
    return said[-1:] != [] and said[-1].lower() == "https"


def _way(header: Header, peer: str) -> list[str]:
    """Whom the request came through, the nearest first. A server has no address for a Unix socket."""
    return [peer if _client(peer) else _unix, *_entries(header("x-forwarded-for"))]


def _outermost(way: list[str], trusted: Trusted) -> int:
    """Where in ``way`` our outermost proxy says that its client is.

    Whoever has come past some of our counted proxies is not believed at all.
    """
    if isinstance(trusted, int):
        return trusted if trusted < len(way) else 0
    return min(len(_ours(way, trusted)), len(way) - 1)


def _ours(way: list[str], networks: Sequence[str]) -> list[str]:
    return list(takewhile(lambda entry: _is_in(entry, networks), way))


def _is_in(entry: str, networks: Sequence[str]) -> bool:
    if entry.rstrip(":") == _unix:  # nginx writes it with a colon
        return _unix in networks
    address = _address(entry)
    return address is not None and any(address in _network(each) for each in networks if each != _unix)


def _entries(value: str) -> list[str]:
    """A header's list from its right end. So far on the left nobody of ours has written anything."""
    entries = value.rsplit(",", _entries_most)[-_entries_most:] if value else []
    return [entry.strip() for entry in reversed(entries)]


def _client(entry: str) -> str:
    address = _address(entry)
    return _counted_by(address) if address else ""


@lru_cache(_remembered)
def _counted_by(address: IPv4Address | IPv6Address) -> str:
    return str(address if address.version == 4 else IPv6Network((int(address) >> 64 << 64, 64)))


def _address(entry: str) -> IPv4Address | IPv6Address | None:
    return _read(entry) if len(entry) <= _longest else None


@lru_cache(_remembered)
def _read(entry: str) -> IPv4Address | IPv6Address | None:
    """The address in an entry, which may be quoted and have a port, brackets or a zone; or None."""
    address: IPv4Address | IPv6Address
    entry = entry.strip(' "')
    written = _written(entry)
    try:
        address = ip_address((written[1] or written[2]) if written else entry)
    except ValueError:
        return None
    address = (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
    return None if address.is_unspecified else address  # as uWSGI has it for a Unix socket


def _is_network(text: str) -> bool:
    try:
        return text == _unix or _network(text).prefixlen > 0  # not everybody is a proxy of ours
    except ValueError:
        return False


@lru_cache(_remembered)
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text, strict=False)
