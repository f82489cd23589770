"""A visitor's own figures: in any language, never promising too much, with a reference to read out."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admitgate import figures, words
from admitgate.decision import Place
from admitgate.languages import ENGLISH, Language

BORN = 1_700_000_000_000_000


class Slavic(Language):
    """A language with three forms, as Polish has them, that says everything in its own way."""

    def gettext(self, text: str) -> str:
        return f"«{text}»"

    def ngettext(self, singular: str, plural: str, n: int) -> str:
        if n == 1:
            return f"one: {singular}"
        is_few = n % 10 in (2, 3, 4) and n % 100 not in (12, 13, 14)
        return f"{'few' if is_few else 'many'}: {plural}"

    def number(self, n: int) -> str:
        return f"{n:_}"


SLAVIC = Slavic("xx", "rtl", {"one": 1, "few": 2, "many": 5})


@pytest.mark.parametrize(
    ("position", "form"), [(2, "one"), (3, "few"), (6, "many"), (23, "few"), (1235, "few")]
)
def test_people_are_counted_as_the_language_counts(position: int, form: str) -> None:
    """The form follows the number that is shown, with the language's own marks for thousands."""
    said = figures.ahead(SLAVIC, Place("gala", "waiting", position=position))
    assert said.startswith(f"{form}: ")
    assert f" {position - 1:_} " in said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        pytest.param(None, "", id="not in line"),
        pytest.param(0, "Just joined", id="just now"),
        pytest.param(59, "Just joined", id="not a minute"),
        pytest.param(60, "In line for 1 minute", id="a minute"),
        pytest.param(7199, "In line for 119 minutes", id="not two hours"),
        pytest.param(7200, "In line for 2 hours", id="two hours"),
    ],
)
def test_how_long_somebody_is_in_line(seconds: int | None, said: str) -> None:
    """Rounded downwards, like everybody's age."""
    assert figures.waited(ENGLISH, seconds) == said


@given(st.integers(BORN, BORN + 10**12), st.integers(-(10**8), 10**8))
def test_a_reference_leads_back_to_its_number(number: int, off: int) -> None:
    """An operator knows about where the line is, and finds the one place by its six signs."""
    reference = figures.reference(number)
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}", reference)
    assert figures.number_of(reference, number + off) == number
    assert figures.number_of(reference.lower().replace("-", " "), number) == number


def test_references_do_not_show_who_comes_before_whom() -> None:
    """And neighbours are not mistaken for one another: most of their signs differ."""
    references = [figures.reference(BORN + ordinal) for ordinal in range(1000)]
    assert references != sorted(references)
    assert len(set(references)) == 1000
    for one, next_one in pairwise(references):
        assert sum(a != b for a, b in zip(one, next_one, strict=True)) >= 3


@pytest.mark.parametrize("text", ["", "ABC", "ABC-DEU", "ABC-DEFG", "ÄBC-DEF", "0" * 100])
def test_what_is_no_reference_is_refused(text: str) -> None:
    """With what one looks like."""
    with pytest.raises(ValueError, match="7K3-M9Q"):
        figures.number_of(text, BORN)


def test_every_word_is_translated() -> None:
    """Nothing slips past a language: not on the page, not in its script."""

    def leaves(said: object) -> list[str]:
        return (
            [leaf for item in said.values() for leaf in leaves(item)]
            if isinstance(said, dict)
            else [str(said)]
        )

    assert all(
        leaf.startswith(("«", "one: ", "few: ", "many: ")) for leaf in leaves(words.in_language(SLAVIC))
    )
    assert set(words.in_language(SLAVIC)["minutes"]) == {"one", "few", "many"}


def test_the_script_has_every_word_it_asks_for() -> None:
    """And no word that it doesn't: every visitor pays for it."""
    folder = Path(words.__file__).with_name("templates") / "admitgate"
    script = "".join((folder / name).read_text("utf-8") for name in ("line.js", "waiting.js", "face.js"))
    known = words.for_script(ENGLISH)
    named = set(re.findall(r"words\.(\w+)", script)) - {"states"}
    counted = set(re.findall(r'counted\((?:view\.isAbout \? )?"(\w+)"(?: : "(\w+)")?', script))
    named |= {name for pair in counted for name in pair if name}
    named |= {name for name in known if name.startswith(("wait_", "up_to_", "about_"))} | {"minutes", "hours"}
    assert set(known) - {"states"} == named
    assert set(re.findall(r'state: "(\w+)"|end\("(\w+)"\)', script)[0]) - {""} <= set(known["states"])
