"""The languages: every catalogue is whole, server and browser say the same, and everybody reads their own."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from gettext import GNUTranslations
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from conftest import missing
from hypothesis import given
from hypothesis import strategies as st

import admitgate
from admitgate import languages, words
from admitgate.decision import Place
from admitgate.languages import ENGLISH, LANGUAGES, Language, accepted, named
from admitgate.page import Page
from admitgate.visit import Visit

PACKAGE = Path(admitgate.__file__).parent
LOCALE = PACKAGE / "locale"
TRANSLATED = [language for language in LANGUAGES.values() if language is not ENGLISH]
EVERY_LANGUAGE = pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
EVERY_TRANSLATION = pytest.mark.parametrize(
    "language", TRANSLATED, ids=[language.code for language in TRANSLATED]
)
COUNTS = [*range(1001), 1234, 9_999, 10_000, 12_345, 999_999, 1_000_000, 1_234_567, 2_000_000]
HEAD_OF_SAFARI_IN_TAIPEI = "zh-TW,zh-Hant;q=0.9"
HEAD_OF_CHROME_IN_TAIPEI = "zh-TW,zh;q=0.9,en-US;q=0.8,en;q=0.7"


def file_of(language: Language, kind: str) -> Path:
    return LOCALE / language.code.replace("-", "_") / "LC_MESSAGES" / f"admitgate.{kind}"


def catalogue_of(language: Language) -> Catalog:
    with file_of(language, "po").open("rb") as file:
        return read_po(file)


def messages_of(catalogue: Catalog) -> Iterator[tuple[Message, tuple[str, ...], tuple[str, ...]]]:
    """Each message with its ids and its forms; the header is none."""
    for message in catalogue:
        if message.id:
            ids = message.id if isinstance(message.id, tuple) else (message.id,)
            forms = message.string if isinstance(message.string, tuple) else (message.string,)
            yield message, ids, forms


def placeholders(text: str) -> Counter[str]:
    return Counter(re.findall(r"\{\w+\}", text))


def said_words() -> set[tuple[str, ...]]:
    """What ``words.py`` says, as ``make messages`` finds it."""
    found = extract_from_file("python", PACKAGE / "words.py")
    return {(message,) if isinstance(message, str) else message for _, message, _, _ in found}


# --- the catalogues


def test_there_are_thirteen_languages() -> None:
    """Each with a folder of its own, and no folder without a language."""
    assert set(LANGUAGES) == {
        *("en", "de", "fr", "es", "pt", "it", "nl", "pl", "ar", "he", "ja", "ko", "zh-Hans")
    }
    folders = {path.name.replace("_", "-") for path in LOCALE.iterdir() if path.is_dir()}
    assert folders == {language.code for language in TRANSLATED}


def test_the_template_has_every_word_and_no_other() -> None:
    """Whoever changes words.py runs ``make messages``."""
    with (LOCALE / "admitgate.pot").open("rb") as file:
        assert {ids for _, ids, _ in messages_of(read_po(file))} == said_words()


def test_every_word_stands_in_words_py() -> None:
    """A sentence that isn't marked there would stay English everywhere."""
    said = {text for ids in said_words() for text in ids}
    used = {text for pair in words.STATES.values() for text in pair} | set(words.PHRASES.values())
    assert used | {text for pair in words.COUNTED.values() for text in pair} == said


@EVERY_TRANSLATION
def test_a_catalogue_is_complete(language: Language) -> None:
    """Every word has all its forms, none is a guess, and none is left over."""
    catalogue = catalogue_of(language)
    for message, _, forms in messages_of(catalogue):
        assert all(forms), message.id
        assert not message.fuzzy, message.id
        assert len(forms) == (catalogue.num_plurals if message.pluralizable else 1), message.id
    assert {ids for _, ids, _ in messages_of(catalogue)} == said_words()
    assert not catalogue.obsolete


@EVERY_TRANSLATION
def test_every_placeholder_survives(language: Language) -> None:
    """In every form. One that stands for a single number may say that number in a word: شخصان, שתי דקות."""
    numbers = Counter(map(language.catalogue.plural, range(10_000)))  # type: ignore[attr-defined]
    for message, ids, forms in messages_of(catalogue_of(language)):
        wanted = placeholders(ids[-1])
        for index, form in enumerate(forms):
            is_exact = message.pluralizable and numbers[index] == 1 and "{low}" not in wanted
            in_a_word = wanted - Counter({"{n}": 1, "{high}": 1}) if is_exact else wanted
            assert placeholders(form) in (wanted, in_a_word), form


@EVERY_TRANSLATION
def test_nothing_but_words(language: Language) -> None:
    """No markup, no braces but placeholders, no blanks at an end, no typewriter's quotes."""
    for _, ids, forms in messages_of(catalogue_of(language)):
        for form in forms:
            assert not set(re.sub(r"\{\w+\}", "", form)) & set("<>&{}\"'`\\\n\t"), form
            assert form == form.strip(), form
            assert "  " not in form, form
            assert (form[-1] in ".。") == (ids[0][-1] == "."), form


@EVERY_TRANSLATION
def test_a_translation_is_not_much_longer(language: Language) -> None:
    """The page is laid out for a phone."""
    for _, ids, forms in messages_of(catalogue_of(language)):
        for form in forms:
            assert len(form) <= 2.2 * max(map(len, ids)) + 20, form


@EVERY_TRANSLATION
def test_what_is_read_is_what_is_written(language: Language) -> None:
    """Who corrects a .po must make the .mo anew."""
    anew = io.BytesIO()
    write_mo(anew, catalogue_of(language))
    anew.seek(0)
    compiled, known = GNUTranslations(anew), language.catalogue
    for _, ids, forms in messages_of(catalogue_of(language)):
        if len(ids) == 1:
            assert known.gettext(ids[0]) == forms[0]
        else:
            said = [known.ngettext(*ids, n) for n in COUNTS]
            assert said == [compiled.ngettext(*ids, n) for n in COUNTS]
            assert set(said) == set(forms)
    assert len(known._catalog) == len(compiled._catalog)  # type: ignore[attr-defined]


def test_a_word_without_a_translation_stays_english() -> None:
    """A catalogue that lags behind must not break the page."""
    assert LANGUAGES["de"].gettext("Never said") == "Never said"
    assert LANGUAGES["de"].ngettext("{n} thing", "{n} things", 1) == "{n} thing"


# --- the same in the browser

BROWSER = """
const { line, languages, counts } = JSON.parse(require("fs").readFileSync(0));
const tag = new Function("document", line + "; return language;");
const said = {};
for (const code of languages) {
  const language = tag({ documentElement: { lang: code } });
  const plurals = new Intl.PluralRules(language), numbers = new Intl.NumberFormat(language);
  said[code] = {
    categories: plurals.resolvedOptions().pluralCategories,
    selected: counts.map((n) => plurals.select(n)),
    numbers: counts.map((n) => numbers.format(n)),
  };
}
said["ar-EG"] = new Intl.NumberFormat(tag({ documentElement: { lang: "ar-EG" } })).format(2027);
console.log(JSON.stringify(said));
"""


@pytest.fixture(scope="module")
def browser() -> dict[str, Any]:
    """What JavaScript makes of our numbers, by the page's own way to name a language."""
    node = shutil.which("node")
    if node is None:
        missing("node", cure="apt install nodejs (Debian, Ubuntu)")
    line = re.search(r"const language = .*", (PACKAGE / "templates/admitgate/face.js").read_text("utf-8"))
    assert line
    asked = json.dumps({"line": line[0], "languages": list(LANGUAGES), "counts": COUNTS})
    run = subprocess.run([str(node), "-e", BROWSER], input=asked, capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(run.stdout)
    return told


@EVERY_LANGUAGE
def test_every_category_of_the_browser_has_a_form(browser: dict[str, Any], language: Language) -> None:
    """And no other: every visitor pays for the forms."""
    assert set(language.plurals) == set(browser[language.code]["categories"])


@EVERY_LANGUAGE
def test_server_and_browser_choose_the_same_form(browser: dict[str, Any], language: Language) -> None:
    """``face.js`` by the category, ``figures.py`` by the catalogue's rule: for every number and word."""
    known = words.in_language(language)
    for n, category in zip(COUNTS, browser[language.code]["selected"], strict=True):
        for name, forms in words.COUNTED.items():
            assert known[name][category] == language.ngettext(*forms, n), (n, category)


@EVERY_LANGUAGE
def test_server_and_browser_write_the_same_number(browser: dict[str, Any], language: Language) -> None:
    """With the same digits and marks: a number must not change its look as the page awakes."""
    assert list(map(language.number, COUNTS)) == browser[language.code]["numbers"]


def test_digits_are_the_same_in_every_browser(browser: dict[str, Any]) -> None:
    """Which digits plain Arabic takes, browsers don't agree about; in Egypt they surely are its own."""
    assert browser["ar-EG"] == "2,027"


# --- which language


@pytest.mark.parametrize(
    ("header", "code"),
    [
        pytest.param("", None, id="no wish"),
        pytest.param("de", "de", id="a language"),
        pytest.param("de-AT", "de", id="as spoken somewhere"),
        pytest.param("PT-br", "pt", id="in any case"),
        pytest.param("pt-PT", "pt", id="Portuguese of Portugal"),
        pytest.param("es-419,es;q=0.9", "es", id="a continent's"),
        pytest.param("fr;q=0.3,en;q=0.7,it;q=0.5", "en", id="the best wish first, and it may be English"),
        pytest.param("sv-SE,sv;q=0.9,da;q=0.8,nl;q=0.7", "nl", id="the first of ours"),
        pytest.param("sv,da", None, id="none of ours"),
        pytest.param("*", None, id="anything"),
        pytest.param("*,ja;q=0.1", "ja", id="a wish, before anything"),
        pytest.param("de;q=0,fr;q=0.1", "fr", id="anything but German"),
        pytest.param("de;q=0", None, id="not German"),
        pytest.param("zh", "zh-Hans", id="Chinese"),
        pytest.param("zh-CN,zh;q=0.9", "zh-Hans", id="of China"),
        pytest.param("zh-Hans-HK", "zh-Hans", id="Simplified, wherever"),
        pytest.param("zh_SG", "zh-Hans", id="of Singapore"),
        pytest.param(HEAD_OF_SAFARI_IN_TAIPEI, None, id="Traditional Chinese is not pretended"),
        pytest.param("zh-Hant-HK,ja;q=0.5", "ja", id="Traditional Chinese, else Japanese"),
        pytest.param(HEAD_OF_CHROME_IN_TAIPEI, "zh-Hans", id="Traditional Chinese, else any"),
        pytest.param("iw-IL", "he", id="Hebrew by its old name"),
        pytest.param("ar-EG-u-nu-arab", "ar", id="with an extension"),
    ],
)
def test_what_a_browser_asks_for(header: str, code: str | None) -> None:
    """By its own order; what is not among ours is passed over."""
    language = accepted(header)
    assert (language and language.code) == code


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("de-" + "x" * 8192, id="8 kB in one piece"),
        pytest.param(",".join(f"x{n};q=0.5" for n in range(500)) + ",de", id="500 wishes"),
        pytest.param("," * 8192, id="commas"),
        pytest.param(";q=" * 2000, id="qualities of nothing"),
        pytest.param('"' * 200, id="quotes"),
        pytest.param("-", id="a hyphen"),
        pytest.param("\x00\xff\u2028", id="no letters"),
        pytest.param("de;q=NaN", id="no number"),
        pytest.param("de;q=1e999", id="too much of a number"),
    ],
)
def test_a_hostile_wish_is_nobodys(header: str) -> None:
    """Nor is it kept: what is remembered of a header is short."""
    assert accepted(header) is None


def test_a_wish_that_is_cut_off_is_no_other() -> None:
    """Mapudungun (arn) is not Arabic, and "not German" not German."""
    for end in ("arn", "de;q=0.0"):
        for short in range(1, len(end)):
            filler = "x" * (200 - short - 1) + ","
            assert accepted(filler + end + "-" + "x" * 300) is None


@given(st.text())
def test_any_text_is_a_language_or_none(text: str) -> None:
    """Whoever sends it."""
    assert accepted(text) in {None, *LANGUAGES.values()}
    assert named(text) in {None, *LANGUAGES.values()}


def a_visit(header: str, language: Callable[[Any], str] | None = None) -> Visit:
    headers = {"accept-language": header, "accept": "text/html"}
    visit = Visit("GET", "/", "", "", lambda: False, "", lambda name: headers.get(name, ""), "the request")
    if language is not None:
        visit.language = language
    return visit


@pytest.mark.parametrize(
    ("of_site", "header", "code"),
    [
        pytest.param("nl", "de", "nl", id="the site's own choice"),
        pytest.param("zh-cn", "", "zh-Hans", id="by the site's name for it"),
        pytest.param("sv", "de", "de", id="none of ours, so the browser's"),
        pytest.param("", "de", "de", id="the browser's"),
        pytest.param("sv", "sv", "en", id="neither"),
        pytest.param("", "", "en", id="no wish"),
    ],
)
def test_the_site_is_asked_first(of_site: str, header: str, code: str) -> None:
    """It knows what the visitor chose; then the browser, then English."""
    assert languages.of(a_visit(header, lambda request: of_site)).code == code


def test_the_site_is_asked_about_its_own_request() -> None:
    """Which only the edge knows how to read."""
    assert languages.of(a_visit("", lambda request: {"the request": "ko"}[request])).code == "ko"


# --- the page


@EVERY_LANGUAGE
def test_the_page_is_in_the_language(language: Language) -> None:
    """It says so to the browser, in which direction, and that it depends on what was asked."""
    place = Place("gala", "waiting", number=7, position=12_345, wait_seconds=(300, 600))
    answer = Page().answer(a_visit(language.code), place)
    html, headers = answer.body.decode(), dict(answer.headers)
    assert f'<html lang="{language.code}" dir="{language.direction}">' in html
    assert language.gettext(words.STATES["waiting"][0]) in html
    assert language.number(12_345) in html
    assert headers["Content-Language"] == language.code
    assert "Accept-Language" in headers["Vary"]


def test_two_languages_are_read_from_right_to_left() -> None:
    """Arabic and Hebrew."""
    assert {code for code, language in LANGUAGES.items() if language.direction == "rtl"} == {"ar", "he"}
