"""Writes the settings' page: names, types and defaults from the code, meanings from the README's tables.

So nothing is said twice, and a setting without a row in the README stops the build. The guide is the README's
later part. It is a hook of mkdocs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from admitgate import Config, Rule

README = Path(__file__).parent.parent / "README.md"
MARK = "<!-- {} -->"
_row = re.compile(r"^\| (?P<names>.*?) \| (?P<default>.*?) \| (?P<text>.+) \|$")
_name = re.compile(r"`([a-z_]+)`")
_table = re.compile(r"^\|.*\n\|[-| ]+\n((?:\|.*\n)+)", re.MULTILINE)


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """mkdocs hands over each page before it is rendered."""
    if page.file.src_uri == "settings.md":
        for kind in (Config, Rule):
            markdown = markdown.replace(MARK.format(kind.__name__), reference(kind))
    if page.file.src_uri == "guide.md":
        markdown = markdown.replace(MARK.format("README"), guide())
    return markdown


def guide() -> str:
    """What the README says beyond the quick starts and the settings, with its links as they are here."""
    text = README.read_text("utf-8")
    settings = text.index("\n## Settings")
    text = text[text.index("\n## ", settings + 1) : text.index("\n## Cost")]
    text = text.replace("](docs/", "](")
    text = re.sub(r"\[([^\]]+)\]\((?:examples|benchmarks)/[^)]*\)", r"`\1`", text)
    return re.sub(r"\[([^\]]+)\]\([A-Z]+\.md[^)]*\)", r"`\1`", text)


def reference(kind: type) -> str:
    """All settings of a dataclass, in the order of the README."""
    known = {option.name: option for option in fields(kind) if option.name != "_"}
    told = list(rows(kind))
    missing = set(known) - {name for names, _ in told for name in names}
    if missing:
        raise ValueError(f"the README's table of settings has no row for {', '.join(sorted(missing))}")
    return "\n".join(section([known[name] for name in names], text) for names, text in told)


def rows(kind: type) -> Iterator[tuple[list[str], str]]:
    """What the README's table says: names that share a row, and the text for them."""
    known = {option.name for option in fields(kind)}
    for names, _, text in table(kind):
        # A setting may be named in the text of another's row, such as redis_client in redis_url's.
        guests = [name for name in _name.findall(text) if name in known & _guests]
        yield [*dict.fromkeys([*names, *guests])], text


def told_defaults(kind: type) -> list[tuple[str, str]]:
    """Each setting with the default that the README tells, where it tells one for each name of a row."""
    told = [(names, text.split(", ") if len(names) > 1 else [text]) for names, text, _ in table(kind)]
    return [
        pair for names, texts in told if len(names) == len(texts) for pair in zip(names, texts, strict=True)
    ]


def table(kind: type) -> Iterator[tuple[list[str], str, str]]:
    """The README's table for a dataclass: the names, the default, what it means."""
    text = README.read_text("utf-8")
    head = "| setting |" if kind is Config else "| `Rule(path, *, …)` |"
    found = _table.search(text, text.index(head))
    assert found, head
    for line in found[1].splitlines():
        row = _row.match(line)
        assert row, f"not a row of three: {line}"
        yield _name.findall(row["names"]), row["default"], row["text"].strip()


_guests = {"redis_client"}


def section(options: list[Field[Any]], text: str) -> str:
    """One row of the table as a section of the page."""
    title = ", ".join(f"`{option.name}`" for option in options)
    facts = "\n".join(f"| `{option.name}` | `{kind(option)}` | {default(option)} |" for option in options)
    return f"### {title}\n\n{sentence(text)}\n\n| name | type | default |\n|---|---|---|\n{facts}\n"


def sentence(text: str) -> str:
    """The README's words; what it tells further below is on the guide's page."""
    text = re.sub(r"[:,] \[below\]\((#[^)]*)\)", r" ([more](guide.md\1))", text)
    text = re.sub(r"\]\(#", "](guide.md#", text)
    text = re.sub(r"[:,] see below$", " ([more](guide.md))", text)
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else "As its name says."


def kind(option: Field[Any]) -> str:
    """Its type, as the dataclass has it."""
    return str(option.type)


def default(option: Field[Any]) -> str:
    """Its default, as the dataclass has it."""
    if option.default is MISSING:
        return "required"
    return f"`{option.default!r}`" if option.default is not None else "none"
