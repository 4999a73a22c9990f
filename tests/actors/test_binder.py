"""The binder: folders in parts, answers repeated from memory, and its limits."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

from callsheet.actors.bind_one import bind_one, too_much
from callsheet.actors.binder import Binder, Folder
from callsheet.actors.binder_stage import FolderOnDisk, make_binder
from callsheet.jobs.actions import NotifyAction, ScheduleAction
from callsheet.jobs.job import Job
from callsheet.jobs.programs import NoOp, Shell
from callsheet.jobs.run import NewRun
from callsheet.jobs.states import State
from callsheet.messages.binding import (
    Bind,
    BinderReady,
    BindOne,
    BoundRuns,
    FolderProblem,
    LoadedJob,
    LoadFolder,
)
from callsheet.messages.post import SCHEDULER

BOMB = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


def a_job(job_id: str, command: str = "echo {{ run_id }}", **fields) -> Job:
    return Job(**{"job_id": job_id, "program": Shell(command=command)} | fields)


def an_item(job: Job, run_id: str = "r1", **args: str) -> BindOne:
    return BindOne(run_id=run_id, job=job, definition="h", args=args, schedule_us=5)


class Loads:
    """A folder of `count` jobs; counts how often it was read."""

    def __init__(self, count: int, problems: int = 0) -> None:
        self.count, self.problems, self.times = count, problems, 0

    def __call__(self, path: str, now_us: int) -> Folder:
        self.times += 1
        jobs = [
            LoadedJob(job_id=f"j{n}", hash=f"h{n}", job=a_job(f"j{n}")) for n in range(self.count)
        ]
        problem = FolderProblem(path="x.yaml", line=1, column=1, sentence="wrong")
        return Folder(jobs=jobs, problems=[problem] * self.problems)


def a_binder(load=None, bind=bind_one) -> Binder:
    binder = Binder(load or Loads(1), bind, contextlib.nullcontext, incarnation="b1")
    binder.begin(0)
    return binder


def ask(binder: Binder, *messages) -> list:
    posts = [post for message in messages for post in binder.receive(SCHEDULER, message, 0)]
    return [post.message for post in posts + binder.settle(0)]


def test_a_new_binder_says_so_until_it_is_spoken_to() -> None:
    binder = Binder(
        Loads(0),
        bind_one,
        contextlib.nullcontext,
        incarnation="b1",
    )
    ready = BinderReady(incarnation="b1")
    assert [post.message for post in binder.begin(0)] == [ready]
    assert [post.message for post in binder.settle(2_000_000)] == [ready]
    ask(binder, Bind(request=1, items=[]))
    assert binder.settle(9_000_000) == []
    assert binder.wakes_at() is None


def test_a_folder_comes_in_parts_with_only_the_jobs_that_are_not_known() -> None:
    load = Loads(1_100)
    known = {f"j{n}": f"h{n}" for n in range(1_000)} | {"j3": "other"}
    parts = ask(a_binder(load), LoadFolder(request=4, path="p", now_us=0, known=known))
    assert [(part.part, part.last, len(part.jobs)) for part in parts] == [
        (0, False, 500),
        (1, False, 500),
        (2, True, 100),
    ]
    sent = [job.job_id for part in parts for job in part.jobs if job.job is not None]
    assert sent == ["j3"] + [f"j{n}" for n in range(1_000, 1_100)]


def test_a_request_that_is_repeated_is_loaded_once() -> None:
    load = Loads(1)
    binder = a_binder(load)
    message = LoadFolder(request=4, path="p", now_us=0)
    first = ask(binder, message, message)
    assert ask(binder, message) == first
    assert load.times == 1
    assert ask(binder, Bind(request=9, items=[])) == [BoundRuns(request=9, runs=[])]
    ask(binder, LoadFolder(request=5, path="p", now_us=0))
    assert load.times == 2


def test_a_scheduler_whose_clock_was_set_back_is_answered_too() -> None:
    binder = a_binder()
    ask(binder, LoadFolder(request=1_800, path="p", now_us=0))
    [loaded] = ask(binder, LoadFolder(request=7, path="p", now_us=0))
    assert (loaded.request, loaded.last) == (7, True)


def test_what_is_known_may_come_in_parts_in_any_order() -> None:
    load = Loads(2)
    binder = a_binder(load)
    second = LoadFolder(request=1, path="p", now_us=0, known={"j1": "h1"}, part=1)
    assert ask(binder, second) == []
    first = LoadFolder(request=1, path="p", now_us=0, known={"j0": "h0"}, last=False)
    [loaded] = ask(binder, first)
    assert [job.job for job in loaded.jobs] == [None, None]


def test_problems_come_along_and_very_many_in_parts() -> None:
    parts = ask(a_binder(Loads(1, 2_500)), LoadFolder(request=1, path="p", now_us=0))
    assert [len(part.problems) for part in parts] == [1_000, 1_000, 500]
    assert [part.last for part in parts] == [False, False, True]


def test_runs_are_bound_in_order_and_a_repeat_is_answered_from_memory() -> None:
    count = 0

    def bind(item: BindOne, calendars) -> NewRun:
        nonlocal count
        count += 1
        return bind_one(item, {})

    binder = a_binder(bind=bind)
    bind_both = Bind(request=1, items=[an_item(a_job("a"), "r1"), an_item(a_job("a"), "r2")])
    [answer] = ask(binder, bind_both)
    assert [run.program.argv[-1] for run in answer.runs] == ["echo r1", "echo r2"]
    assert ask(binder, bind_both) == [answer]
    assert count == 2


def test_a_run_that_takes_too_much_memory_gets_the_error() -> None:
    def bind(item: BindOne, calendars) -> NewRun:
        raise MemoryError

    [answer] = ask(a_binder(bind=bind), Bind(request=1, items=[an_item(a_job("a"))]))
    assert answer.runs[0].error == too_much("a")


def test_what_cannot_be_bound_carries_its_error() -> None:
    item = an_item(a_job("a", "echo {{ nix }}"), note="scheduled as rerun of r0")
    [answer] = ask(a_binder(), Bind(request=1, items=[item]))
    [run] = answer.runs
    assert "extra args" in run.error or "nix" in run.error


def test_a_folder_on_disk_is_read_and_checked(tmp_path: Path) -> None:
    folder = tmp_path / "jobs"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.yaml").write_text("program: {type: no-op}\n")
    (folder / "sub" / "b.yaml").write_text("program: {type: no-op}\n")
    load = FolderOnDisk(tmp_path / "cache", None, contextlib.nullcontext)
    found = load(str(folder), 0)
    assert {job.job_id: job.job.program for job in found.jobs} == {"a": NoOp(), "sub/b": NoOp()}
    assert found.problems == []
    (folder / "a.yaml").write_text("program: {type: no-op}\nnix: 1\n")
    broken = load(str(folder), 0)
    assert broken.jobs == []
    assert [(p.path, p.line, p.job_id) for p in broken.problems] == [("a.yaml", 2, "a")]


def test_what_is_wrong_between_jobs_is_found_even_after_a_good_load(tmp_path: Path) -> None:
    folder = tmp_path / "jobs"
    folder.mkdir()
    (folder / "a.yaml").write_text(
        "program: {type: no-op}\ncondition: {type: dependency, job_id: b}\n"
    )
    (folder / "b.yaml").write_text("program: {type: no-op}\n")
    load = FolderOnDisk(tmp_path / "cache", None, contextlib.nullcontext)
    assert load(str(folder), 0).problems == []
    again = FolderOnDisk(tmp_path / "cache", None, contextlib.nullcontext)
    assert len(again(str(folder), 0).jobs) == 2
    (folder / "b.yaml").unlink()
    [problem] = again(str(folder), 0).problems
    assert (problem.job_id, problem.line) == ("a", 2)
    assert problem.sentence == "unknown job ID in condition: b"


@pytest.mark.slow
def test_a_template_without_end_is_an_error_run_and_the_binder_goes_on() -> None:
    binder = make_binder(None, None, incarnation="b")
    items = [an_item(a_job("a", BOMB)), an_item(a_job("b"), "r2")]
    first, second = ask(binder, Bind(request=1, items=items))[0].runs
    assert first.error == too_much("a")
    assert second.error is None


@pytest.mark.slow
def test_a_template_that_cannot_be_interrupted_ends_the_process() -> None:
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            binder = make_binder(None, None, incarnation="b")
            job = a_job("a", "{{ [[0] * 100000] * 100000 }}")
            binder.receive(SCHEDULER, Bind(request=1, items=[an_item(job)]), 0)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGPROF


EVERYWHERE = NotifyAction(service="ops", states=(State.ERROR,))


@pytest.mark.parametrize("duration", ["1s", "{{ nobody }}", "{{ 'x' | int / 0 }}"])
def test_the_actions_of_the_settings_follow_the_jobs_own_also_when_binding_fails(duration):
    own = ScheduleAction(job_id="b")
    job = Job(job_id="a", program=NoOp(duration=duration), actions=(own,))
    item = BindOne(run_id="r1", job=job, definition="d", args={}, schedule_us=0)
    run = bind_one(item, {}, actions=(EVERYWHERE,))
    assert (run.error is None) is (duration == "1s")
    assert run.actions == (own, EVERYWHERE)


def test_a_run_whose_binding_took_too_much_has_its_actions_still():
    def bind(item: BindOne, calendars) -> NewRun:
        raise MemoryError

    def load(path: str, now_us: int) -> Folder:
        return Folder(jobs=[], problems=[])

    binder = Binder(load, bind, contextlib.nullcontext, incarnation="b", actions=(EVERYWHERE,))
    job = Job(job_id="a", program=NoOp())
    item = BindOne(run_id="r1", job=job, definition="d", args={}, schedule_us=0)
    [post] = binder.receive(SCHEDULER, Bind(request=1, items=[item]), 0)
    [run] = post.message.runs
    assert run.error
    assert run.actions == (EVERYWHERE,)
