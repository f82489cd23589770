"""Signed tokens: what a visitor's cookie says, and whether we said it.

A token is a fixed compact text, ``l1.<sid>.<deadline>.<renew at>.<signature>`` for a lease and
``t1.<sid>.<number>.<joined>.<signature>`` for a ticket, times in ms of event time; ``o1.`` is a lease that
was given out in an outage. An operator's passes are ``p1.`` (a ticket before all others) and ``g1.`` (a
guest's lease), ``<sid>.<good until>.<given>``. The purpose and the
event are in the signature's salt, so a token is good for one event and one purpose only. A signature has
one spelling: base64 would have four, by the bits of its last character that mean nothing.

A *sid* names one visitor at one event. The first five of its characters are a tag of the client, by which
places are counted, and the others are random. An account's is longer, and the same wherever it shows up.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from itsdangerous import BadSignature, Signer, want_bytes

from .errors import BadToken

_sid = "[A-Za-z0-9_-]{16}(?:[A-Za-z0-9_-]{6})?"
_signature = "[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"
_read = re.compile(rf"([ltopg])1\.({_sid})\.([0-9]{{1,16}})\.([0-9]{{1,16}})\.{_signature}").fullmatch
_is_sid = re.compile(_sid).fullmatch
_account_length = 22
_tag_length = 5
_largest = 2**53
_longest = 160
_remembered = 8192


@dataclass(frozen=True, slots=True)
class Lease:
    """A hold on a slot until ``deadline_ms``, renewed by a request after ``renew_at_ms`` (0: by the next).

    One that ``is_unasked`` was given out in an outage, by a gate that opens then; Redis will hear of it. A
    guest's takes no slot: Redis never hears of it, and it is good until its deadline.
    """

    sid: str
    deadline_ms: int
    renew_at_ms: int
    is_unasked: bool = False
    is_guest: bool = False


@dataclass(frozen=True, slots=True)
class Ticket:
    """A numbered place in line. A pass has number 0, before all others, and is good until ``until_ms``."""

    sid: str
    number: int
    joined_ms: int
    until_ms: int = 0


Token = Lease | Ticket


def is_pass(token: Token) -> bool:
    """True for what an operator gave out: a ticket before all others, or a guest's lease."""
    return token.is_guest if isinstance(token, Lease) else token.until_ms > 0


def good_until(token: Token) -> int:
    """When a lease or a pass ends, in ms; 0 for a ticket, which ends with the line."""
    return token.deadline_ms if isinstance(token, Lease) else token.until_ms


def new_sid(tag: str = "") -> str:
    """A name for one visitor: 96 random bits, made before the call so that repeating it is idempotent.

    With a client's tag before the last 66 of them, where there is one.
    """
    return tag + secrets.token_urlsafe(12)[len(tag) :]


def is_sid(text: str) -> bool:
    """True for what may name a visitor."""
    return _is_sid(text) is not None


def is_of_account(sid: str) -> bool:
    """True for a sid that is worth nothing without its account."""
    return len(sid) == _account_length


class Tokens:
    """Writes and reads tokens. ``keys`` are in order of age: the last one signs, all of them verify.

    Tokens that were verified are remembered (bounded), as the same cookie comes with every request; the
    memory lives and dies with this object, so it can't outlive a key.
    """

    def __init__(self, keys: Sequence[str | bytes]) -> None:
        self._keys = [want_bytes(key) for key in keys]
        self._signers: dict[tuple[str, str], Signer] = {}
        self._verified: dict[tuple[str, str], Token] = {}

    def write(self, event: str, token: Token) -> str:
        """The signed text of ``token``."""
        if isinstance(token, Lease):
            purpose = "g" if token.is_guest else "o" if token.is_unasked else "l"
            body = f"{purpose}1.{token.sid}.{token.deadline_ms}.{token.renew_at_ms}"
        elif token.until_ms:
            purpose, body = "p", f"p1.{token.sid}.{token.until_ms}.{token.joined_ms}"
        else:
            purpose, body = "t", f"t1.{token.sid}.{token.number}.{token.joined_ms}"
        return self._signer(purpose, event).sign(body).decode()

    def read(self, event: str, raw: str) -> Token:
        """The token in ``raw``; raises BadToken unless it was written for this event with one of the keys."""
        token = self._verified.get((event, raw))
        if token is None:
            token = self._verify(event, raw)
            if len(self._verified) >= _remembered:
                self._verified.clear()
            self._verified[event, raw] = token
        return token

    def sid_of(self, event: str, *, account: str | None = None, client: str = "") -> str:
        """A newcomer's sid: their account's, or a new one, with the tag of their client if that is known."""
        if account is not None:
            return _account_sid(self._keys[-1], event, account)
        return new_sid(_digest(self._keys[-1], "client", event, client)[:_tag_length] if client else "")

    def is_of(self, event: str, sid: str, account: str | None) -> bool:
        """True where an account's sid is this account's. The key may be retired by now."""
        return account is not None and any(sid == _account_sid(key, event, account) for key in self._keys)

    def _verify(self, event: str, raw: str) -> Token:
        if len(raw) > _longest or not raw.isascii():
            raise BadToken("not a token's length or alphabet", raw)
        parts = _read(raw)
        if parts is None:
            raise BadToken("not a token's form", raw)
        purpose, sid, first, second = parts.groups()
        if int(first) >= _largest or int(second) >= _largest:
            raise BadToken("a number above 2^53", raw)
        try:
            self._signer(purpose, event).unsign(raw)
        except BadSignature as error:
            raise BadToken("not our signature", raw) from error
        if purpose == "t":
            return Ticket(sid, int(first), int(second))
        if purpose == "p":
            return Ticket(sid, 0, int(second), int(first))
        return Lease(sid, int(first), int(second), purpose == "o", purpose == "g")

    def _signer(self, purpose: str, event: str) -> Signer:
        signer = self._signers.get((purpose, event))
        if signer is None:
            if len(self._signers) >= _remembered:
                self._signers.clear()
            salt = f"admitgate.{purpose}:{event}".encode()
            keys = [hmac.digest(key, salt, "sha256") for key in self._keys]
            signer = self._signers[purpose, event] = Signer(
                keys, digest_method=hashlib.sha256, key_derivation="none"
            )
        return signer


def seeds_of(keys: Sequence[str | bytes]) -> Callable[[int, str], str]:
    """The seeds of events' draws, by the time of the opening: the same in every worker, and nobody's to know.

    128 bits in hex. The line keeps the one it began with, so that what was
    shown of it stays true where keys change.
    """
    key = want_bytes(keys[-1])

    def seed(opens_at: int, event: str) -> str:
        salt = f"admitgate.draw:{opens_at}:{event}".encode("utf-8", "surrogatepass")
        return hmac.digest(key, salt, "sha256").hex()[:32]

    return seed


def _account_sid(key: bytes, event: str, account: str) -> str:
    return _digest(key, "account", event, account)[:_account_length]


@lru_cache(_remembered)
def _digest(key: bytes, purpose: str, event: str, name: str) -> str:
    """What only we can make of a name, in a sid's alphabet."""
    text = f"{len(event)}:{event}{name}".encode("utf-8", "surrogatepass")
    key = hmac.digest(key, f"admitgate.{purpose}".encode(), "sha256")
    return urlsafe_b64encode(hmac.digest(key, text, "sha256")).decode()
