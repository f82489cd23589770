"""The table: how each line went on each framework behind each server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from attack_lines import IN_PROCESS, LINES, section_of
from attack_words import FRAMEWORKS, SERVERS

HELD, REFUSED, NOT_APPLICABLE, FAILED = "held", "refused by the server", "not applicable", "failed"
OUTCOMES = (HELD, REFUSED, NOT_APPLICABLE)
SECURITY = Path(__file__).resolve().parents[2] / "SECURITY.md"


class Table:
    """Outcomes, counted."""

    def __init__(self) -> None:
        self._by_host: Counter[tuple[str, str, str]] = Counter()
        self._by_section: Counter[tuple[str, str]] = Counter()

    def note(self, framework: str, server: str, lines: tuple[str, ...], outcome: str) -> None:
        """One case on one host."""
        self._by_host[framework, server, outcome] += 1
        self._by_section[section_of(lines[0]), outcome] += 1

    def __len__(self) -> int:
        return sum(self._by_host.values())

    def rows(self) -> Iterator[str]:
        """The table in Markdown."""
        yield f"| framework, server | cases | {' | '.join(OUTCOMES)} |"
        yield "|---|---|---|---|---|"
        for framework in FRAMEWORKS:
            for server in SERVERS:
                yield _row(f"{framework}, {server}", self._of_host(framework, server))
        yield ""
        yield f"| on all of them | lines | cases | {' | '.join(OUTCOMES)} |"
        yield "|---|---|---|---|---|---|"
        for section, lines in LINES.items():
            yield _row(f"{section} | {len(lines)}", self._of_section(section))
        total = Counter(
            {outcome: sum(self._of_section(name)[outcome] for name in LINES) for outcome in OUTCOMES}
        )
        yield _row(f"together | {sum(map(len, LINES.values()))}", total)
        yield ""
        yield f"In one process instead, on each framework: {'; '.join(IN_PROCESS)}."

    def is_whole(self) -> bool:
        """True where every host has run the same cases, and none failed."""
        sizes = {
            sum(self._of_host(framework, server).values()) for framework in FRAMEWORKS for server in SERVERS
        }
        return len(sizes) == 1 and not any(outcome == FAILED for *_, outcome in self._by_host)

    def _of_host(self, framework: str, server: str) -> Counter[str]:
        return Counter({outcome: self._by_host[framework, server, outcome] for outcome in OUTCOMES})

    def _of_section(self, section: str) -> Counter[str]:
        return Counter({outcome: self._by_section[section, outcome] for outcome in OUTCOMES})


def is_kept(rows: list[str]) -> bool:
    """Is that the table in SECURITY.md?"""
    return SECURITY.exists() and "\n".join(rows) in SECURITY.read_text("utf-8")


def _row(name: str, outcomes: Mapping[str, int]) -> str:
    return f"| {name} | {sum(outcomes.values())} | {' | '.join(str(outcomes[name]) for name in OUTCOMES)} |"
