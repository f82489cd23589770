"""A token is good for one event, one purpose and one set of keys; anything else is no token."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import Signer

from admitgate.errors import BadToken
from admitgate.tokens import Lease, Ticket, Token, Tokens, new_sid

SID = "abcdefghijklmnop"
LEASE, TICKET = (
    Lease(SID, 1_700_000_060_000, 1_700_000_020_000),
    Ticket(SID, 1_700_000_000_000_001, 1_700_000_000_000),
)
TOKENS = [pytest.param(LEASE, id="a lease"), pytest.param(TICKET, id="a ticket")]


def is_refused(tokens: Tokens, raw: str, event: str = "gala") -> bool:
    """Is this no token?"""
    try:
        tokens.read(event, raw)
    except BadToken:
        return True
    return False


def signed(text: str, purpose: str, *, event: str = "gala", key: str = "key") -> str:
    """Any text with a good signature: what an older or newer version, or a stolen key, might have written."""
    salt = f"admitgate.{purpose}:{event}"
    return Signer([key], salt=salt, digest_method=hashlib.sha256, key_derivation="hmac").sign(text).decode()


@pytest.mark.parametrize("token", TOKENS)
def test_what_was_written_can_be_read(token: Token) -> None:
    """By this worker, and by another that has the same keys."""
    raw = Tokens(["key"]).write("gala", token)
    assert Tokens(["key"]).read("gala", raw) == token


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_fits_into_a_cookie_as_it_is(token: Token) -> None:
    """No character that a browser, a proxy or a parser would quote; a fraction of a kilobyte."""
    raw = Tokens(["key"]).write("gala", token)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,120}", raw)


@pytest.mark.parametrize("token", TOKENS)
def test_a_flipped_bit_anywhere_makes_it_no_token(token: Token) -> None:
    """Every bit of every character. Of the last one's six bits base64 would throw two away."""
    raw = Tokens(["key"]).write("gala", token)
    tokens = Tokens(["key"])
    flipped = [
        raw[:place] + chr(ord(raw[place]) ^ 1 << bit) + raw[place + 1 :]
        for place in range(len(raw))
        for bit in range(8)
    ]
    assert [text for text in flipped if not is_refused(tokens, text)] == []


@pytest.mark.parametrize("token", TOKENS)
def test_a_signature_has_one_spelling(token: Token) -> None:
    """Base64 would read any last character of four, and leave out what isn't of its alphabet."""
    raw = Tokens(["key"]).write("gala", token)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    tokens = Tokens(["key"])
    accepted = [last for last in alphabet if not is_refused(tokens, raw[:-1] + last)]
    assert accepted == [raw[-1]]
    spellings = [raw + "=", raw + "==", raw + "!", raw[:-5] + "*" + raw[-5:], raw[:-5] + "\n" + raw[-5:]]
    assert all(is_refused(tokens, spelled) for spelled in spellings)


@pytest.mark.parametrize("token", TOKENS)
def test_a_truncated_token_is_no_token(token: Token) -> None:
    """Every length, from either end."""
    raw = Tokens(["key"]).write("gala", token)
    tokens = Tokens(["key"])
    assert all(is_refused(tokens, raw[:length]) for length in range(len(raw)))
    assert all(is_refused(tokens, raw[start:]) for start in range(1, len(raw)))


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_of_another_event_is_no_token(token: Token) -> None:
    """Neither of a similar one."""
    tokens = Tokens(["key"])
    raw = tokens.write("gala", token)
    assert all(is_refused(tokens, raw, event) for event in ("opera", "Gala", "gala ", "l:gala", ""))


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_cannot_change_its_purpose(token: Token) -> None:
    """A ticket doesn't become a lease by changing its first letter."""
    tokens = Tokens(["key"])
    raw = tokens.write("gala", token)
    assert is_refused(tokens, {"l": "t", "t": "l"}[raw[0]] + raw[1:])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f"l1.{SID}.-1.0", id="a negative number"),
        pytest.param(f"l1.{SID}.1.5.0", id="a fraction"),
        pytest.param(f"l1.{SID}.1e9.0", id="an exponent"),
        pytest.param(f"l1.{SID}.NaN.0", id="not a number"),
        pytest.param(f"l1.{SID}.inf.0", id="infinity"),
        pytest.param(f"l1.{SID}.soon.0", id="a word"),
        pytest.param(f"l1.{SID}..0", id="nothing for a number"),
        pytest.param(f"l1.{SID}.0x10.0", id="hexadecimal"),
        pytest.param(f"l1.{SID}.1_0.0", id="an underscore"),
        pytest.param(f"l1.{SID}. 1.0", id="a space"),
        pytest.param(f"l1.{SID}.\uff11.0", id="a digit of another alphabet"),
        pytest.param(f"l1.{SID}.{2**53}.0", id="2^53"),
        pytest.param(f"l1.{SID}.1.{2**53}", id="2^53 in the second place"),
        pytest.param(f"l1.{SID}.{10**40}.0", id="forty digits"),
        pytest.param(f"l1.{SID}.1", id="a missing field"),
        pytest.param(f"l1.{SID}.1.2.3", id="an extra field"),
        pytest.param(f"l0.{SID}.1.2", id="an older format"),
        pytest.param(f"l2.{SID}.1.2", id="a newer format"),
        pytest.param(f"x1.{SID}.1.2", id="an unknown purpose"),
        pytest.param(f"L1.{SID}.1.2", id="a capital"),
        pytest.param("l1.short.1.2", id="a short name"),
        pytest.param(f"l1.{SID}x.1.2", id="a long name"),
        pytest.param("l1.abcdefghijklmno*.1.2", id="another name's alphabet"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_good_signature_on_a_bad_text_is_no_token(body: str) -> None:
    """What isn't of the one form is refused before its numbers are believed."""
    tokens = Tokens(["key"])
    assert not is_refused(tokens, signed(f"l1.{SID}.1.2", "l"))
    assert is_refused(tokens, signed(body, "l"))


def test_zero_is_a_number() -> None:
    """A deadline of 0 is long over, but well formed; Redis refuses it."""
    assert Tokens(["key"]).read("gala", signed(f"l1.{SID}.0.0", "l")) == Lease(SID, 0, 0)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("", id="nothing"),
        pytest.param(".", id="a dot"),
        pytest.param("." * 200, id="dots"),
        pytest.param(f"l1.{SID}.1.2.", id="an empty signature"),
        pytest.param(f"l1.{SID}.1.2", id="no signature"),
        pytest.param(f"l1.{SID}.1.2.ä", id="not ASCII"),
        pytest.param(f"l1.{SID}.1.2." + "A" * 43, id="an invented signature"),
        pytest.param(f"l1.{SID}.1.2." + "A" * 100_000, id="a hundred kilobytes"),
        pytest.param("\x00" * 50, id="NUL"),
        pytest.param("\ud800", id="half a character"),
    ],
)
def test_what_nobody_signed_is_no_token(raw: str) -> None:
    """Never another error."""
    assert is_refused(Tokens(["key"]), raw)


@given(st.text(max_size=200))
def test_random_text_is_no_token(raw: str) -> None:
    """Never another error either."""
    assert is_refused(Tokens(["key"]), raw)


@pytest.mark.parametrize(
    ("keys", "is_good"),
    [
        pytest.param(["old"], True, id="its own key"),
        pytest.param(["old", "new"], True, id="a retired key still verifies"),
        pytest.param(["older", "old", "newer", "new"], True, id="wherever it stands"),
        pytest.param(["new"], False, id="an unknown key"),
        pytest.param(["olds"], False, id="a longer key"),
    ],
)
def test_keys_can_be_changed(keys: Sequence[str], is_good: bool) -> None:
    """All keys in the list verify."""
    raw = Tokens(["old"]).write("gala", LEASE)
    assert is_refused(Tokens(keys), raw) is not is_good


def test_a_retired_key_never_signs() -> None:
    """The last of the list does."""
    raw = Tokens(["older", "old", "new"]).write("gala", LEASE)
    assert is_refused(Tokens(["older", "old"]), raw)
    assert Tokens(["new"]).read("gala", raw) == LEASE


def test_what_is_remembered_is_bounded() -> None:
    """However many tokens and events come by."""
    tokens = Tokens(["key"])
    for number in range(8200):
        tokens.read(f"event {number}", tokens.write(f"event {number}", LEASE))
    assert len(tokens._verified) <= 8192
    assert len(tokens._signers) <= 8192


def test_bad_tokens_are_not_remembered() -> None:
    """An attacker's cookies must not push out the good ones."""
    tokens = Tokens(["key"])
    assert is_refused(tokens, "no token")
    assert not tokens._verified


def test_the_error_shows_a_piece_of_the_evidence() -> None:
    """Enough to find it, not enough to fill a log."""
    with pytest.raises(BadToken) as caught:
        Tokens(["key"]).read("gala", "x" * 100_000)
    assert len(str(caught.value)) < 200
    assert caught.value.raw == "x" * 64


def test_tokens_are_values() -> None:
    """They are shared by threads."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        LEASE.sid = "x"  # type: ignore[misc]


def test_every_visitor_has_a_name_of_their_own() -> None:
    """96 random bits, in the alphabet that tokens read."""
    sids = {new_sid() for _ in range(1000)}
    assert len(sids) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{16}", sid) for sid in sids)
