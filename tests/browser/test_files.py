"""The console's files as they lie there, without a browser: what a strict content policy and a
server without other hosts ask of them."""

import re

import pytest

from callsheet.webui import vendor
from callsheet.webui.app import PAGES
from callsheet.webui.document import edition_of

STATIC = vendor.FOLDER.parent
OWN = sorted((STATIC / "js").rglob("*.js"))
CSS = sorted(STATIC.rglob("*.css"))


def name_of(path):
    return str(path.relative_to(STATIC))


def test_vendored_modules_are_what_their_checksums_say():
    assert vendor.problems(vendor.FOLDER) == []


def test_a_changed_a_missing_and_a_bare_import_are_found(tmp_path):
    (tmp_path / "a.js").write_text('import{h}from"./b.js";')
    (tmp_path / "b.js").write_text("export const h = 1;")
    vendor.write_sums(tmp_path)
    assert vendor.problems(tmp_path) == []
    (tmp_path / "a.js").write_text('import{h}from"preact";\n//# sourceMappingURL=a.js.map')
    (tmp_path / "b.js").unlink()
    (tmp_path / "c.js").write_text("")
    said = [sentence.split(":")[:2] for sentence in vendor.problems(tmp_path)]
    assert said == [
        ["a.js", " differs from its checksum"],
        ["a.js", " imports 'preact'"],
        ["a.js", " points to a source map"],
        ["b.js", " is missing"],
        ["c.js", " has no checksum"],
    ]


def test_an_import_is_a_statement_or_a_call_and_no_word_in_a_text():
    source = 'import{h}from"./a.js";export {\n  b,\n} from "./b.js";\nimport "./c.js";\n'
    source += 'const d = await import("./d.js"); const e = given("from"); f("import", "x");'
    assert vendor.imports_of(source) == ["./a.js", "./b.js", "./c.js", "./d.js"]
    assert vendor.needs_of(source) == ["./a.js", "./b.js", "./c.js"]


@pytest.mark.parametrize("path", OWN, ids=name_of)
def test_every_import_is_a_file_that_is_there(path):
    for specifier in vendor.imports_of(path.read_text()):
        assert specifier.startswith("."), specifier
        assert (path.parent / specifier).resolve().is_file(), specifier


@pytest.mark.parametrize("path", OWN, ids=name_of)
def test_no_module_makes_markup_or_code_of_text(path):
    text = path.read_text()
    assert not re.search(r"\b(?:eval|Function)\s*\(|document\.write|insertAdjacentHTML", text)
    # The one exception: job descriptions, which the server has cleaned.
    inner = re.findall(r"(\w+)\.innerHTML|dangerouslySetInnerHTML", text)
    assert not inner or path.name == "job.js", inner


@pytest.mark.parametrize("path", [*OWN, STATIC / "index.html"], ids=name_of)
def test_nothing_carries_an_inline_style_or_script(path):
    text = path.read_text()
    # An object, set through the DOM, is not an inline style; a text would be.
    assert not re.search(r"\sstyle=(?!\$\{\{)", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    assert not re.search(r"""\son(?:click|load|error)=["']""", text)


@pytest.mark.parametrize("path", [*OWN, *CSS, STATIC / "index.html"], ids=name_of)
def test_nothing_is_fetched_from_another_host(path):
    addresses = re.findall(r"""(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s"')]*""", path.read_text())
    assert [found for found in addresses if "www.w3.org" not in found] == []


@pytest.mark.parametrize("path", CSS, ids=name_of)
def test_styles_import_nothing(path):
    assert "@import" not in path.read_text()
    assert "url(" not in path.read_text()


def test_every_icon_that_is_used_is_in_the_document():
    document = (STATIC / "index.html").read_text()
    drawn = set(re.findall(r'id="(i-[a-z]+)"', document))
    used = {
        icon
        for path in OWN
        for icon in re.findall(r"#(i-[a-z]+)", path.read_text())
        if not icon.endswith("-")
    }
    assert used <= drawn


def beside(name, specifier):
    return ((STATIC / name).parent / specifier).resolve().relative_to(STATIC).as_posix()


def needs(name):
    return [beside(name, one) for one in vendor.needs_of((STATIC / name).read_text())]


def test_every_module_is_of_the_frame_of_a_view_or_loaded_when_it_is_wanted():
    edition = edition_of(STATIC)
    needed = {name for path in edition.views for name in edition.modules_of(path + "x")}
    needed |= {name for path in edition.views for name in edition.modules_of(path)}
    later = {
        beside(name_of(path), specifier)
        for path in OWN
        for specifier in vendor.imports_of(path.read_text())
        if f'import("{specifier}")' in path.read_text()
    }
    for name in (found := list(later)):
        found += [one for one in needs(name) if one not in found]
    every = {name_of(path) for path in [*OWN, *vendor.FOLDER.glob("*.js")]}
    assert every == needed | set(found)
    # What only one view has is not of another.
    assert "js/gantt.js" in edition.modules_of("/timeline")
    assert "js/gantt.js" not in edition.modules_of("/runs")


def test_the_server_s_pages_are_those_of_the_console_s_table_and_the_log_in():
    firsts = {path.strip("/") for path in edition_of(STATIC).views} - {""}
    known = re.search(r"\(\?:([a-z|]+)\)", PAGES)
    assert known is not None
    assert set(known[1].split("|")) == firsts | {"login"}


@pytest.mark.parametrize("path", OWN, ids=name_of)
def test_the_server_is_asked_by_one_module_and_heard_by_another(path):
    text = path.read_text()
    assert ("fetch(" in text) == (path.name == "api.js")
    assert ("new WebSocket" in text) == (path.name == "stream.js")
