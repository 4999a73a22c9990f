"""What a process at rest gives back to the system."""

from __future__ import annotations

import pytest

from callsheet.actors.heap import GROWN_BYTES, Heap, resident_bytes

# What is freed between what is kept: pages that C's heap would keep.
BLOCKS = 40_000
BLOCK_BYTES = 1_000


@pytest.fixture
def heap() -> Heap:
    found = Heap()
    if not found.tidy():
        pytest.skip("this system's C library has no malloc_trim")
    return found


def test_a_process_that_has_not_grown_is_left_alone(heap: Heap) -> None:
    assert not heap.tidy()


def test_what_was_freed_between_what_is_kept_is_given_back(heap: Heap) -> None:
    before_bytes = resident_bytes()
    blocks = [b"x" * BLOCK_BYTES for _ in range(BLOCKS)]
    kept = blocks[::50]
    del blocks
    assert resident_bytes() > before_bytes + BLOCKS * BLOCK_BYTES // 2
    assert heap.tidy()
    assert resident_bytes() < before_bytes + BLOCKS * BLOCK_BYTES // 2
    assert len(kept) * BLOCK_BYTES > GROWN_BYTES
