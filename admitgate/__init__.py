"""admitgate: a waiting room for Django, Flask and any other WSGI or ASGI application."""

from ._version import __version__ as __version__
from .admission import Admission as Admission
from .config import Config as Config
from .errors import AdmitgateError as AdmitgateError
from .errors import BadToken as BadToken
from .errors import ConfigError as ConfigError
from .errors import Outage as Outage
from .middleware import AdmitGate as AdmitGate
from .rules import Rule as Rule
