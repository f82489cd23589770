"""The list of attacks and the tests about it, held together."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from attack_lines import IN_PROCESS, LINES, lines_with_tests

_here = Path(__file__).resolve().parent


def test_every_line_of_the_list_has_a_test() -> None:
    """On real servers, or in one process where only the gate's inside can show it."""
    for module in sorted(_here.glob("test_wire_*.py")):
        importlib.import_module(module.stem)
    lines = {line for section in LINES.values() for line in section}
    assert lines - lines_with_tests() - set(IN_PROCESS) == set()


def test_what_is_tested_in_one_process_exists() -> None:
    """By the name that the list gives."""
    for place in IN_PROCESS.values():
        file, _, name = place.partition("::")
        assert re.search(rf"^def {name}\b", (_here.parent / file).read_text("utf-8"), re.MULTILINE), place
