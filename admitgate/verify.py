"""``admitgate verify``: any place of a draw, reckoned again from what the shop has published."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from .draw import Draw, place_in_draw, seed_hash
from .errors import AdmitgateError
from .figures import number_of

_is_hash = re.compile(r"[0-9a-f]{64}").fullmatch
_longest_answer = 100_000
_timeout_seconds = 10
_counts_most = 2**50


class CannotVerify(AdmitgateError):
    """There is nothing to reckon from, or what is given can't be right: a sentence with its cure."""


def verified(
    url: str | None = None,
    *,
    seed: str | None = None,
    count: int | None = None,
    ordinal: int | None = None,
    hash: str | None = None,
    number: int | None = None,
    reference: str | None = None,
) -> dict[str, Any]:
    """What came out, ``is_right`` among it: the place, and whether the seed is the one that was promised."""
    if url is None:
        if number is not None or reference is not None:
            raise CannotVerify("--number and --reference need the URL of the status, or give --ordinal.")
        found = _of_options(seed, count, ordinal)
    else:
        if ordinal is not None or count is not None or seed is not None:
            raise CannotVerify("The status tells the seed and how many came: give --number or --reference.")
        found = _of_status(_status(url), number, reference)
    promised = _promised(hash, found.pop("promised", None))
    found["hash"] = seed_hash(found["seed"])
    found["is_right"] = promised in ("", found["hash"])
    return found


def sentence(found: Mapping[str, Any]) -> str:
    """The same to read."""
    if found["ordinal"]:
        place = f"Arrival {found['ordinal']:,} of {found['count']:,} drew place {found['place']:,}."
    else:
        place = "This number took no part in the draw: whoever came after it keeps the place they have."
    if not found["is_right"]:
        return f"The seed is not the one whose hash was promised: its own is {found['hash']}. {place}"
    return f"{place} The seed's SHA-256 is {found['hash']}."


def _of_options(seed: str | None, count: int | None, ordinal: int | None) -> dict[str, Any]:
    if seed is None or count is None or ordinal is None:
        raise CannotVerify("Give --seed, --count and --ordinal, or the URL of the event's status.")
    if not 1 <= count <= _counts_most:
        raise CannotVerify(f"--count is {count}: give how many took part, 1 or more.")
    if not 1 <= ordinal <= count:
        raise CannotVerify(f"--ordinal is {ordinal}: of {count} arrivals, give one from 1 to {count}.")
    place = place_in_draw(seed, count, ordinal)
    return {"seed": seed, "count": count, "ordinal": ordinal, "place": place}


def _of_status(status: Mapping[str, Any], number: int | None, reference: str | None) -> dict[str, Any]:
    told = status.get("draw")
    if not isinstance(told, dict):
        raise CannotVerify("This event has no draw: its places are in the order in which people came.")
    if "seed" not in told:
        raise CannotVerify(
            f"The draw is still to come. Its seed's hash is {told.get('hash')}: keep it, and ask again later."
        )
    try:
        draw = Draw(int(told["first"]), int(told["last"]), *map(int, told["hole"]))
        seed, promised, issued = str(told["seed"]), str(told["hash"]), int(status["issued"])
    except (KeyError, TypeError, ValueError) as error:
        raise CannotVerify("That is no status of an event: its draw can't be read. Check the URL.") from error
    ordinal = draw.ordinal_of(_number(number, reference, issued))
    place = place_in_draw(seed, draw.people, ordinal) if ordinal else None
    return {"seed": seed, "count": draw.people, "ordinal": ordinal, "place": place, "promised": promised}


def _number(number: int | None, reference: str | None, issued: int) -> int:
    if (number is None) == (reference is None):
        raise CannotVerify("Whose place? Give --number, or the --reference that their page shows.")
    if number is not None:
        return number
    try:
        return number_of(str(reference), issued)
    except ValueError as error:
        raise CannotVerify(f"--reference: {error}") from error


def _promised(given: str | None, told: str | None) -> str:
    """The hash to hold the seed against: that which somebody wrote down before the draw, if they did."""
    promised = (given or told or "").strip().lower()
    if promised and not _is_hash(promised):
        raise CannotVerify(f"--hash is {given or told!r}: give the 64 signs shown before the draw.")
    return promised


def _status(url: str) -> Mapping[str, Any]:
    if not url.lower().startswith(("http://", "https://")):
        raise CannotVerify(f"{url!r} is no URL: give one such as https://shop.example/_admitgate/status/gala")
    asked = Request(url, headers={"Accept": "application/json"})
    try:
        with urlopen(asked, timeout=_timeout_seconds) as answer:
            status = json.loads(answer.read(_longest_answer))
        return {**status}
    except HTTPError as error:
        error.close()
        raise CannotVerify(f"{url} answers {error.code} {error.reason}. Check the address.") from error
    except (TypeError, ValueError) as error:
        raise CannotVerify(f"{url} answers, but not with an event's status. Check the address.") from error
    except (HTTPException, OSError) as error:
        raise CannotVerify(f"{url} can't be asked ({error}). Check it and try again.") from error
