"""The look of the shop on its waiting page: name, logo, accent colour, a standing message, a contact.

Text must be readable on every background of the page, also in the dark: so an accent is judged by WCAG's
contrast ratio, and its light twin for dark screens is reckoned from it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

Colour = tuple[int, int, int]

_readable = 4.5  # WCAG 2.2 AA, for text
_logo_kinds = {".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg"}
_logo_most_bytes = 6144  # the whole page has to come in one go
_plain_in_svg = " /:;=,.-_()!*'"
_contact_schemes = ("https", "http", "mailto", "tel")
_white, _black, _dark_card = (255, 255, 255), (0, 0, 0), (24, 32, 31)
_is_colour = re.compile(r"#[0-9a-fA-F]{6}").fullmatch


@dataclass(frozen=True)
class Brand:
    """What the settings say, as they say it."""

    name: str | None = None
    logo: str | None = None
    accent: str | None = None
    message: str = ""
    contact: str | None = None

    def faults(self) -> list[str]:
        """A sentence for everything that can't be used."""
        return [
            *self._text_faults(),
            *self._logo_faults(),
            *accent_faults(self.accent),
            *self._contact_faults(),
        ]

    @property
    def logo_url(self) -> str:
        """The logo as it stands in the page; empty without one."""
        if self.logo is None:
            return ""
        path = Path(self.logo)
        kind, content = _logo_kinds[path.suffix.lower()], path.read_bytes()
        if path.suffix.lower() == ".svg":  # as text, which a web server's gzip makes a third of
            return f"data:{kind},{quote(content, safe=_plain_in_svg)}"
        return f"data:{kind};base64,{base64.b64encode(content).decode()}"

    @property
    def style(self) -> str:
        """The page's colours by the accent; empty without one."""
        if self.accent is None:
            return ""
        accent = read_colour(self.accent)
        light = _variables(accent, tint=mix(accent, _white, 0.08), on_accent=_white)
        tint = mix(accent, _dark_card, 0.14)
        bright = _moved(
            accent, _white, lambda colour: min(contrast(colour, tint), contrast(colour, _dark_card))
        )
        dark = _variables(bright, tint=tint, on_accent=mix(accent, _black, 0.1))
        return f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"

    def _text_faults(self) -> list[str]:
        faults = []
        if self.name is not None and (not isinstance(self.name, str) or not 0 < len(self.name) <= 60):
            faults.append(f"brand_name is {self.name!r}: give a text of 1 to 60 characters, or None.")
        if not isinstance(self.message, str) or len(self.message) > 500:
            faults.append(f"brand_message is {self.message!r:.60}: give a text of at most 500 characters.")
        return faults

    def _logo_faults(self) -> list[str]:
        if self.logo is None:
            return []
        cure = f"give the path of an SVG, PNG, WebP or JPEG file of at most {_logo_most_bytes} bytes, or None"
        path = Path(self.logo) if isinstance(self.logo, str) else None
        if path is None or path.suffix.lower() not in _logo_kinds or not path.is_file():
            return [f"brand_logo is {self.logo!r}, but that is no picture: {cure}."]
        size = path.stat().st_size
        if size > _logo_most_bytes:
            return [f"brand_logo is {self.logo!r}, which has {size} bytes and stands in every page: {cure}."]
        return []

    def _contact_faults(self) -> list[str]:
        if self.contact is None or _is_contact(self.contact):
            return []
        return [
            f"brand_contact is {self.contact!r}: give an address such as 'https://example.com/help', "
            "'mailto:help@example.com' or 'tel:+49301234', or None."
        ]


def accent_faults(accent: object) -> list[str]:
    """A sentence where the colour can't be read, or text in it."""
    if accent is None:
        return []
    if not isinstance(accent, str) or not _is_colour(accent):
        return [f"brand_accent is {accent!r}: give a colour such as '#0b6b5d', or None."]
    ratio = _on_its_tint(read_colour(accent))
    if ratio >= _readable:
        return []
    near = write_colour(_moved(read_colour(accent), _black, _on_its_tint))
    return [
        f"brand_accent is {accent!r}, and text in it is hard to read (contrast {ratio:.1f} : 1, "
        f"and {_readable} is the least): {near!r} would do."
    ]


def read_colour(text: str) -> Colour:
    """Red, green and blue of ``#rrggbb``."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def write_colour(colour: Colour) -> str:
    """``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def contrast(one: Colour, other: Colour) -> float:
    """WCAG's contrast ratio, from 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """``share`` of the one, the rest of the other."""
    red, green, blue = (round(a * share + b * (1 - share)) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _on_its_tint(colour: Colour) -> float:
    return contrast(colour, mix(colour, _white, 0.08))


def _moved(colour: Colour, towards: Colour, ratio: Callable[[Colour], float]) -> Colour:
    """The colour, moved no further than it takes to be readable."""
    steps = (mix(colour, towards, percent / 100) for percent in range(100, 0, -2))
    return next((step for step in steps if ratio(step) >= _readable), towards)


def _luminance(colour: Colour) -> float:
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _variables(accent: Colour, *, tint: Colour, on_accent: Colour) -> str:
    colours = {"accent": accent, "tint": tint, "on-accent": on_accent}
    return ";".join(f"--{name}:{write_colour(colour)}" for name, colour in colours.items())


def _is_contact(value: object) -> bool:
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in _contact_schemes and bool(parts.netloc or parts.path)
