"""Cgroups of runs: where they are found, what becomes of limits where there are none, and what is
said of them. That they hold is shown in a kernel that has them: test_own_kernel.py."""

from __future__ import annotations

import os

import pytest
from agent_stand import AgentStand, a_process

from callsheet.agentd.cgroups import Cgroups, own_group, said_of, size_words
from callsheet.jobs.programs import Launch, Limits
from callsheet.messages.agents import ProcessEnded, ProcessRefused

MOUNTS = """\
25 1 0:22 / /sys rw - sysfs sysfs rw
30 25 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
31 25 0:27 {root} /sys/fs/my\\040groups rw - cgroup2 cgroup2 rw
"""


@pytest.mark.slow
def test_without_cgroups_a_run_is_refused_or_told_that_it_has_no_limits(tmp_path):
    stand = AgentStand(tmp_path)
    stand.options = ["--cgroup", "none"]
    try:
        stand.start()
        why = "it is told to have no cgroups (--cgroup none)"
        limits = Limits(memory_max=2**30)
        refused = stand.result("r1", a_process("/bin/true", launch=Launch(limits=limits)))
        assert isinstance(refused, ProcessRefused)
        assert refused.sentence == f"limits: cannot be held: {why}"
        assert not refused.retry
        limits = Limits(memory_max=2**30, policy="try")
        ended = stand.result("r2", a_process("/bin/true", launch=Launch(limits=limits)))
        assert isinstance(ended, ProcessEnded)
        assert (ended.status, ended.error) == (0, "")
        assert ended.remarks == [f"limits are not held: {why}"]
    finally:
        stand.close()


@pytest.mark.parametrize(
    ("option", "own", "why"),
    [
        ("none", None, "it is told to have no cgroups"),
        (None, "", "agentd has no cgroup for them: expected --cgroup"),
        (None, "/sys/fs/cgroup/user.slice", "agentd has no cgroup for them: expected --cgroup"),
        (None, "/nowhere/callsheet", "/nowhere is no cgroup of version 2: expected --cgroup"),
        ("/proc/self", None, "/proc/self is no cgroup of version 2: expected --cgroup"),
        ("/proc/self/none", None, "/proc/self/none is no cgroup of version 2"),
    ],
)
def test_a_host_without_a_place_for_groups_says_what_is_expected(option, own, why):
    found = Cgroups.find(option, own)
    assert found.base == ""
    assert why in found.why_not
    assert found.why_not_for(Limits()) == found.why_not
    assert not os.path.exists("/proc/self/none")


@pytest.mark.parametrize(
    ("inside", "root", "path"),
    [
        ("/a/b", "/", "/sys/fs/my groups/a/b"),
        ("/a/b", "/a", "/sys/fs/my groups/b"),
        ("/", "/", "/sys/fs/my groups"),
        ("/other", "/a", ""),
    ],
)
def test_the_group_of_a_process_is_found_below_where_it_is_mounted(tmp_path, inside, root, path):
    (tmp_path / "cgroup").write_text(f"4:memory:/elsewhere\n0::{inside}\n")
    (tmp_path / "mountinfo").write_text(MOUNTS.format(root=root))
    assert own_group(str(tmp_path)) == path


def test_a_host_of_version_1_alone_has_no_group(tmp_path):
    (tmp_path / "cgroup").write_text("4:memory:/elsewhere\n")
    assert own_group(str(tmp_path)) == ""


def test_what_came_to_a_limit_is_said_and_whose_limit_it_was():
    own = Limits(memory_max=3 * 2**20)
    assert said_of(own, {"oom_kills": 0, "pids_refused": 0}) == []
    assert said_of(own, {"oom_kills": 2, "oom_events": 1}) == [
        "out of memory: it has a memory_max of 3 MiB"
    ]
    elsewhere = "out of memory: its host, or what it belongs to there, had no more"
    assert said_of(own, {"oom_kills": 1, "oom_events": 0}) == [elsewhere]
    assert said_of(Limits(), {"oom_kills": 1, "oom_events": 1}) == [elsewhere]


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (2**30, "1 GiB"),
        (5 * 2**19, "2560 KiB"),
        (10**9, "1 GB"),
        (1_500_000, "1500 kB"),
        (1_048_577, "1048577 bytes"),
    ],
)
def test_a_size_is_said_in_the_largest_unit_that_fits(size, words):
    assert size_words(size) == words
