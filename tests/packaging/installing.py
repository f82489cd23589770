"""The package as its users get it: an sdist, a wheel made of that, and a venv with nothing else of ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
_not_ours = shutil.ignore_patterns(
    ".?*", "build", "dist", "*.egg-info", "__pycache__", "*.sqlite3*", "site"
)  # caches and results; .ci is asked for by name
_build = "import sys; from setuptools import build_meta as b; print(b.build_{}(sys.argv[1]))"


@dataclass(frozen=True)
class Installed:
    """A venv in which the wheel is installed; the tree it began with, and the sdist between, unpacked."""

    folder: Path
    tree: Path
    sdist: Path
    wheel: Path
    said: str

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def run(self, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run its Python, which knows nothing of the repository, nor of the environment of the tests."""
        program, environ = [self.python, *command], {"PATH": os.environ["PATH"]}
        return subprocess.run(program, cwd=cwd, env=environ, capture_output=True, text=True, check=False)


def _built(what: str, tree: Path, into: Path) -> tuple[str, str]:
    """The name of what was built, and whatever was said besides."""
    command = [sys.executable, "-c", _build.format(what), str(into)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()[-1], done.stdout + done.stderr


def _venv_with(wheel: Path, folder: Path) -> Path:
    """An editable install in the environment that lends its packages isn't seen: its .pth is not read."""
    venv.create(folder, symlinks=True)
    own = next(folder.glob("lib/*/site-packages"))
    (own / "lent.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]
    python = str(folder / "bin" / "python")
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *install], check=True)
    return folder


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The package in a venv of its own: one build for all the tests of it.

    Each of them takes it by name from here: a conftest.py of their own would hide the one that all share.
    """
    return _install(tmp_path_factory.getbasetemp() / "package")


@cache
def _install(folder: Path) -> Installed:
    """Without a network: what the package needs is lent by the environment of the tests."""
    tree = folder / "tree"
    shutil.copytree(ROOT, tree, ignore=_not_ours)
    shutil.copytree(ROOT / ".ci", tree / ".ci")
    sdist, said = _built("sdist", tree, folder)
    with tarfile.open(folder / sdist) as packed:
        packed.extractall(folder, filter="data")
    unpacked = folder / sdist.removesuffix(".tar.gz")
    wheel, said_too = _built("wheel", unpacked, folder)
    python = _venv_with(folder / wheel, folder / "venv")
    return Installed(python, tree, unpacked, folder / wheel, said + said_too)
