"""What is followed, for `async for` and for plain `for`."""

from __future__ import annotations

from .endpoint import OfAnswer

# As type checkers read it; `typing` itself would cost half of this module's import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from typing import Any, Self, TypeVar

    T = TypeVar("T")

_END: Any = object()


class Following(OfAnswer["T"]):
    """The messages of something followed, each once, in whichever way they are iterated over first.

    `async for`, on an event loop; or plain `for`, which runs a loop of its own meanwhile. Close it
    (`aclose`, `contextlib.aclosing`; a plain `for` does so itself when it is left) to end it.
    """

    def __init__(self, messages: AsyncGenerator[T, None]) -> None:
        self._messages = messages

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        return await self._messages.__anext__()

    async def aclose(self) -> None:
        """End it."""
        await self._messages.aclose()

    def __iter__(self) -> Generator[T, None, None]:
        import asyncio

        async def one() -> Any:
            return await anext(self._messages, _END)

        with asyncio.Runner() as runner:
            try:
                while (message := runner.run(one())) is not _END:
                    yield message
            finally:
                runner.run(self.aclose())
