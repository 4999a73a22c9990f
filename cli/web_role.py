"""The web server as a role of the server: Tornado on the main thread, its stage beside it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pykka
from msgspec.structs import replace

from ..actors.link import SupervisedLink
from ..actors.play import end, settle_in, watch_beside
from ..actors.roles import Stagehand
from ..actors.stage import Stage
from ..jobs.errors import UserError
from ..messages.post import WEB
from ..webui.app import StartStage, WebServer, run_web
from ..webui.services import WebSettings


class LoopLink(SupervisedLink):
    """A link whose beats go by way of the loop, and prove that both threads turn."""

    loop: asyncio.AbstractEventLoop

    def beat(self, figures: str = "") -> None:
        """See `Link`; said by the loop's thread, when it comes to it."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the role ends
            self.loop.call_soon_threadsafe(super().beat, figures)


def play_web(hand: Stagehand, settings: WebSettings, fd: int) -> int:
    """Play the web role in a process of its own until its supervisor ends it; return the status."""
    settle_in(WEB)
    link = LoopLink(fd)
    servers: list[WebServer] = []
    refs: list[pykka.ActorRef[Any]] = []

    def started(server: WebServer) -> None:
        servers.append(server)
        link.told = server.figures.take
        link.detail = console_address(server)

    def start_stage(core: Any) -> Any:
        link.loop = asyncio.get_running_loop()
        script = replace(hand.script(WEB, lambda _: core), rest=servers[0].rest)
        ref = Stage.start(script, link)
        refs.append(ref)
        watch_beside(link, ref, servers[0].stop)
        return ref.tell

    start: StartStage = start_stage
    try:
        run_web(settings, start, started)
    except UserError as error:
        link.unusable(str(error))
    for ref in refs:
        end(ref, link)
    return 0


def console_address(server: WebServer) -> str:
    """Return the address of the console as people open it."""
    return server.urls[0]
