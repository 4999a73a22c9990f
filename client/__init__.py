"""Clients of the REST API and the event stream. `from callsheet.client import Client` costs a few
milliseconds; `AsyncClient` brings Tornado along, and is imported when it is asked for."""

from .client import Client
from .http import APIError, NoServer, NotTrusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .async_client import AsyncClient

__all__ = ["APIError", "AsyncClient", "Client", "NoServer", "NotTrusted"]


def __getattr__(name: str) -> object:
    if name == "AsyncClient":
        from .async_client import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
