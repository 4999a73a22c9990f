"""What a process at rest gives back to the system."""

from __future__ import annotations

import subprocess
import sys

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


def test_what_can_be_had_again_is_let_go_before_by_a_process_that_has_grown(heap: Heap) -> None:
    cache = [b"x" * BLOCK_BYTES for _ in range(BLOCKS)]
    heap.tidy()
    before_bytes = resident_bytes()
    more = [b"x" * BLOCK_BYTES for _ in range(BLOCKS // 10)]
    assert heap.tidy(cache.clear)
    assert resident_bytes() < before_bytes - BLOCKS * BLOCK_BYTES // 2
    assert not heap.tidy(more.clear)
    assert more


LARGE = """
import sys
from callsheet.actors.heap import keep_thresholds, resident_bytes

if sys.argv[1:]:
    keep_thresholds()
bytearray(2**23)  # By itself glibc takes blocks of this size for small from now on.
before_bytes = resident_bytes()
blocks = [bytearray(b"x") * 2**20 for _ in range(16)]
kept = [bytearray(b"x") * 1_000 for _ in range(1_000)]
del blocks
print(resident_bytes() - before_bytes)
"""


def test_large_blocks_are_given_back_when_they_are_freed(heap: Heap) -> None:
    def grown_bytes(*words: str) -> int:
        command = [sys.executable, "-c", LARGE, *words]
        return int(subprocess.run(command, check=True, capture_output=True, env={}).stdout)

    assert grown_bytes("keep") < 2**22 < grown_bytes()


LOOKED_UP = """
import sys
from callsheet.actors.heap import forget_looked_up

class Looked: pass
names = [f"name_{number}" for number in range(100)]
before = [sys.getrefcount(name) for name in map(sys.intern, names)]
for name in names:
    getattr(Looked, name, None)
held = [sys.getrefcount(name) for name in names]
forget_looked_up()
after = [sys.getrefcount(name) for name in names]
print(sum(held) - sum(before), sum(after) - sum(before))
"""


def test_names_that_were_looked_up_are_let_go_of() -> None:
    command = [sys.executable, "-c", LOOKED_UP]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env={}).stdout
    held, after = map(int, said.split())
    assert held > 50
    assert after < 5


HOLES = """
import gc
from callsheet.actors.heap import fill_holes

gc.disable()
fill_holes()
objects = [bytes(60) for _ in range(2_000)]
del objects[::2]
print(fill_holes(), fill_holes())
"""


def test_holes_between_the_objects_of_a_process_are_filled_once() -> None:
    """Half of 2,000 objects of 93 bytes are gone: 1,000 blocks of 96."""
    command = [sys.executable, "-c", HOLES]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env={}).stdout
    filled, again = map(int, said.split())
    # A fresh pool has been begun after the last object, and a few objects come and go meanwhile.
    assert 90 * 1_000 <= filled <= 150 * 1_000
    assert again <= filled / 10
