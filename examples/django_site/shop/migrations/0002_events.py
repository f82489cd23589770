"""The three concerts, so that the shop has something to sell when it is first started."""

from datetime import datetime, timezone

from django.db import migrations

EVENTS = [
    {
        "slug": "gala",
        "name": "The Opening Gala",
        "act": "The Lantern Orchestra",
        "starts_at": datetime(2027, 6, 11, 20, 0, tzinfo=timezone.utc),
        "place": "Main Hall",
        "price": 48,
        "hue": 18,
    },
    {
        "slug": "river",
        "name": "Songs from the River",
        "act": "Ada Lindqvist & Band",
        "starts_at": datetime(2027, 6, 12, 21, 0, tzinfo=timezone.utc),
        "place": "Courtyard",
        "price": 32,
        "hue": 200,
    },
    {
        "slug": "midnight",
        "name": "Midnight Brass",
        "act": "Brass of the Harbour",
        "starts_at": datetime(2027, 6, 12, 23, 30, tzinfo=timezone.utc),
        "place": "Cellar",
        "price": 24,
        "hue": 275,
    },
]


def put_on_sale(apps, schema_editor):
    event = apps.get_model("shop", "Event")
    for values in EVENTS:
        event.objects.get_or_create(slug=values["slug"], defaults=values)


# ruff: noqa: RUF012 (Django's own shape of a migration)
class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [migrations.RunPython(put_on_sale, migrations.RunPython.noop)]
