from django.urls import path

from shop import views

app_name = "shop"
urlpatterns = [
    path("", views.index, name="index"),
    path("events/<slug:slug>", views.event, name="event"),
    path("events/<slug:slug>/checkout", views.checkout, name="checkout"),
    path("events/<slug:slug>/thanks", views.thanks, name="thanks"),
]
