"""What is left out of the page's script and style means nothing to a browser."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from test_page import node

from admitgate import template
from admitgate.smaller import smaller_script, smaller_style

FOLDER = template.TEMPLATES / "admitgate"
TESTS = Path(__file__).parent / "js"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param("// why\n  f(a);", "f(a);", id="comments and indentation"),
        pytest.param(
            "const longer = (its, own) => its + own;\nlonger(1, 2);",
            "const b=(a,c)=>a+c;b(1,2);",
            id="blanks",
        ),
        pytest.param("{\n  f(a);\n}\ng(\n  b,\n);", "{f(a)}\ng(b,);", id="and breaks"),
        pytest.param("a = b\n  && c;\nd();", "a=b&&c;d();", id="also inside of what is one sentence"),
        pytest.param("f(a)\ng(b)", "f(a)\ng(b)", id="not one that ends it"),
        pytest.param('say("a = b, c");', 'say("a = b, c");', id="what is said stays as it is"),
        pytest.param("text.replace(/a = b/, ``);", "text.replace(/a = b/,``);", id="and so does a pattern"),
        pytest.param("const left = 1;\nsay(left);", "const a=1;say(a);", id="a name becomes short"),
        pytest.param("const left = 1;\nsay(its.left);", "const left=1;say(its.left);", id="not a field's"),
        pytest.param("const left = 1;\nsay({ left: 2 });", "const left=1;say({left:2});", id="nor a key's"),
        pytest.param(
            "const { left, b: [c] } = it;\nlet left = c;",
            "const{left,b:[c]}=it;let left=c;",
            id="nor one in short",
        ),
        pytest.param(
            "let left = 1;\nsay(`${left} left`);", "let left=1;say(`${left} left`);", id="nor a text's"
        ),
        pytest.param("let left = 1;\nlet a = 2;", "let c=1;let b=2;", id="nobody gets a name that is taken"),
    ],
)
def test_a_script_says_the_same_in_fewer_letters(script: str, expected: str) -> None:
    """Blanks go where no word needs them; what is declared is called something short."""
    assert smaller_script(script) == expected


def test_what_is_kept_goes_on_being_called_that() -> None:
    """For tests, which have to call it."""
    assert smaller_script("function wait() {}", keep=frozenset({"wait"})) == "function wait(){}"


def test_a_style_sheet_loses_blanks_only() -> None:
    """And line breaks; not those between two selectors."""
    assert (
        smaller_style("/* why */\n.a .b :hover {\n  top: 1px;\n}\n.c > .d { }")
        == ".a .b :hover{top:1px}.c > .d{}"
    )


def test_the_pages_story_is_the_same_in_fewer_letters(tmp_path: Path) -> None:
    """All its tests are run on what is sent."""
    (listed,) = re.findall(r"const names = \[(.*?)\]", (TESTS / "script.js").read_text("utf-8"), re.DOTALL)
    names = ("sha256.js", "draw.js", "line.js", "waiting.js")
    script = "\n".join((FOLDER / name).read_text("utf-8") for name in names)
    packed = tmp_path / "script.js"
    packed.write_text(smaller_script(script, frozenset(re.findall(r"\w+", listed))), "utf-8")
    assert len(packed.read_text("utf-8")) < len(script) * 0.6
    node("--version")  # or this is skipped
    done = subprocess.run(
        ["node", "--test", *map(str, sorted(TESTS.glob("*.test.js")))],
        env={**os.environ, "ADMITGATE_SCRIPT": str(packed)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
