"""When forgotten claims are removed."""

from __future__ import annotations

import os
from math import inf

import pytest

from callsheet.agentd.cgroups import NONE, Cgroups
from callsheet.agentd.clearing import AT_ONCE, BACKLOG, QUIET_S, Clearing
from callsheet.agentd.grouped import Grouped
from callsheet.agentd.host import Key, Spec
from callsheet.agentd.spool import Spool
from callsheet.jobs.programs import BoundProcess

PROGRAM = BoundProcess(argv=("true",))
SPEC = Spec(program=PROGRAM, argv=PROGRAM.argv, env={})


@pytest.fixture
def spool(tmp_path):
    spool = Spool(str(tmp_path))
    yield spool
    spool.close()


@pytest.fixture
def clearing(spool):
    return Clearing(spool, Grouped(Cgroups.find(NONE)))


def claim(spool, *numbers):
    keys = [Key(f"r{n}", 1) for n in numbers]
    for key in keys:
        spool.claim(key, SPEC)
    return keys


def claimed(spool):
    return sorted(name for name in os.listdir(spool.runs) if name.startswith("r"))


def have_a_free_one(spool):
    [key] = claim(spool, 0)
    spool.forget(key)


def test_a_forgotten_claim_stays_while_something_comes_and_goes_when_it_is_quiet(spool, clearing):
    keys = claim(spool, 1, 2)
    have_a_free_one(spool)
    clearing.is_busy(10.0)
    for key in keys:
        clearing.doom(key)
    assert clearing.tidy(10.0) == pytest.approx(QUIET_S)
    clearing.is_busy(10.01)
    assert clearing.tidy(10.02) == pytest.approx(QUIET_S - 0.01)
    assert claimed(spool) == ["r1.1", "r2.1"]
    assert clearing.tidy(10.01 + QUIET_S) == inf
    assert claimed(spool) == []


def test_where_the_next_claim_would_need_a_new_folder_a_forgotten_one_goes_at_once(spool, clearing):
    [key] = claim(spool, 1)
    clearing.is_busy(10.0)
    clearing.doom(key)
    assert not spool.has_free
    clearing.tidy(10.0)
    assert (claimed(spool), spool.has_free) == ([], True)


def test_with_many_that_wait_some_go_whatever_comes(spool, clearing):
    have_a_free_one(spool)
    some = claim(spool, *range(1, AT_ONCE + 2))
    for key in some:
        clearing.doom(key)
    clearing.is_busy(10.0)
    assert len(claimed(spool)) == len(some)
    for n in range(BACKLOG):
        clearing.doom(Key(f"r{10_000 + n}", 1))
    clearing.is_busy(10.0)
    assert claimed(spool) == [f"{some[-1]}"]


def test_nothing_is_waited_for_when_nothing_is_to_be_removed(spool, clearing):
    have_a_free_one(spool)
    clearing.is_busy(10.0)
    assert clearing.tidy(10.0) == inf
    assert clearing.tidy(11.0) == inf
