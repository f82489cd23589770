"""No table: only what a permission hangs on, so that ``admitgate.operate`` can be given in Django's admin."""

from __future__ import annotations

from django.db import models


class WaitingRoom(models.Model):
    """What somebody operates who has the permission."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = (("operate", "Can operate the waiting rooms"),)
