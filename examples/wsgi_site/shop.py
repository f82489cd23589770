"""A ticket shop in one callable and no framework, behind the same gate."""

from __future__ import annotations

import os
import secrets
from html import escape
from urllib.parse import parse_qs
from wsgiref.simple_server import make_server

from admitgate import AdmitGate, Rule

EVENTS = {"gala": "The Opening Gala", "river": "Songs from the River", "midnight": "Midnight Brass"}

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<link rel="icon" href="data:,"><style>
  :root {{ color-scheme: light dark; font: 17px/1.6 system-ui, sans-serif; }}
  body {{ max-width: 34rem; margin: 4rem auto; padding: 0 1.5rem; }}
  input, button {{ font: inherit; padding: .5rem .75rem; margin: .25rem 0 1rem; display: block; }}
</style><h1>{title}</h1>{body}</html>"""

FORM = """<form method="post"><label>Name <input name="name" required></label>
<label>E-mail <input name="email" type="email" required></label>
<label>Seats <input name="seats" type="number" min="1" max="4" value="2"></label>
<button id="pay">Pay</button></form>"""


def shop(environ, start_response):
    match environ["PATH_INFO"].strip("/").split("/"):
        case [""]:
            links = (f'<li><a href="/events/{slug}">{name}</a>' for slug, name in EVENTS.items())
            return page(start_response, "Lantern Hall", f"<ul>{''.join(links)}</ul>")
        case ["events", slug] if slug in EVENTS:
            link = f'<p><a href="/events/{slug}/checkout">Buy tickets</a>'
            return page(start_response, EVENTS[slug], link)
        case ["events", slug, "checkout"] if slug in EVENTS and environ["REQUEST_METHOD"] == "POST":
            size = min(int(environ.get("CONTENT_LENGTH") or 0), 10_000)
            form = parse_qs(environ["wsgi.input"].read(size).decode("utf-8", "replace"))
            # Paid: the header gives the slot to the next in line, and never reaches the browser.
            paid = ("Admitgate-Release", "1")
            name = escape(form.get("name", ["stranger"])[0])
            words = f"<p>{name}, you are going to {EVENTS[slug]}.<p><a href='/'>Back</a>"
            return page(start_response, "Thank you", words, headers=[paid])
        case ["events", slug, "checkout"] if slug in EVENTS:
            return page(start_response, f"Check-out: {EVENTS[slug]}", FORM)
    return page(start_response, "Not found", "<p>There is no such page.", status="404 Not Found")


def page(start_response, title, body, *, status="200 OK", headers=()):
    html = PAGE.format(title=title, body=body).encode()
    length = ("Content-Length", str(len(html)))
    start_response(status, [("Content-Type", "text/html; charset=utf-8"), length, *headers])
    return [html]


application = AdmitGate(
    shop,
    # For one process that begins anew each time; several need the same key, from the environment.
    secret_key=os.environ.get("SECRET_KEY") or secrets.token_urlsafe(50),
    redis_url=os.environ.get("ADMITGATE_REDIS_URL", "redis://localhost:6379/0"),
    rules=[
        Rule(
            "/events/<event>/checkout",
            capacity=int(os.environ.get("ADMITGATE_DEMO_CAPACITY", "3")),
            lease_seconds=int(os.environ.get("ADMITGATE_DEMO_LEASE_SECONDS", "60")),
        )
    ],
)

if __name__ == "__main__":
    with make_server("127.0.0.1", 8000, application) as server:
        server.serve_forever()
