"""For a server: ``gunicorn --workers 2 --threads 8 boxoffice.wsgi:application``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "boxoffice.settings")

application = get_wsgi_application()
