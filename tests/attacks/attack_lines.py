"""The list of attacks, line by line, and the mark that says which line a test is about.

``test_every_line_has_a_test`` holds the two together. What only the gate's inside can show (a clock that
stands still, a step of Redis' clock) is tested in one process by the test that ``IN_PROCESS`` names.
"""

from __future__ import annotations

import pytest

LINES: dict[str, tuple[str, ...]] = {
    "Tokens": (
        "random bytes",
        "one bit flipped, in every position",
        "signature truncated",
        "signature empty",
        "signature spelled in another way",
        "payload of another event",
        "ticket shown as a lease",
        "lease shown as a ticket",
        "expired by a second",
        "number that is negative",
        "number that is zero",
        "number that is text",
        "number that is a float",
        "number that is NaN",
        "number above 2^53",
        "missing field",
        "extra field",
        "older format",
        "signed with a retired key",
        "signed with an unknown key",
        "replayed after release",
        "replayed after a wipe",
        "one lease on 100 clients",
        "one ticket in 100 parallel check-ins",
        "a copied lease, two renewals later",
    ),
    "Accounts and clients": (
        "an account's lease, copied",
        "an account's ticket, copied",
        "another account's token beside one's own",
        "an account's token at another event",
        "an account's place without the account",
        "an account on a second device",
        "an account's ticket after its slot was given back",
        "more requests at once than one visitor may have",
        "many tickets from one address",
        "an address that a header invents",
    ),
    "Views": (
        "an endpoint by another spelling of its path",
        "a decorated view by another spelling",
        "a gated path by way of an ungated view",
        "an unknown method to a gated view",
    ),
    "Cookies": (
        "8 KB",
        "64 KB",
        "1 MB",
        "500 cookies",
        "quoted values",
        "NUL",
        "CR",
        "LF",
        "cookies refused altogether",
        "deleted mid-wait",
        "return from a payment provider",
    ),
    "Paths": (
        "//checkout",
        "checkout without its slash",
        "/./checkout",
        "/x/../checkout",
        "/checkout//",
        "/checkout;a=b",
        "/Checkout",
        "a number, spelled in another way",
        "%2f",
        "%63",
        "double encoding",
        "backslash",
        "trailing space",
        "trailing NUL",
        "trailing newline",
        "/checkoutx is not gated",
        "SCRIPT_NAME with an empty PATH_INFO",
        "X-Forwarded-Prefix",
        "X-Script-Name",
        "X-Original-URL",
        "X-Rewrite-URL",
        "REQUEST_URI that differs",
        "never redirect to normalise",
        "never match on a URL rebuilt from Host",
    ),
    "Methods": (
        "HEAD",
        "OPTIONS",
        "CORS pre-flight",
        "an unknown method",
        "TRACE",
        "X-HTTP-Method-Override",
        "POST while waiting",
        "websocket upgrade",
    ),
    "Headers, redirects, HTML": (
        "return URL //evil",
        "return URL /\\evil",
        "return URL https:evil",
        "return URL javascript:",
        "return URL with a tab inside",
        "return URL with CR inside",
        "X-Forwarded-Host reflected",
        "X-Forwarded-For forged",
        "event named <script>",
        "event named </script>",
        'event named "',
        "header injection through an event name",
        "framing",
        "JSON sniffed as HTML",
        "a policy without unsafe-inline",
    ),
    "Caches": (
        "waiting page stored by a CDN",
        "status answer with Set-Cookie",
        "status answer varying by cookie",
        "/checkout/x.css deception",
        "random query strings against the status answer",
        "a cached 503",
    ),
    "Resources": (
        "10^6 invented event names",
        "an event that isn't in the list",
        "a 10 KB event name",
        "a rule that backtracks",
        "10^5 joins without cookies",
        "hoard and never show",
        "hoard and poll",
        "join/release in a loop",
        "renew in a loop",
    ),
    "Time and concurrency": (
        "a worker's clock an hour off",
        "a lease that ends during its request",
        "release racing renew",
        "capacity to 0, live",
        "capacity to 1, live",
        "capacity doubled, live",
        "settings that differ between workers",
        "fork after the client was made",
        "threads",
        "gevent",
        "a response generator never closed",
        "the application raising before start_response",
        "the application raising after start_response",
        "kill -9 in mid-request",
    ),
}

IN_PROCESS = {
    "a worker's clock an hour off": "test_attacks.py::test_a_workers_own_clock_does_not_matter",
}

_about: set[str] = set()


def about(*lines: str) -> pytest.MarkDecorator:
    """Marks a test, or one of its cases, as being about these lines."""
    unknown = set(lines) - {line for section in LINES.values() for line in section}
    assert not unknown, f"not in the list: {unknown}"
    _about.update(lines)
    return pytest.mark.about(*lines)


def lines_with_tests() -> set[str]:
    """The lines of all test modules that have been imported."""
    return set(_about)


def section_of(line: str) -> str:
    """The heading that a line stands under."""
    return next(section for section, lines in LINES.items() if line in lines)
