"""The Django edge: a middleware, and an app with system checks."""

from .middleware import AdmitGateMiddleware as AdmitGateMiddleware
from .settings import release as release
