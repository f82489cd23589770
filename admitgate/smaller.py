"""The page's script and style as they are sent: without what only their authors read, and in short names.

They are most of a page that has to come in one round trip. What keeps this simple is how the script is
written: a name that is declared isn't a field's name too, or it keeps its length; and fields are written in
short (``{ name }``) only before all others between two braces.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count
from string import ascii_letters

_quoted = re.compile(r"""("[^"\n]*"|'[^'\n]*'|`[^`\n]*`|(?<=[(!])/[^/\n]+/)""")
_signs = re.compile(r" *([=<>!?:;,.&|^+*/%(){}\[\]-]+) *")
_name = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_declared = re.compile(r"\b(?:const|let|function) (\w+)")
_parameters = re.compile(r"\bfunction \w*\(([\w,]+)\)|\(([\w,]+)\)=>|\b(\w+)=>")
_fields = re.compile(r"\.(\w+)|(\w+):|\{([\w,]+)[}:]")
_breaks = re.compile(r"(?<=[;{,(\[=>&|?:])\n|;?\n(?=})|\n(?=[?:&|.)\]])")
_style_blanks = re.compile(r"(?<=[:;{,]) +| +(?=[{}])|;(?=\n?\s*})")
_style_breaks = re.compile(r"(?<=[;{},])\n|\n(?=})")
_reserved = {"do", "if", "in", "of"}


def smaller_style(style: str) -> str:
    """The same style sheet without blanks that mean nothing."""
    return _style_breaks.sub("", _style_blanks.sub("", _without_comments(style)))


def smaller_script(script: str, keep: frozenset[str] = frozenset()) -> str:
    """The same script in fewer letters; what is in ``keep`` goes on being called that."""
    pieces = _quoted.split(_without_comments(script))
    pieces[::2] = [_breaks.sub("", _signs.sub(r"\1", code)) for code in pieces[::2]]
    short = _short_names(pieces[::2], pieces[1::2], keep)
    pieces[::2] = [_name.sub(lambda found: short.get(found[0], found[0]), code) for code in pieces[::2]]
    return "".join(pieces)


def _without_comments(text: str) -> str:
    lines = map(str.strip, text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/*")))


def _short_names(codes: list[str], quoted: list[str], keep: frozenset[str]) -> dict[str, str]:
    """What is declared and is never a field, nor said in a template; what is used most gets the shortest."""
    code = "\n".join(codes)
    used = Counter(_name.findall(code))
    fields = _names_in(_fields.findall(code))
    said = {word for text in quoted if text[0] == "`" for word in re.findall(r"\w+", text)}
    declared = _names_in([_declared.findall(code), *_parameters.findall(code)]) - fields - said - keep
    free = (name for name in _names() if name not in used and name not in fields | said | _reserved)
    return dict(zip(sorted(declared, key=lambda name: (-used[name], name)), free, strict=False))


def _names_in(found: Iterable[Iterable[str]]) -> set[str]:
    return {name for lists in found for names in lists for name in names.split(",") if name}


def _names() -> Iterator[str]:
    yield from ascii_letters
    yield from (letter + str(number) for number in count() for letter in ascii_letters)
