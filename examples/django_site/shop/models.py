"""What is on sale, and what was sold."""

from django.db import models


class Event(models.Model):
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=80)
    act = models.CharField(max_length=80)
    starts_at = models.DateTimeField()
    place = models.CharField(max_length=80)
    price = models.PositiveIntegerField(help_text="Euro a seat")
    hue = models.PositiveSmallIntegerField(help_text="Colour of the poster, 0 to 359")

    class Meta:
        ordering = ("starts_at",)

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="orders")
    name = models.CharField(max_length=80)
    email = models.EmailField()
    seats = models.PositiveSmallIntegerField()
    paid_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.seats} for {self.event}, {self.name}"

    @property
    def total(self) -> int:
        return self.seats * self.event.price
