"""Which address shows what."""

from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

urlpatterns = [path("", include("shop.urls")), *staticfiles_urlpatterns()]
