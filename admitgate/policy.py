"""The headers of every answer to a person: no cache, no robot, no frame, and no script but the page's own."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

_inline_block = re.compile(rb"<(style|script)>(.*?)</\1>", re.DOTALL)


def headers(samples: Iterable[bytes], status_url: str | None) -> tuple[tuple[str, str], ...]:
    """The headers of pages whose inline styles and scripts are those of ``samples``."""
    return (
        ("Cache-Control", "no-store"),
        ("Vary", "Cookie, Accept, Accept-Language"),
        ("X-Robots-Tag", "noindex"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Content-Security-Policy", _content_policy(samples, status_url)),
    )


def _content_policy(samples: Iterable[bytes], status_url: str | None) -> str:
    """Allows what a page made for nobody has inline. What a visitor could smuggle in is not there."""
    hashes: dict[str, dict[str, None]] = {"style": {}, "script": {}}
    for sample in samples:
        for kind, text in _inline_block.findall(sample):
            digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
            hashes[kind.decode()][f"'sha256-{digest}'"] = None
    directives = (
        "default-src 'none'",
        " ".join(["style-src", *hashes["style"]]),
        " ".join(["script-src", *hashes["script"]]),
        " ".join(["connect-src 'self'", *_origins(status_url)]),
        "img-src data:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
    return "; ".join(directives)


def _origins(url: str | None) -> list[str]:
    parts = urlsplit(url or "")
    host = quote(parts.netloc.rpartition("@")[2], safe=":[]")
    return [f"{parts.scheme}://{host}"] if host else []
