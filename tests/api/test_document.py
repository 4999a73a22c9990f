"""The console's document and its files by edition: what a browser may keep, and what it is told."""

import os
import re

import pytest
from web_stand import WebStand

from callsheet.webui.document import Document

FILES = {
    "index.html": (
        '<link rel="stylesheet" href="/static/css/b.css">\n'
        '<link rel="stylesheet" href="/static/css/a.css">\n'
        '<script type="module" src="/static/js/main.js"></script>'
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
    "vendor/library.js": "let a=1;export let b=a;",
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
    assert headers["cache-control"] == "no-cache"
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
