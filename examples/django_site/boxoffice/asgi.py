"""For a server that awaits: ``uvicorn --workers 2 boxoffice.asgi:application``."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "boxoffice.settings")

application = get_asgi_application()
