"""What is in the sdist and in the wheel, and that it runs where nothing else of ours is."""

from __future__ import annotations

import re
from pathlib import Path
from zipfile import ZipFile

import installing
import pytest
from installing import Installed

from admitgate import __version__

pytestmark = pytest.mark.slow

installed = installing.installed

import_all = """
import importlib, pkgutil, sys, admitgate, django
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "admitgate.django"])
django.setup()
assert admitgate.__file__.startswith(sys.prefix), admitgate.__file__
found = [module.name for module in pkgutil.walk_packages(admitgate.__path__, "admitgate.")]
for name in found:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(found))
"""


def test_the_wheel_has_what_the_package_reads(installed: Installed) -> None:
    """Scripts, templates, catalogues and py.typed; not what they are made of."""
    with ZipFile(installed.wheel) as wheel:
        inside = {name for name in wheel.namelist() if name.startswith("admitgate/")}
    sources = {".po", ".pot", ".pyc"}
    expected = {
        str(path.relative_to(installed.tree))
        for path in (installed.tree / "admitgate").rglob("*")
        if path.is_file() and path.suffix not in sources
    }
    assert inside == expected


def test_the_wheel_has_nothing_beside_the_package(installed: Installed) -> None:
    """No tests, no examples, no stray folder in everybody's site-packages."""
    with ZipFile(installed.wheel) as wheel:
        tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"admitgate", f"admitgate-{__version__}.dist-info"}


@pytest.mark.parametrize(
    "name",
    [
        *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "Makefile", "setup.cfg"),
        *("pyproject.toml", "tox.ini", "mkdocs.yml", ".ci/run", "docs/page-waiting.png", "docs/settings.md"),
        *("tests/conftest.py", "tests/packaging/installing.py", "tests/vendor/axe-core/axe.min.js"),
        *("examples/nginx/microcache.conf", "examples/django_site/manage.py", "benchmarks/overhead.py"),
        *("admitgate/lua/prelude.lua", "admitgate/locale/de/LC_MESSAGES/admitgate.po"),
    ],
)
def test_the_sdist_has_what_a_packager_needs(name: str, installed: Installed) -> None:
    """To build it, to test it, to read about it."""
    assert (installed.sdist / name).is_file()


def test_the_sdist_has_every_test(installed: Installed) -> None:
    """Whoever packages it runs them."""
    here = {path.relative_to(installed.tree) for path in (installed.tree / "tests").rglob("*.py")}
    there = {path.relative_to(installed.sdist) for path in (installed.sdist / "tests").rglob("*.py")}
    assert there == here


def test_building_says_nothing_that_should_worry(installed: Installed) -> None:
    """No deprecated field, no file that a pattern looks for in vain."""
    harmless = ("no previously-included files", "byte-compiling is disabled")
    worry = re.compile("warning|deprecat", re.IGNORECASE).search
    said = [line for line in installed.said.splitlines() if worry(line)]
    assert [line for line in said if not any(word in line for word in harmless)] == []


def test_every_module_imports_without_a_warning(installed: Installed, tmp_path: Path) -> None:
    """With all extras there, in a fresh interpreter that takes warnings for errors."""
    done = installed.run("-W", "error", "-c", import_all, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(list((installed.tree / "admitgate").rglob("*.py"))) - 1


@pytest.mark.parametrize("form", ["module", "script"])
def test_the_command_is_there_in_both_forms(form: str, installed: Installed, tmp_path: Path) -> None:
    """``python -m admitgate`` and ``admitgate``."""
    command = ["-m", "admitgate"] if form == "module" else [str(installed.folder / "bin" / "admitgate")]
    done = installed.run("-W", "error", *command, "--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"admitgate, version {__version__}\n"), done.stderr
