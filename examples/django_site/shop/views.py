"""The pages of the shop. Only ``checkout`` is behind the gate."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from shop.forms import CheckoutForm
from shop.models import Event, Order


def index(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/index.html", {"events": Event.objects.all()})


def event(request: HttpRequest, slug: str) -> HttpResponse:
    return render(request, "shop/event.html", {"event": get_object_or_404(Event, slug=slug)})


def checkout(request: HttpRequest, slug: str) -> HttpResponse:
    """Nobody gets here without a slot: the gate's middleware answers everybody else."""
    event = get_object_or_404(Event, slug=slug)
    form = CheckoutForm(request.POST or None, label_suffix="")
    if request.method == "POST" and form.is_valid():
        form.instance.event = event
        request.session["order"] = form.save().pk
        if request.admitgate:  # None where the gate is off
            request.admitgate.release()  # paid: the next in line may come in
        return redirect("shop:thanks", slug=slug)
    context = {"event": event, "form": form, "seconds_left": _seconds_left(request)}
    return render(request, "shop/checkout.html", context, status=422 if form.errors else 200)


def thanks(request: HttpRequest, slug: str) -> HttpResponse:
    orders = Order.objects.select_related("event")
    order = orders.filter(pk=request.session.get("order"), event__slug=slug).first()
    if order is None:
        return redirect("shop:event", slug=slug)
    return render(request, "shop/thanks.html", {"order": order, "event": order.event})


def _seconds_left(request: HttpRequest) -> int | None:
    """How long the gate keeps this visitor's slot, were they to do nothing more."""
    if not (request.admitgate and request.admitgate.expires_at):  # off, or let in uncounted
        return None
    return max(0, int((request.admitgate.expires_at - timezone.now()).total_seconds()))
