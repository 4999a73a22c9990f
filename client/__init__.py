"""Client of the REST API. `from callsheet.client import Client` costs a few milliseconds."""

from .client import Client
from .http import APIError, NoServer, NotTrusted

__all__ = ["APIError", "Client", "NoServer", "NotTrusted"]
