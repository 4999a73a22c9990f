"""What a page asks the API first, answered in its document.

A page asks who looks at it and, the list of runs, for its first rows. Until its modules are there
to ask, and until the answers are, nobody sees any; the server knows the questions as soon as it is
asked for the document. It sends the document's text at once, and the answers at its end: they are
read while the browser fetches the modules, and are there when these are called.

Each answer is the API's own, by the same endpoint, of the same rights, and stands under the address
that the page would ask: `js/api.js` takes it from there instead of asking. So nothing depends on
this. What is not answered here, the page asks for; what is answered and not asked for, since the
console would write the address in another way, is of no use and does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
from collections.abc import Coroutine, Mapping
from typing import Any
from urllib.parse import quote_plus

from .declared import answer
from .gate import let_in
from .guests import Caller
from .rights import need_of
from .routing import Problem, Reply, Request, Table, encode, parse_query
from .services import Services

ME = "/api/v2/me"
# As `js/longlist.js` has them: a stretch of rows, those to come among the first of them.
STRETCH = 100
AHEAD_SHOWN = 5
# The modules are called at the document's end: no longer than fetching them may take do they wait
# for answers. Those that are later are asked for by the page.
AT_MOST_S = 0.25
# Bounds of time that a page reckons itself, by the zone in which it shows times.
DAYS = ("today", "yesterday", "tomorrow")


def asked_first(path: str, query: str) -> list[str]:
    """Return the addresses of the API that the page at an address asks first.

    Args:
        query: what stands behind the address's question mark.
    """
    try:
        given = {name: values[0] for name, values in parse_query(query).items()}
    except Problem:
        return [ME]
    return [ME, *_rows(given)] if path.strip("/") == "runs" else [ME]


async def first_answers(
    services: Services, table: Table, caller: Caller, path: str, query: str
) -> bytes:
    """Return what of this can be answered soon to who asks, as elements of the document."""
    asked = {
        target: _answer(services, table, caller, target) for target in asked_first(path, query)
    }
    answers = await soon(asked, AT_MOST_S)
    return b"".join(element(target, content) for target, content in answers.items())


async def soon(
    asked: Mapping[str, Coroutine[Any, Any, bytes]], at_most_s: float
) -> dict[str, bytes]:
    """Return what of this was answered within so many seconds, by the same names.

    What ends with an error is left out: who asks for it again is told of that. The rest is given
    up.
    """
    tasks = {name: asyncio.ensure_future(one) for name, one in asked.items()}
    try:
        await asyncio.wait(tasks.values(), timeout=at_most_s)
        found = {}
        for name, task in tasks.items():
            with contextlib.suppress(Exception):
                if task.done():
                    found[name] = task.result()
        return found
    finally:
        for task in tasks.values():
            task.cancel()


async def _answer(services: Services, table: Table, caller: Caller, target: str) -> bytes:
    """Return what the API answers.

    Raises:
        Problem: it answers with an error, which the page may ask for.
    """
    request = Request(
        "GET", target, headers=caller.headers, body=b"", services=services, caller=caller
    )
    route, request.params = table.find("GET", request.path)
    need = need_of("GET", route.path)
    request.guest = await let_in(services, caller, need, route.path, request.params)
    found = await answer(route, request)
    return found.body if isinstance(found, Reply) else encode(found)


def _rows(given: dict[str, str]) -> list[str]:
    """Return the address of a list's first rows, none where only the page can tell it."""
    state, sort = given.get("state", ""), given.get("sort", "")
    q = " ".join(filter(None, [given.get("q", ""), state and f"state:{state}"]))
    since, until = given.get("since", ""), given.get("until", "")
    if since in DAYS or until in DAYS:
        return []
    # What is all still to come begins with the next one.
    states = [term[6:] for term in q.split() if term.startswith(("state:", "state="))]
    rising = sort == "schedule" if sort else states[:1] == ["scheduled"]
    terms = {
        "q": q,
        "since": since,
        "until": until,
        "offset": "0" if rising else f"now-{AHEAD_SHOWN}",
        "limit": str(STRETCH),
        "order": "earliest" if rising else "",
    }
    pairs = [f"{name}={_written(value)}" for name, value in terms.items() if value]
    return [f"/api/v2/runs-by-time?{'&'.join(pairs)}"]


def _written(text: str) -> str:
    """Return a text as a browser writes it in a query (`URLSearchParams`)."""
    return quote_plus(text, safe="*").replace("~", "%7E")


def element(target: str, content: bytes) -> bytes:
    """Return an answer as a data block, which no browser takes for a script; nothing in it ends
    one."""
    head = f'<script type="application/json" data-answers="{html.escape(target)}">'
    return head.encode() + content.replace(b"<", b"\\u003c") + b"</script>\n"
