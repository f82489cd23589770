"""Signed tokens: what a visitor's cookie says, and whether we said it.

A token is a fixed compact text, ``l1.<sid>.<deadline>.<renew at>.<signature>`` for a lease and
``t1.<sid>.<number>.<joined>.<signature>`` for a ticket, times in ms of event time; ``o1.`` is a lease that
was given out in an outage. The purpose and the
event are in the signature's salt, so a token is good for one event and one purpose only.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from itsdangerous import BadSignature, Signer, want_bytes

from .errors import BadToken

_read = re.compile(r"([lto])1\.([A-Za-z0-9_-]{16})\.([0-9]{1,16})\.([0-9]{1,16})").fullmatch
_is_sid = re.compile(r"[A-Za-z0-9_-]{16}").fullmatch
_largest = 2**53
_longest = 160
_remembered = 8192


@dataclass(frozen=True, slots=True)
class Lease:
    """A hold on a slot until ``deadline_ms``, renewed by a request after ``renew_at_ms`` (0: by the next).

    One that ``is_unasked`` was given out in an outage, by a gate that opens then; Redis will hear of it.
    """

    sid: str
    deadline_ms: int
    renew_at_ms: int
    is_unasked: bool = False


@dataclass(frozen=True, slots=True)
class Ticket:
    """A numbered place in line."""

    sid: str
    number: int
    joined_ms: int


Token = Lease | Ticket


def new_sid() -> str:
    """A name for one visitor: 96 random bits, made before the call so that repeating it is idempotent."""
    return secrets.token_urlsafe(12)


def is_sid(text: str) -> bool:
    """True for what ``new_sid`` may have made."""
    return _is_sid(text) is not None


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
            purpose = "o" if token.is_unasked else "l"
            body = f"{purpose}1.{token.sid}.{token.deadline_ms}.{token.renew_at_ms}"
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

    def _verify(self, event: str, raw: str) -> Token:
        if len(raw) > _longest or not raw.isascii():
            raise BadToken("not a token's length or alphabet", raw)
        parts = _read(raw.rpartition(".")[0])
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
        return Lease(sid, int(first), int(second), purpose == "o")

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
