"""What somebody may have meant: the known words that an unknown one is much like."""

from __future__ import annotations

from collections.abc import Sequence


def near(word: str, known: Sequence[str], n: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return at most `n` of the known words, the best first; `cutoff` (to 1) is how much alike."""
    # Imported by those who have met a mistake: each process of a server would hold its pages.
    from difflib import get_close_matches

    return get_close_matches(word, known, n, cutoff)
