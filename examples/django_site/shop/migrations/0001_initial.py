# ruff: noqa: RUF012 (Django's own shape of a migration)

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Event",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("slug", models.SlugField(unique=True)),
                ("name", models.CharField(max_length=80)),
                ("act", models.CharField(max_length=80)),
                ("starts_at", models.DateTimeField()),
                ("place", models.CharField(max_length=80)),
                ("price", models.PositiveIntegerField(help_text="Euro a seat")),
                (
                    "hue",
                    models.PositiveSmallIntegerField(help_text="Colour of the poster, 0 to 359"),
                ),
            ],
            options={
                "ordering": ("starts_at",),
            },
        ),
        migrations.CreateModel(
            name="Order",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=80)),
                ("email", models.EmailField(max_length=254)),
                ("seats", models.PositiveSmallIntegerField()),
                ("paid_at", models.DateTimeField(auto_now_add=True)),
                (
                    "event",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="orders",
                        to="shop.event",
                    ),
                ),
            ],
        ),
    ]
