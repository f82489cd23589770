"""The Django edge: a middleware, and an app with system checks."""

from ..gating import gated as gated
from ..gating import ungated as ungated
from . import signals as signals
from .identity import account_of as account_of
from .middleware import AdmitGateMiddleware as AdmitGateMiddleware
from .middleware import GatedRequest as GatedRequest
from .settings import arelease as arelease
from .settings import event as event
from .settings import release as release
