"""The settings of the shop, the waiting room and the publisher: all three read the same."""

from __future__ import annotations

import os

ADMITGATE = {
    "SECRET_KEY": os.environ.get("SECRET_KEY", "change-me"),  # refused: set one that only they know
    "REDIS_URL": os.environ.get("ADMITGATE_REDIS_URL", "redis://localhost:6379/0"),
    "RULES": [{"PATH": "/events/<event>/checkout", "CAPACITY": 3, "LEASE_SECONDS": 60}],
    "TRUSTED_PROXIES": 1,
}
