"""Job descriptions: Markdown to HTML that can do no harm."""

from __future__ import annotations

from functools import lru_cache

# Longer descriptions are cut before they are rendered.
MAX_CHARS = 100_000

_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li",
    "ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip


@lru_cache(maxsize=500)
def render(text: str) -> str:
    """Return the HTML of a description: raw HTML is text, links are http(s) or mailto."""
    import nh3
    from markdown_it import MarkdownIt

    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(text[:MAX_CHARS])
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes={"a": {"href", "title"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )


def first_line(text: str) -> str:
    """Return the first line of a description that has any words, without its heading marks."""
    for line in text.splitlines():
        found = line.strip().lstrip("#").strip()
        if found:
            return found
    return ""
