"""The public names have types, as somebody sees them who has installed the package."""

from __future__ import annotations

from pathlib import Path

import installing
import pytest
from installing import Installed

pytestmark = pytest.mark.slow

installed = installing.installed

SITE = Path(__file__).parent / "typed_site"


def checked(installed: Installed, folder: Path, *files: Path) -> str:
    """What ``mypy --strict`` says of files of somebody else's."""
    cache = str(installed.tree / ".mypy")
    where = ["--config-file=", "--cache-dir", cache, "--python-executable", installed.python]
    done = installed.run("-m", "mypy", "--strict", *where, *map(str, files), cwd=folder)
    return done.stdout + done.stderr


def test_a_site_of_somebody_elses_passes_the_strictest_check(installed: Installed, tmp_path: Path) -> None:
    """Plain WSGI, Flask, Django and ASGI, and their tests."""
    files = sorted(SITE.glob("*.py"))
    said = checked(installed, tmp_path, *files)
    assert said == f"Success: no issues found in {len(files)} source files\n"


def test_a_mistake_of_theirs_is_found(installed: Installed, tmp_path: Path) -> None:
    """So the check does see our types: a time that is a text, an event that is a number."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from admitgate import Admission, Rule\n"
        "Rule('/checkout', capacity=500, lease_seconds='600')\n"
        "def order(admission: Admission) -> int:\n"
        "    return admission.event\n"
    )
    said = checked(installed, tmp_path, wrong)
    assert said.count("error:") == 2, said
