"""``"admitgate.django"`` in INSTALLED_APPS: the system checks."""

from django.apps import AppConfig


class AdmitGateConfig(AppConfig):
    """Registers what ``manage.py check`` says of the gate."""

    name = "admitgate.django"
    label = "admitgate"
    verbose_name = "admitgate"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Load the checks, which register themselves."""
        from . import checks  # noqa: F401  (Django wants registrations in ready())
