"""The console's document and its files by edition: what a browser may keep, and what it is told;
what a page asks first and finds in its document."""

import asyncio
import contextlib
import html
import json
import os
import re
from urllib.parse import quote

import pytest
from web_stand import WebStand, a_job

from callsheet.webui.document import Document
from callsheet.webui.first_answers import asked_first, element, soon
from callsheet.webui.routing import Problem, encode

FILES = {
    "index.html": (
        '<link rel="stylesheet" href="/static/css/b.css">\n'
        '<link rel="stylesheet" href="/static/css/a.css">\n'
        '<script type="module" src="/static/js/main.js"></script><body>text</body>'
    ),
    "css/a.css": "body { margin: 0 }",
    "css/b.css": "p { margin: 0 }",
    "js/main.js": 'import { pageOf } from "./views.js";\nimport "./frame.js";',
    "js/frame.js": "export {};",
    "js/views.js": """const VIEWS = {
  "/": () => import("./views/sheet.js").then((its) => its.Sheet),
  "/runs": () => import("./views/runs.js").then((its) => its.Runs),
  "/runs/": () => import("./views/run.js").then((its) => its.Run),
};""",
    "js/views/sheet.js": "export {};",
    "js/views/runs.js": 'import "../frame.js";\nimport "../list.js";',
    "js/views/run.js": 'const later = () => import("../list.js");',
    "js/list.js": "export {};",
    "vendor/library.js": "let a;export let b=a;",
}
# The frame is one file, whatever it is made of.
FRAME = ["js/main.js"]


@pytest.fixture
def static(tmp_path):
    static = tmp_path / "static"
    for name, text in FILES.items():
        (static / name).parent.mkdir(parents=True, exist_ok=True)
        (static / name).write_text(text)
    return static


@pytest.fixture
def stand(tmp_path, static):
    stand = WebStand(tmp_path, static_root=str(static))
    yield stand
    stand.close()


def named(sent):
    """The edition of a document, and the modules it names."""
    found = re.findall(rb'modulepreload" href="/static/([0-9a-f]{16})/([^"]+)"', sent)
    [edition] = {one.decode() for one, _ in found}
    assert sent.index(found[-1][1]) < sent.index(b"<script")
    return edition, sorted(name.decode() for _, name in found)


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/", ["js/views/sheet.js"]),
        ("/runs", ["js/views/runs.js", "js/list.js"]),
        ("/runs/", ["js/views/runs.js", "js/list.js"]),
        ("/runs/r1", ["js/views/run.js"]),
        ("/runs/r1/x", ["js/views/run.js"]),
        ("/login", []),
        ("/nothing/at/all", []),
    ],
)
def test_a_document_names_the_modules_of_the_frame_and_of_its_view(static, path, own):
    assert named(Document(static).read(path))[1] == sorted(FRAME + own)


def test_files_of_the_edition_are_kept_for_good_and_those_of_another_are_not_there(stand):
    _, headers, sent = stand.request("GET", "/runs")
    assert headers["cache-control"] == "no-store"
    edition, _ = named(sent)
    # The style sheets are one, in the order of the document.
    assert re.findall(rb'"stylesheet" href="([^"]+)"', sent) == [
        f"/static/{edition}/css/all.css".encode()
    ]
    _, headers, styles = stand.request("GET", f"/static/{edition}/css/all.css")
    assert styles.decode().split("\n") == [FILES["css/b.css"], FILES["css/a.css"]]
    assert headers["content-type"].startswith("text/css")
    path = f"/static/{edition}/vendor/library.js"
    status, headers, body = stand.request("GET", path)
    assert (status, body.decode()) == (200, FILES["vendor/library.js"])
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert headers["content-type"].startswith("text/javascript")
    assert headers["x-content-type-options"] == "nosniff"
    status, head, body = stand.request("HEAD", path)
    assert (status, body, head["content-length"]) == (200, b"", headers["content-length"])
    assert stand.request("GET", f"/static/{edition}/js/nothing.js")[0] == 404
    assert stand.request("GET", f"/static/{edition}/../callsheet.db")[0] == 404
    other = f"{int(edition, 16) ^ 1:016x}"
    status, headers, _ = stand.request("GET", f"/static/{other}/js/list.js")
    assert (status, "immutable" in headers.get("cache-control", "")) == (404, False)


def test_a_file_that_changes_makes_another_edition_which_the_next_document_names(stand, static):
    before, _ = named(stand.request("GET", "/runs")[2])
    path = static / "js" / "list.js"
    path.write_text("export const b = 1;")
    os.utime(path, ns=(1, 1))
    # Until somebody is told of another edition this one is whole.
    _, _, kept = stand.request("GET", f"/static/{before}/js/list.js")
    assert b"const b" not in kept
    after, _ = named(stand.request("GET", "/runs")[2])
    assert after != before
    assert stand.request("GET", f"/static/{before}/js/list.js")[0] == 404
    _, _, changed = stand.request("GET", f"/static/{after}/js/list.js")
    assert b"const b = 1;" in changed


def test_a_server_that_was_not_asked_for_a_document_yet_has_its_files(static):
    edition, _ = named(Document(static).read("/"))
    content, _ = Document(static).file(edition, "vendor/library.js")
    assert content.decode() == FILES["vendor/library.js"]


def answers_in(sent):
    """What a document has of the API's answers, by address."""
    found = re.findall(
        r'<script type="application/json" data-answers="([^"]*)">(.*?)</script>', sent.decode()
    )
    return {html.unescape(target): json.loads(content) for target, content in found}


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("", "offset=now-5&limit=100"),
        ("q=a&state=failure", "q=a+state%3Afailure&offset=now-5&limit=100"),
        ("q=state%3Ascheduled", "q=state%3Ascheduled&offset=0&limit=100&order=earliest"),
        ("q=state:scheduled&sort=-schedule", "q=state%3Ascheduled&offset=now-5&limit=100"),
        ("sort=schedule&since=-1h&wall=1", "since=-1h&offset=0&limit=100&order=earliest"),
        ("q=%C3%A9*~'%2B", "q=%C3%A9*%7E%27%2B&offset=now-5&limit=100"),
        # A day begins where the page's zone has it; what is no text has no answer.
        ("since=today", None),
        ("q=%ff", None),
    ],
)
def test_what_a_page_asks_first_is_known_by_its_address(query, rows):
    rows = [] if rows is None else [f"/api/v2/runs-by-time?{rows}"]
    assert asked_first("/runs", query) == ["/api/v2/me", *rows]
    assert asked_first("/runs/r1", query) == asked_first("/", query) == ["/api/v2/me"]


def test_a_document_ends_with_the_answers_of_the_api_whatever_is_in_them(tmp_path, static):
    # A patient machine: what is asked here is answered, however slow it is.
    stand = WebStand(tmp_path, jobs=(a_job("a"),), static_root=str(static))
    with contextlib.closing(stand), pytest.MonkeyPatch.context() as patch:
        patch.setattr("callsheet.webui.first_answers.AT_MOST_S", 60.0)
        evil = "</script><script>alert(1)</script>"
        assert answers_in(element(evil, encode({"a": evil}))) == {evil: {"a": evil}}
        for query in ("", f"?q={quote(evil)}", f"?q={quote(evil)}&state=success"):
            _, headers, sent = stand.request("GET", f"/runs{query}")
            assert sent.endswith(b"</script>\n</body>")
            found = answers_in(sent)
            assert list(found) == asked_first("/runs", query[1:])
            for target, content in found.items():
                asked = json.loads(stand.request("GET", target)[2])
                assert {**content, "now": None} == {**asked, "now": None}
            assert headers["cache-control"] == "no-store"
        # What is wrong with a query, the page is told when it asks.
        _, _, sent = stand.request("GET", "/runs?q=state:strange")
        assert list(answers_in(sent)) == ["/api/v2/me"]
        status, _, sent = stand.request("HEAD", "/runs")
        assert (status, sent) == (200, b"")


def test_who_is_not_known_finds_nothing_in_a_document(tmp_path, static):
    stand = WebStand(tmp_path, loopback="login", static_root=str(static))
    with contextlib.closing(stand):
        for headers in ({}, {"Authorization": "Bearer of nothing"}):
            status, _, sent = stand.request("GET", "/runs", headers=headers)
            assert (status, answers_in(sent)) == (200, {})
            assert sent.endswith(b"</body>")


def test_what_is_not_answered_soon_is_left_to_the_page():
    async def asked():
        never = asyncio.Event()
        given_up = []

        async def at_once():
            return b"1"

        async def wrong():
            raise Problem(404, "there is none")

        async def late():
            try:
                await never.wait()
            finally:
                given_up.append("late")
            return b"2"

        found = await soon({"a": late(), "b": wrong(), "c": at_once()}, 0.1)
        await asyncio.sleep(0)
        return found, given_up

    assert asyncio.run(asked()) == ({"c": b"1"}, ["late"])
