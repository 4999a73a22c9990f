"""How one table of methods serves both clients.

A method of the surface (`surface.py`) sends nothing: it returns what is to be asked, an `Ask`. As
an `endpoint` of `Client` it asks and returns the answer, of `AsyncClient` it is awaited for it; to
type checkers, too.
"""

from __future__ import annotations

# As type checkers read it; `typing` itself would cost half of this module's import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

    from .async_caller import AsyncCaller
    from .caller import Caller

    P = ParamSpec("P")
    R = TypeVar("R")

    class OfAnswer(Generic[R]):
        """What has the type of an answer."""

    class OfMethod(Generic[P, R]):
        """What has the type of a method."""

else:

    class OfAnswer:
        """See above."""

        def __class_getitem__(cls, _types: object) -> type:
            return cls

    OfMethod = OfAnswer


class Ask(OfAnswer["R"]):
    """A request, and what to make of its answer: `pick` takes the JSON, or with `raw` the bytes;
    None: it is what is returned."""

    def __init__(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | list[str]] | None = None,
        body: Any = None,
        timeout_s: float | None = None,
        pick: Callable[[Any], R] | None = None,
        raw: bool = False,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.body = body
        self.timeout_s = timeout_s
        self._pick = pick
        self._raw = raw

    def made_of(self, body: bytes) -> R:
        """Return what the method returns, given the body of the answer."""
        found: Any = body
        if not self._raw:
            import json

            found = json.loads(body)
        return found if self._pick is None else self._pick(found)


class endpoint(OfMethod["P", "R"]):  # noqa: N801 - it is used as a decorator
    """Makes a method that returns an `Ask` one of both clients."""

    def __init__(self, make: Callable[Concatenate[Any, P], Ask[R]]) -> None:
        self.__wrapped__ = make
        self.__doc__ = make.__doc__
        self.__name__ = make.__name__

    if TYPE_CHECKING:

        @overload
        def __get__(self, caller: None, owner: type) -> Self: ...
        @overload
        def __get__(self, caller: Caller, owner: type) -> Callable[P, R]: ...
        @overload
        def __get__(self, caller: AsyncCaller, owner: type) -> Callable[P, Awaitable[R]]: ...

    def __get__(self, caller: Any, owner: type) -> Any:
        if caller is None:
            return self

        def call(*args: Any, **kwargs: Any) -> Any:
            return self(caller, *args, **kwargs)

        return call

    def __call__(self, caller: Any, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Have a client ask."""
        return caller.carry_out(self.__wrapped__(caller, *args, **kwargs))
