"""A small ticket shop. Everything but the check-out is open; the check-out has room for a few."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from flask import (
    Blueprint,
    Flask,
    abort,
    g,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from werkzeug.wrappers import Response

from admitgate.flask import AdmitGate


@dataclass(frozen=True)
class Event:
    slug: str
    name: str
    act: str
    when: str
    where: str
    price: int
    hue: int


GALA = Event(
    slug="gala",
    name="The Opening Gala",
    act="The Lantern Orchestra",
    when="Fri 11 June, 20:00",
    where="Main Hall",
    price=48,
    hue=18,
)
RIVER = Event(
    slug="river",
    name="Songs from the River",
    act="Ada Lindqvist & Band",
    when="Sat 12 June, 21:00",
    where="Courtyard",
    price=32,
    hue=200,
)
MIDNIGHT = Event(
    slug="midnight",
    name="Midnight Brass",
    act="Brass of the Harbour",
    when="Sat 12 June, 23:30",
    where="Cellar",
    price=24,
    hue=275,
)
EVENTS = {event.slug: event for event in (GALA, RIVER, MIDNIGHT)}

gate = AdmitGate()
shop = Blueprint("shop", __name__)


def create_app() -> Flask:
    app = Flask(__name__)
    # The gate refuses a key that everybody can read here: run.py makes a new one.
    app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY", "change-me")
    app.config["ADMITGATE"] = {
        "REDIS_URL": os.environ.get("ADMITGATE_REDIS_URL", "redis://localhost:6379/0"),
        "RULES": [
            {
                "PATH": "/events/<event>/checkout",
                "CAPACITY": int(os.environ.get("ADMITGATE_DEMO_CAPACITY", "3")),
                "LEASE_SECONDS": int(os.environ.get("ADMITGATE_DEMO_LEASE_SECONDS", "60")),
                "RELEASE_ON": "/events/<event>/thanks",  # paid: the next in line may come in
            }
        ],
    }
    app.register_blueprint(shop)
    gate.init_app(app)
    return app


@shop.get("/")
def index() -> str:
    return render_template("index.html", events=EVENTS.values())


@shop.get("/events/<slug>")
def event(slug: str) -> str:
    return render_template("event.html", event=_find(slug))


@shop.route("/events/<slug>/checkout", methods=["GET", "POST"])
def checkout(slug: str) -> str | Response | tuple[str, int]:
    """Nobody gets here without a slot: the gate in front of this view answers everybody else."""
    event = _find(slug)
    if request.method == "GET":
        return render_template("checkout.html", event=event, form={}, seconds_left=_seconds_left())
    faults = _faults(request.form)
    if faults:
        page = render_template(
            "checkout.html",
            event=event,
            form=request.form,
            faults=faults,
            seconds_left=_seconds_left(),
        )
        return page, 422
    session["order"] = {
        "slug": slug,
        "name": request.form["name"].strip(),
        "email": request.form["email"].strip(),
        "seats": int(request.form["seats"]),
    }
    return redirect(url_for("shop.thanks", slug=slug), code=303)


@shop.get("/events/<slug>/thanks")
def thanks(slug: str) -> str | Response:
    """The rule's RELEASE_ON names this page: when it answers, the visitor's slot is free again."""
    order = session.get("order")
    if order is None or order["slug"] != slug:
        return redirect(url_for("shop.event", slug=slug))
    return render_template("thanks.html", event=_find(slug), order=order)


def _find(slug: str) -> Event:
    if slug not in EVENTS:
        abort(404)
    return EVENTS[slug]


def _faults(form: Mapping[str, str]) -> dict[str, str]:
    faults = {}
    if not form.get("name", "").strip():
        faults["name"] = "Please tell us your name."
    if "@" not in form.get("email", ""):
        faults["email"] = "Please give an e-mail address; the tickets go there."
    if form.get("seats") not in {"1", "2", "3", "4"}:
        faults["seats"] = "One to four seats per order."
    return faults


def _seconds_left() -> int | None:
    """How long the gate keeps this visitor's slot, were they to do nothing more."""
    if not (g.admitgate and g.admitgate.expires_at):  # the gate is off, or has let them in uncounted
        return None
    return max(0, int((g.admitgate.expires_at - datetime.now(timezone.utc)).total_seconds()))
