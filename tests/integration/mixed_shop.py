"""A Django shop for both kinds of server: gunicorn serves ``mixed_shop:wsgi``, uvicorn ``mixed_shop:asgi``.

Its view keeps a ledger that the gate doesn't know: who is inside, and how many there were at the most.
"""

from __future__ import annotations

import os

import django
import redis
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

_enter = """
redis.call('SADD', KEYS[1], ARGV[1])
local inside = redis.call('SCARD', KEYS[1])
if inside > tonumber(redis.call('GET', KEYS[2]) or 0) then redis.call('SET', KEYS[2], inside) end
"""

_redis_url = os.environ["MIXED_SHOP_REDIS"]
_ledger = redis.Redis.from_url(_redis_url)


def checkout(request: HttpRequest, event: str) -> JsonResponse:
    """One step at the check-out; the last one pays, and is struck out before the gate hears of it."""
    sid = request.admitgate.sid  # type: ignore[attr-defined]
    if "pay" in request.GET:
        _ledger.srem("inside", sid)
        request.admitgate.release()  # type: ignore[attr-defined]
    else:
        _ledger.eval(_enter, 2, "inside", "inside:most", sid)
    return JsonResponse({"sid": sid})


def home(request: HttpRequest) -> JsonResponse:
    """Nobody waits for it."""
    return JsonResponse({})


urlpatterns = [path("events/<str:event>/checkout", checkout), path("", home)]

settings.configure(
    SECRET_KEY="the shop's key, known to nobody outside",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "admitgate.django.AdmitGateMiddleware"],
    ADMITGATE={
        "REDIS_URL": _redis_url,
        "REDIS_TIMEOUT_SECONDS": 5,
        "RULES": [
            {
                "PATH": "/events/<event>/checkout",
                "CAPACITY": int(os.environ["MIXED_SHOP_CAPACITY"]),
                "LEASE_SECONDS": 60,
                "GRACE_SECONDS": 1,
            }
        ],
    },
)
django.setup()
wsgi, asgi = get_wsgi_application(), get_asgi_application()
