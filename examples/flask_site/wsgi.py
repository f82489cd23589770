"""For a server, with SECRET_KEY in the environment: ``gunicorn --workers 2 --threads 8 wsgi:application``."""

from shop import create_app

application = create_app()
