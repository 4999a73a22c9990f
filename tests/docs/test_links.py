"""Every link of a page leads somewhere, and every page is led to."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ELSEWHERE = ("http://", "https://", "mailto:")


def anchors(page):
    """Return the names of a page's headings, as they are linked to."""
    found = set()
    for title in HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-"))
    return found


def links():
    """Yield the page, and the file and anchor that a link of it names."""
    for page in PAGES:
        for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
            if not target.startswith(ELSEWHERE):
                path, _, anchor = target.partition("#")
                yield page, (page.parent / path).resolve() if path else page, anchor


def test_every_link_leads_to_a_file_and_a_heading_of_it():
    wrong = [
        f"{page.relative_to(ROOT)}: {path.name}#{anchor}"
        for page, path, anchor in links()
        if not path.exists() or (anchor and anchor not in anchors(path))
    ]
    assert wrong == []


def test_every_page_is_linked_to_from_another():
    linked = {path for page, path, _ in links() if path != page}
    # Decisions are found by their folder.
    pages = {page for page in PAGES if page.parent.name != "adr"}
    assert pages - linked == {ROOT / "README.md"}
