"""The console's modules as they are sent: few files, in which each module is once."""

import re

import pytest

from callsheet.webui import vendor
from callsheet.webui.document import FRAME, edition_of
from callsheet.webui.joining import beside, join

STATIC = vendor.FOLDER.parent
SOURCES = {path.relative_to(STATIC).as_posix(): path for path in STATIC.rglob("*.js")}


def joined(**modules):
    """Join modules given by name, below `js/`; `main` is the frame."""
    files = {f"js/{name}.js": text.encode() for name, text in modules.items()}
    return join(files, FRAME)


def test_every_module_of_the_console_is_in_one_file_and_none_need_each_other():
    edition = edition_of(STATIC)
    assert set(edition.homes) == set(SOURCES)
    sent = {name: edition.files[name].decode() for name in edition.homes.values()}
    parts = {
        name: re.findall(r"^// ((?:js|vendor)/.*\.js)$", text, re.MULTILINE)
        for name, text in sent.items()
    }
    assert sorted(one for some in parts.values() for one in some) == sorted(SOURCES)
    # The frame's, its own, and of one who is a part of two views another one's.
    assert {len(edition.files_of(path)) for path in edition.views} <= {1, 2, 3}
    needed = {
        name: {beside(name, one) for one in vendor.needs_of(text)} for name, text in sent.items()
    }
    done = set()
    while left := [name for name in sent if name not in done]:
        ready = [name for name in left if needed[name] <= done]
        assert ready, left
        done |= set(ready)


@pytest.mark.parametrize("name", sorted(name for name in SOURCES if name.startswith("js/")))
def test_what_a_module_has_loaded_later_is_seen_by_who_joins(name):
    text = re.sub(
        r"/\*.*?\*/|^\s*//.*$", "", SOURCES[name].read_text(), flags=re.DOTALL | re.MULTILINE
    )
    assert text.count("import(") == len(re.findall(r'(?<==> )import\("[^"\n]+"\)', text))


def test_what_one_needs_is_one_file_with_it_and_what_several_need_comes_with_the_frame():
    found = joined(
        main='import { a } from "./a.js";\nconst b = () => import("./b.js");\n'
        'const c = () => import("./c.js");\nconst d = () => import("./d.js");',
        a="export const a = 1;",
        b='import "./of_b.js";\nimport "./of_both.js";',
        of_b='import "./of_of_b.js";',
        of_of_b='import "./a.js";',
        c='import "./of_both.js";',
        d='import "./c.js";\nimport "./of_d.js";',
        of_both='import "./of_of_both.js";',
        of_of_both="export {};",
        of_d="export {};",
        of_nobody="export {};",
    )
    assert {
        name.removeprefix("js/").removesuffix(".js"): home for name, home in found.homes.items()
    } == {
        "main": "js/main.js",
        "a": "js/main.js",
        "b": "js/b.js",
        "of_b": "js/b.js",
        "of_of_b": "js/b.js",
        "of_both": "js/main.js",
        "of_of_both": "js/main.js",
        "c": "js/c.js",
        "d": "js/d.js",
        "of_d": "js/d.js",
        "of_nobody": "js/of_nobody.js",
    }
    assert set(found.files) == set(found.homes.values())


def test_each_form_of_an_import_and_an_export_becomes_one_of_a_function():
    files = {
        "js/main.js": b"""import { h as make, other } from "../vendor/h.js";
import all from "../vendor/all.js";
import { a as b, c } from "./a.js";
// What was import { x } from "./a.js"; is a word here.
export { d as e } from "../vendor/h.js";
export { c, b as f };
export const g = () => import("./later.js").then((its) => its.k);
export async function i() {}
""",
        "js/a.js": b"export const a = 1;\nexport class c {}\n",
        "js/later.js": b'import { g } from "./main.js";\nexport function* k() {}',
        "vendor/h.js": b"export{d};",
        "vendor/all.js": b"export default 1;",
    }
    # Libraries stay as they are, since one of them has a form that is not known.
    found = join(files, FRAME)
    assert (
        found.files["js/main.js"].decode()
        == """import * as vendor$h from "../vendor/h.js";
import * as vendor$all from "../vendor/all.js";
// js/a.js
export const js$a = (() => {
const a = 1;
class c {}

return { a, c };
})();

// js/main.js
export const js$main = (() => {
const { h: make, other } = vendor$h;
const { default: all } = vendor$all;
const { a: b, c } = js$a;
// What was import { x } from "./a.js"; is a word here.


const g = () => import("./later.js").then((its) => its.js$later).then((its) => its.k);
async function i() {}

return { e: vendor$h.d, c, f: b, g, i };
})();
"""
    )
    assert found.files["js/later.js"].decode().startswith('import { js$main } from "./main.js";\n')
    assert found.files["vendor/h.js"] == files["vendor/h.js"]


def test_libraries_that_were_made_small_come_with_the_frame():
    files = {
        "js/main.js": b'import { h } from "../vendor/h.js";\nimport all from "../vendor/all.js";',
        "vendor/h.js": b'import{n as m}from"./n.js";var d=m;export{d as h,m};\n',
        "vendor/n.js": b"var n=1;export{n};",
        "vendor/all.js": b"var a=1;export default function(b){return a+b}\n",
    }
    found = join(files, FRAME)
    assert set(found.homes.values()) == {"js/main.js"}
    assert (
        found.files["js/main.js"].decode()
        == """// vendor/n.js
export const vendor$n = (() => {
var n=1;

return { n };
})();

// vendor/h.js
export const vendor$h = (() => {
const { n: m } = vendor$n;
var d=m;

return { h: d, m };
})();

// vendor/all.js
export const vendor$all = (() => {
var a=1;
const its_default = function(b){return a+b}


return { default: its_default };
})();

// js/main.js
export const js$main = (() => {
const { h } = vendor$h;
const { default: all } = vendor$all;
return {  };
})();
"""
    )


@pytest.mark.parametrize(
    "modules",
    [
        {"main": 'import {\n  a,\n} from "./a.js";', "a": "export const a = 1;"},
        {"main": 'import * as a from "./a.js";', "a": "export const a = 1;"},
        {"main": 'import { a } from "./a.js";', "a": "export let a = 1;"},
        {"main": 'import { a } from "./a.js";', "a": 'export { a };\nimport "./main.js";'},
    ],
)
def test_what_has_a_form_that_is_not_known_is_sent_as_it_is(modules):
    found = joined(**modules)
    assert {name: text.decode() for name, text in found.files.items()} == {
        f"js/{name}.js": text for name, text in modules.items()
    }
    assert found.homes == {name: name for name in found.files}
