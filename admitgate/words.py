"""Every word that a visitor can read: for the page, its script and its JSON twin, in any language.

The English sentences are the message ids of the catalogues in ``locale/``. What stands in braces is filled
in later, by ``figures.py`` on the server and by ``face.js`` in the browser. ``{n}`` and ``{high}`` decide the
plural.
"""

# ruff: noqa: RUF001 (the apostrophes are meant)

from __future__ import annotations

from functools import lru_cache
from typing import Any

from .languages import Language


def _(text: str) -> str:
    """Marks a sentence for the catalogues."""
    return text


def ngettext(singular: str, plural: str) -> tuple[str, str]:
    """Marks a sentence with a number for the catalogues."""
    return singular, plural


# A heading, and what it means for whoever reads it: decision.py's states, and those only a browser knows.
STATES = {
    "joining": (_("Joining the line"), _("One moment, please.")),
    "waiting": (_("You’re in line"), _("When it’s your turn, this page takes you in by itself.")),
    "ready": (
        _("You’re nearly there"),
        _("You go in as soon as there is room. This page takes you in by itself."),
    ),
    "missed": (
        _("Your place was kept"),
        _("Your turn came while you were away. You go in as soon as there is room."),
    ),
    "called": (
        _("It’s your turn"),
        _("Say that you’re here, and you go in as soon as there is room. Your place is kept until then."),
    ),
    "admitted": (_("It’s your turn"), _("There is room for you now.")),
    "hold": (
        _("One moment, please"),
        _("The line rests for a short while so that nobody loses their place. This page goes on by itself."),
    ),
    "paused": (
        _("The line is paused"),
        _("Nobody is let in at the moment. Places are kept, and this page goes on by itself."),
    ),
    "opens": (_("Not open yet"), _("Nobody is let in before it opens. This page goes on by itself.")),
    "early": (
        _("The waiting room isn’t open yet"),
        _("Nobody can join the line before it opens. This page joins by itself within a minute after that."),
    ),
    "shared": (
        _("Your place is kept"),
        _(
            "Others from your connection or account have their turn now. "
            "You go in once one of them is through."
        ),
    ),
    "closed": (_("The line is closed"), _("Nobody else is let in.")),
    "full": (
        _("The line is full"),
        _("So you could not be given a place. This page asks again by itself."),
    ),
    "outage": (
        _("We can’t look up the line right now"),
        _("You keep your place. This page tries again by itself."),
    ),
    "offline": (
        _("You’re offline"),
        _("You keep your place. This page goes on by itself once you’re connected again."),
    ),
    "retrying": (
        _("No answer just now"),
        _("You keep your place. This page tries again by itself."),
    ),
    "prefetch": (
        _("You’re not in line yet"),
        _("Your browser loaded this page ahead of time. Open it to join the line."),
    ),
    "cookies": (
        _("Please allow cookies"),
        _(
            "Your place in line is kept in a cookie, and your browser sent none back. "
            "Allow cookies for this site, then try again."
        ),
    ),
    "left": (_("You’ve left the line"), _("Your place was given up. You can close this page.")),
}

PHRASES = {
    "waiting_asked": _("When it’s your turn, this page asks you to come in."),
    "title": _("{heading} · {event}"),
    "title_with_position": _("({n}) {title}"),
    "position": _("Your place in line"),
    "about": _("about {n}"),
    "first": _("Nobody is ahead of you"),
    "wait_label": _("Expected wait"),
    "wait_unknown": _("can’t be said yet"),
    "wait_soon": _("a minute or less"),
    "wait_days": _("more than a day"),
    "wait_slower": _("The line moves more slowly than before, so this takes longer."),
    "opens_label": _("Opens"),
    "draw": _(
        "Everybody who is in line by then is put into a random order. Coming earlier makes no difference."
    ),
    "drawn": _("Your place was drawn: {n} of {people}"),
    "draw_check": _("Check the draw"),
    "draw_how": _(
        "The order follows from a secret seed. Its hash is shown before the draw and the seed after it, "
        "so anybody can reckon every place."
    ),
    "waited_soon": _("Just joined"),
    "updated": _("Last updated {time}"),
    "reference": _("Reference {code}"),
    "progress": _("How far you have come"),
    "spoken_state": _("{heading}. {text}"),
    "spoken_position": _("Your place in line is {position}."),
    "spoken_wait": _("Expected wait: {wait}."),
    "message": _("From the organisers"),
    "keep_open": _("Keep this page open. Reloading it or opening a second tab keeps your place."),
    "was_post": _(
        "What you sent was not passed on: nothing was ordered or changed. "
        "When it’s your turn you come back to the form."
    ),
    "without_script": _(
        "Cookies must be allowed for this site: your place in line is kept in one. "
        "This page reloads by itself."
    ),
    "proving": _(
        "Your browser is doing a short calculation that is asked of everybody. You don’t have to do anything."
    ),
    "proof_without_script": _(
        "To go in, your browser has to do a short calculation, for which JavaScript must be allowed. "
        "If it can’t be, ask the organisers for a link that takes you in."
    ),
    "enter": _("Enter now"),
    "more_time": _("I need more time"),
    "alert": _("Alert me when it’s my turn"),
    "leave": _("Leave the line"),
    "leave_question": _("You give up your place, and somebody else moves up."),
    "leave_confirm": _("Yes, leave the line"),
    "leave_failed": _("That did not get through, so you’re still in line. Please try again."),
    "again": _("Try again"),
    "rejoin": _("Join the line again"),
    "home": _("Go to the start page"),
    "contact": _("Contact"),
    "problem_was_post": _("What you sent was not passed on. Send it again once you are let in."),
}

# Each in as many forms as the language has.
COUNTED = {
    "ahead": ngettext("{n} person is ahead of you", "{n} people are ahead of you"),
    "ahead_about": ngettext("About {n} person is ahead of you", "About {n} people are ahead of you"),
    "up_to_minutes": ngettext("up to {high} minute", "up to {high} minutes"),
    "about_minutes": ngettext("about {high} minute", "about {high} minutes"),
    "minutes": ngettext("{low} to {high} minute", "{low} to {high} minutes"),
    "up_to_hours": ngettext("up to {high} hour", "up to {high} hours"),
    "about_hours": ngettext("about {high} hour", "about {high} hours"),
    "hours": ngettext("{low} to {high} hour", "{low} to {high} hours"),
    "waited_minutes": ngettext("In line for {n} minute", "In line for {n} minutes"),
    "waited_hours": ngettext("In line for {n} hour", "In line for {n} hours"),
    "countdown": ngettext("You go in by yourself in {n} second.", "You go in by yourself in {n} seconds."),
    "problem": ngettext(
        "{heading}. Ask again in {n} second, with the cookies you were given.",
        "{heading}. Ask again in {n} seconds, with the cookies you were given.",
    ),
}

# What the page's script never says: the less of it there is in the page, the better.
_server_only_states = {"prefetch", "full", "early"}
_server_only = {
    "position", "wait_label", "opens_label", "keep_open", "was_post", "without_script", "leave",
    "leave_question", "leave_confirm", "home", "contact", "problem", "problem_was_post", "message",
    "progress", "enter", "more_time", "alert", "updated", "reference", "waiting_asked",
    "draw", "drawn", "draw_check", "draw_how",
    "proving", "proof_without_script",
}  # fmt: skip


@lru_cache(maxsize=64)
def in_language(language: Language) -> dict[str, Any]:
    """Every word, as the templates have them. What is counted has one form for each of its categories."""
    say = language.gettext
    return {
        "states": {
            state: {"heading": say(heading), "text": say(text)} for state, (heading, text) in STATES.items()
        },
        **{name: say(text) for name, text in PHRASES.items()},
        **{
            name: {category: language.ngettext(*forms, n) for category, n in language.plurals.items()}
            for name, forms in COUNTED.items()
        },
    }


@lru_cache(maxsize=64)
def for_script(language: Language) -> dict[str, Any]:
    """The words that the script may have to say. It takes the form that ``Intl.PluralRules`` names."""
    known = in_language(language)
    states = {state: said for state, said in known["states"].items() if state not in _server_only_states}
    return {**{name: said for name, said in known.items() if name not in _server_only}, "states": states}
