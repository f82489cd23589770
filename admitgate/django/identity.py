"""The account of a Django request, for ``"IDENTITY": "admitgate.django.account_of"``."""

from __future__ import annotations

from django.http import HttpRequest


def account_of(request: HttpRequest) -> str | None:
    """The primary key of who is logged in. AuthenticationMiddleware has to stand before the gate's."""
    user = request.user
    return str(user.pk) if user.is_authenticated else None
