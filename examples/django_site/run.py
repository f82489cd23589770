"""Start the shop with nothing but Python: ``python run.py [port]``, then http://127.0.0.1:8000/."""

from __future__ import annotations

import os
import secrets
import sys

from django.core.management import execute_from_command_line

from admitgate.embedded import resolve

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "boxoffice.settings"
    # A new Redis knows no visitors, so last time's cookies must not count either.
    os.environ.setdefault("SECRET_KEY", secrets.token_hex())
    port = sys.argv[1] if len(sys.argv) > 1 else "8000"
    with resolve() as url:
        os.environ["ADMITGATE_REDIS_URL"] = url
        execute_from_command_line(["manage.py", "migrate", "--verbosity", "0"])
        execute_from_command_line(["manage.py", "runserver", "--noreload", port])
