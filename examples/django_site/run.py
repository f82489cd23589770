"""Start the shop with nothing but Python: ``python run.py [port]``, then http://127.0.0.1:8000/.

``python run.py [port] asgi`` starts it under uvicorn instead of Django's own server.
"""

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
    words = [word for word in sys.argv[1:] if word != "asgi"]
    port = words[0] if words else "8000"
    with resolve() as url:
        os.environ["ADMITGATE_REDIS_URL"] = url
        execute_from_command_line(["manage.py", "migrate", "--verbosity", "0"])
        if "asgi" in sys.argv:
            import uvicorn

            uvicorn.run("boxoffice.asgi:application", port=int(port))
        else:
            execute_from_command_line(["manage.py", "runserver", "--noreload", port])
