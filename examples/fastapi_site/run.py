"""Start the shop with nothing but Python: ``python run.py [port]``, then http://127.0.0.1:8000/."""

from __future__ import annotations

import os
import secrets
import sys

import uvicorn

from admitgate.embedded import resolve

if __name__ == "__main__":
    # A new Redis knows no visitors, so last time's cookies must not count either.
    os.environ.setdefault("SECRET_KEY", secrets.token_hex())
    with resolve() as url:
        os.environ["ADMITGATE_REDIS_URL"] = url
        port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
        uvicorn.run("shop:create_app", factory=True, port=port)
