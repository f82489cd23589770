"""A call in Redis' wire format, of what stays the same for an event and what changes each time.

Packing some thirty words one by one takes a third as long as Redis does; filling in a dozen figures doesn't.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_figure = b"$16\r\n%016d\r\n"  # of one width whatever it is: tonumber() reads it, and 2^53 has 16 digits
_name = b"$%d\r\n%b\r\n"


def evalsha(digest: str, keys: Sequence[str], fixed: Sequence[object], slug: str, own: int) -> bytes:
    """A format for the words of a verb's EVALSHA (ARGV as the prelude's contract has it).

    To be filled in: seven figures, the length of the sid and the sid, the same of the draw, and the verb's
    ``own`` figures.
    """
    words = ["EVALSHA", digest, len(keys), *keys]
    count = len(words) + 7 + len(fixed) + 3 + own
    return b"".join(
        [
            b"*%d\r\n" % count,
            _bulk(words),
            _figure * 7,
            _bulk(fixed),
            _name,
            _bulk([slug]),
            _name,
            _figure * own,
        ]
    )


def as_text(raw: Any) -> str:
    """What Redis said, whichever client has read it."""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def _bulk(words: Sequence[object]) -> bytes:
    texts = [str(word).encode("ascii") for word in words]
    return b"".join(b"$%d\r\n%b\r\n" % (len(text), text) for text in texts).replace(b"%", b"%%")
