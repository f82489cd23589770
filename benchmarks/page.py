"""How much of the network a waiting visitor takes: the page, which comes alone, and the answer it asks for.

    .venv/bin/python benchmarks/page.py --json

Sizes are those of the whole response: headers, and a body as nginx' gzip makes it at its level 5 or so. What
fits into 14 kB goes out in a new connection's first round trip.
"""

from __future__ import annotations

import gzip
import json
import re

import click

from admitgate import Config
from admitgate.languages import LANGUAGES
from admitgate.memory import Snapshot
from admitgate.page import Page
from admitgate.preview import SCENES, place_of
from admitgate.status import document
from admitgate.visit import Answer, Visit

BORN = 1_795_511_700_000_000
CROWD = Snapshot(
    *(BORN, BORN + 500_000, 412, 5000, 5000, 500_412, 4321.9, 0, 0, 0, 1600, 2060),
    message="",
    at_ms=BORN // 1000,
)
AFTER_A_LOSS = CROWD._replace(
    message="Rows A to F are sold out. There are seats left in the balcony.",
    gap_from=BORN + 7,
    gap_to=BORN + 90_000,
)


@click.command()
@click.option("--json", "is_json", is_flag=True, help="The figures alone, as JSON.")
def main(*, is_json: bool) -> None:
    """Print the sizes; of the pages the largest counts."""
    sizes = {
        (code, scene): size(page(code, scene)) for code in LANGUAGES for scene in SCENES if scene != "left"
    }
    largest = max(sizes, key=sizes.__getitem__)
    found = {
        "page_gzip_bytes": sizes[largest],
        "page_gzip_bytes_with_proof": size(page(*largest, of=proving_pages)),
        "status_bytes": len(status(CROWD)),
        "status_bytes_with_message_and_gap": len(status(AFTER_A_LOSS)),
        "requests": 1 + max(len(outside(page("en", scene))) for scene in SCENES if scene != "left"),
    }
    if is_json:
        click.echo(json.dumps(found))
        return
    for code in LANGUAGES:
        of_language = [bytes_ for (known, _), bytes_ in sizes.items() if known == code]
        click.echo(f"{code:10} {min(of_language):6} to {max(of_language):6} bytes, with gzip and headers")
    click.echo(f"largest: {largest[1]} in {largest[0]}")
    click.echo(f"with a proof at check-in: {found['page_gzip_bytes_with_proof']} bytes")
    click.echo(f"status {found['status_bytes']} bytes; {found['requests']} request for a page")
    click.echo(f"status with a message and a gap {found['status_bytes_with_message_and_gap']} bytes")


def page(code: str, scene: str, of: Page | None = None) -> Answer:
    """The answer to a browser that reads this language."""
    headers = {"accept": "text/html", "accept-language": code}
    visit = Visit(
        "GET", "/events/gala/checkout", "", "", lambda: True, "", lambda name: headers.get(name, "")
    )
    return (of or pages).answer(
        visit, place_of(scene), "admitgate_0a1b2c3d=" + "x" * 110 + "; Max-Age=86400; Path=/"
    )


def size(answer: Answer) -> int:
    """With its headers, as they go over the wire."""
    head = sum(len(name) + len(value) + 4 for name, value in answer.headers)
    return head + len(gzip.compress(answer.body, 5))


def status(line: Snapshot) -> bytes:
    """The shared answer."""
    config = Config.from_options(
        {
            "secret_key": "a key for measuring, of no worth to anybody",
            "redis_url": "redis://nowhere",
            "rules": [{"path": "/events/<event>", "capacity": 5000}],
        }
    )
    match = config.compiled_rules().of_event("gala")
    assert match
    return json.dumps(document(config, match, line), separators=(",", ":")).encode()


def outside(answer: Answer) -> list[str]:
    """What a browser would have to fetch besides."""
    found = re.findall(rb'<(?:script|img|link|iframe)[^>]*(?:src|href)="([^"]*)"', answer.body)
    return [url.decode() for url in found if not url.startswith(b"data:")]


pages, proving_pages = Page(), Page(demands_proof=True)

if __name__ == "__main__":
    main()
