"""The shop's own look: readable by everybody, in one response, and refused with its cure where it is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_page import a_place, a_visit, policy_of, read

from admitgate.brand import Brand, accent_faults, contrast, read_colour, write_colour
from admitgate.page import Page
from admitgate.visit import Visit

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="9" height="9" fill="#c00"/></svg>'
)
colours = st.tuples(*[st.integers(0, 255)] * 3).map(write_colour)


@pytest.fixture
def logo(tmp_path: Path) -> str:
    path = tmp_path / "logo.svg"
    path.write_text(SVG, "utf-8")
    return str(path)


def variables(style: str) -> list[dict[str, str]]:
    return [dict(re.findall(r"--([\w-]+):(#\w+)", block)) for block in re.findall(r":root\{([^}]*)\}", style)]


@given(colours)
def test_text_in_the_brands_colour_can_be_read_on_every_background(accent: str) -> None:
    """WCAG's 4.5 to 1, on light and on dark screens; or the colour is refused, with one that would do."""
    faults = accent_faults(accent)
    if faults:
        (proposed,) = re.findall(r"'(#\w{6})' would do", faults[0])
        assert accent_faults(proposed) == []
        return
    for scheme, card in zip(variables(Brand(accent=accent).style), ["#ffffff", "#18201f"], strict=True):
        shown = {name: read_colour(colour) for name, colour in scheme.items()}
        assert contrast(shown["accent"], shown["tint"]) >= 4.5
        assert contrast(shown["accent"], read_colour(card)) >= 4.5
        assert contrast(shown["accent"], shown["on-accent"]) >= 4.5


def test_a_brand_is_on_the_page_and_in_its_policy(logo: str) -> None:
    """Name, logo, colours, a standing message, a contact; all in the one response."""
    brand = Brand("Gala & Co", logo, "#990000", "Doors at eight", "mailto:help@example.com")
    assert brand.faults() == []
    answer = Page(brand=brand).answer(a_visit(), a_place())
    reader = read(answer)
    (image,) = [attrs for tag, attrs in reader.tags if tag == "img"]
    assert image["alt"] == "Gala & Co"
    assert str(image["src"]).startswith("data:image/svg+xml,%3Csvg")
    assert [attrs["href"] for tag, attrs in reader.tags if tag == "a"] == ["mailto:help@example.com"]
    assert "Doors at eight" in reader.words
    assert b"--accent:#990000" in answer.body
    assert set(policy_of(answer)["style-src"]) == reader.hashes("style")


def test_a_name_without_a_logo_is_text() -> None:
    """Also on the page of whoever left."""
    page = Page(brand=Brand("<Gala>"))
    for answer in (page.answer(a_visit(), a_place()), page.left(Visit(**vars_of(a_visit("POST"))), "gala")):
        assert "<Gala>" in read(answer).words


def vars_of(visit: Visit) -> dict[str, object]:
    return {name: getattr(visit, name) for name in visit.__slots__}


def test_an_operators_message_comes_before_the_standing_one() -> None:
    """And the script knows both, for when the operator takes theirs back."""
    page = Page(brand=Brand(message="Doors at eight"))
    reader = read(page.answer(a_visit(), a_place(message="Row A is sold out")))
    assert "Row A is sold out" in reader.words
    assert "Doors at eight" not in reader.words
    assert reader.data["facts"]["standing"] == "Doors at eight"


@pytest.mark.parametrize(
    ("brand", "evidence"),
    [
        pytest.param(Brand(name="x" * 61), "brand_name", id="a name like a novel"),
        pytest.param(Brand(logo="logo.exe"), "no picture", id="a logo that is none"),
        pytest.param(Brand(accent="red"), "'#0b6b5d'", id="a colour by name"),
        pytest.param(Brand(message="x" * 501), "500", id="a message like a novel"),
        pytest.param(Brand(contact="javascript:alert(1)"), "mailto:", id="a contact that is a script"),
        pytest.param(Brand(contact="https://[/"), "mailto:", id="a contact that is no address"),
    ],
)
def test_a_brand_that_cannot_be_shown_is_refused(brand: Brand, evidence: str) -> None:
    """With the setting's name and what to give."""
    (fault,) = brand.faults()
    assert evidence in fault


def test_a_heavy_logo_is_refused(tmp_path: Path) -> None:
    """It would stand in every page, and one that does not come in one go comes late."""
    path = tmp_path / "logo.png"
    path.write_bytes(b"x" * 6145)
    (fault,) = Brand(logo=str(path)).faults()
    assert "6145 bytes" in fault
