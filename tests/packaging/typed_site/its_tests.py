"""And the fixtures for its tests."""

from __future__ import annotations

from plain import application
from typing_extensions import assert_type

from admitgate import Admission
from admitgate.testing import Admitted, Full


def test_an_order(admitgate_admitted: Admitted) -> None:
    assert_type(admitgate_admitted.admissions, list[Admission])
    assert_type(admitgate_admitted.released, list[str])


def test_the_line(admitgate_full: Full) -> None:
    admitgate_full("gala").make_room("gala", 2)
    assert callable(application)
