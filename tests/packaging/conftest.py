"""One build for all the tests of the package."""

from __future__ import annotations

import pytest
from installing import Installed, install


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The package in a venv of its own."""
    return install(tmp_path_factory.mktemp("package"))
