"""The Django edge: a middleware, and an app with system checks."""

from ..gating import gated as gated
from ..gating import ungated as ungated
from .middleware import AdmitGateMiddleware as AdmitGateMiddleware
from .settings import release as release
