"""A small ticket shop. Everything but the check-out is open; the check-out has room for a few."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import parse_qsl

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates

from admitgate import Rule
from admitgate.asgi import AdmitGateASGI


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


@dataclass(frozen=True)
class Order:
    event: Event
    name: str
    email: str
    seats: int


ORDERS: dict[str, Order] = {}  # a real shop has a database

folder = Path(__file__).parent
pages = Jinja2Templates(folder / "templates")
shop = APIRouter(default_response_class=HTMLResponse)


def create_app() -> AdmitGateASGI:
    """What a server serves: the gate, and the shop behind it."""
    app = FastAPI()
    app.include_router(shop)
    app.mount("/static", StaticFiles(directory=folder / "static"), name="static")
    return AdmitGateASGI(
        app,
        # The gate refuses a key that everybody can read here: run.py makes a new one.
        secret_key=os.environ.get("SECRET_KEY", "change-me"),
        redis_url=os.environ.get("ADMITGATE_REDIS_URL", "redis://localhost:6379/0"),
        rules=[
            Rule(
                "/events/<event>/checkout",
                capacity=int(os.environ.get("ADMITGATE_DEMO_CAPACITY", "3")),
                lease_seconds=int(os.environ.get("ADMITGATE_DEMO_LEASE_SECONDS", "60")),
            )
        ],
    )


@shop.get("/")
async def index(request: Request) -> Response:
    return pages.TemplateResponse(request, "index.html", {"events": EVENTS.values()})


@shop.get("/events/{slug}")
async def event(request: Request, slug: str) -> Response:
    return pages.TemplateResponse(request, "event.html", {"event": _find(slug)})


@shop.get("/events/{slug}/checkout")
async def checkout(request: Request, slug: str) -> Response:
    """Nobody gets here without a slot: the gate around the shop answers everybody else."""
    return _checkout(request, _find(slug), {}, {})


@shop.post("/events/{slug}/checkout")
async def pay(request: Request, slug: str) -> Response:
    """The order is paid, and the next in line may come in."""
    event, form = _find(slug), dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
    faults = _faults(form)
    if faults:
        return _checkout(request, event, form, faults)
    number = secrets.token_urlsafe()
    ORDERS[number] = Order(event, form["name"].strip(), form["email"].strip(), int(form["seats"]))
    if admission := request.scope.get("admitgate"):  # not there where the gate is off
        await admission.arelease()
    response = RedirectResponse(request.url_for("thanks", slug=slug), status_code=303)
    response.set_cookie("order", number, httponly=True, samesite="lax")
    return response


@shop.get("/events/{slug}/thanks")
async def thanks(request: Request, slug: str) -> Response:
    order = ORDERS.get(request.cookies.get("order", ""))
    if order is None or order.event != _find(slug):
        return RedirectResponse(request.url_for("event", slug=slug))
    return pages.TemplateResponse(request, "thanks.html", {"event": order.event, "order": order})


def _checkout(request: Request, event: Event, form: Mapping[str, str], faults: Mapping[str, str]) -> Response:
    context = {"event": event, "form": form, "faults": faults, "seconds_left": _seconds_left(request)}
    return pages.TemplateResponse(request, "checkout.html", context, status_code=422 if faults else 200)


def _find(slug: str) -> Event:
    if slug not in EVENTS:
        raise HTTPException(404)
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


def _seconds_left(request: Request) -> int | None:
    """How long the gate keeps this visitor's slot, were they to do nothing more."""
    admission = request.scope.get("admitgate")
    if not (admission and admission.expires_at):  # the gate is off, or has let them in uncounted
        return None
    return max(0, int((admission.expires_at - datetime.now(timezone.utc)).total_seconds()))
