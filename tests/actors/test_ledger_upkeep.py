"""The ledger's own programs, step by step, with the test in the place of the worker."""

from ledger_driver import SECOND, LedgerDriver

from callsheet.actors.ledger_upkeep import RUNS_A_STEP
from callsheet.actors.upkeep_seam import (
    UPKEEP,
    CopyRuns,
    CountPages,
    DropRuns,
    StepDone,
    TakeBackup,
)
from callsheet.jobs.internal_programs import BoundArchive, BoundBackup, BoundVacuum
from callsheet.jobs.states import State
from callsheet.messages.hello import Hello, RunnerWelcome
from callsheet.messages.post import RUNNER
from callsheet.messages.transitions import RunsArchived
from callsheet.messages.wishes import MarkRun, StopRun

ARCHIVE = BoundArchive(age_us=60 * SECOND, path="kept.db", count=5, chunk_size=2)


class Driver(LedgerDriver):
    """A ledger with some finished runs, and the worker's side of its posts."""

    def __init__(self, count=0):
        super().__init__()
        self.old = [self.a_run(error="no such arg").run_id for _ in range(count)]

    def posted(self, kind):
        return [p.message for p in self.posts if p.to == UPKEEP and isinstance(p.message, kind)]

    def begin(self, program, **fields):
        run = self.a_run(program=program, **fields)
        if not self.posted(object):
            self.later(0.1)
        return run.run_id

    def copied(self, step, *run_ids, remaining=0):
        """Say that the step has copied these runs as they are."""
        runs = {run_id: (self.run(run_id).version, 1) for run_id in run_ids}
        return StepDone(run_id=step.run_id, took_s=0.01, copied=runs, remaining=remaining)

    def next(self, kind):
        """Let time pass until the next step is posted."""
        for _ in range(100):
            if found := self.posted(kind):
                return found[0]
            self.later(0.1)
        raise AssertionError(f"no {kind} was posted")


def test_an_archive_takes_out_what_was_copied_and_says_how_far_it_is():
    ledger = Driver(3)
    run_id = ledger.begin(ARCHIVE)
    assert ledger.run(run_id).state is State.RUNNING
    step = ledger.next(CopyRuns)
    assert (step.path, step.limit, step.counting) == ("kept.db", 2, False)
    assert step.before_us <= ledger.now_us - 60 * SECOND
    ledger.tell(ledger.copied(step, *ledger.old[:2]), sender="local")
    assert ledger.posted(DropRuns) == [DropRuns(run_ids=ledger.old[:2])]
    reader = ledger.writer.reader
    assert reader.runs(ledger.old) == [ledger.run(ledger.old[2])]
    [event] = [e for e in reader.events_after(0, 1000) if isinstance(e, RunsArchived)]
    assert (event.path, [f"r{n}" for n in event.numbers]) == ("kept.db", ledger.old[:2])
    step = ledger.next(CopyRuns)
    assert (step.after, step.limit) == (int(ledger.old[1][1:]), 2)
    ledger.tell(ledger.copied(step, ledger.old[2]), sender="local")
    ledger.tell(ledger.copied(ledger.next(CopyRuns)), sender="local")
    run = ledger.run(run_id)
    assert run.state is State.SUCCESS
    assert run.meta["program"]["run_ids"] == [ledger.old[:2], ledger.old[2:]]


def test_what_changed_after_it_was_copied_stays():
    ledger = Driver(2)
    ledger.begin(ARCHIVE)
    step = ledger.next(CopyRuns)
    done = ledger.copied(step, *ledger.old)
    ledger.wish(MarkRun(run_id=ledger.old[0], state=State.SUCCESS))
    ledger.tell(done, sender="local")
    assert ledger.run(ledger.old[0]).state is State.SUCCESS
    assert ledger.writer.reader.run(ledger.old[1]) is None


def test_a_count_that_is_used_up_while_there_are_more_is_a_failure():
    ledger = Driver(6)
    run_id = ledger.begin(BoundArchive(age_us=0, path="kept.db", count=5))
    step = ledger.next(CopyRuns)
    assert (step.limit, step.counting) == (5, True)
    ledger.tell(ledger.copied(step, *ledger.old[:5], remaining=1), sender="local")
    run = ledger.run(run_id)
    said = "archive count 5 exhausted with 1 eligible runs remaining"
    assert (run.state, run.message) == (State.FAILURE, said)


def test_a_new_ledger_goes_on_where_the_last_one_was():
    ledger = Driver(4)
    run_id = ledger.begin(ARCHIVE)
    ledger.tell(ledger.copied(ledger.next(CopyRuns), *ledger.old[:2]), sender="local")
    ledger.restart()
    ledger.posts = []
    step = ledger.next(CopyRuns)
    # An answer to the last one means nothing to this one; nor does one from elsewhere.
    ledger.tell(ledger.copied(step, *ledger.old[2:]), sender="runner/0")
    assert len(ledger.writer.reader.runs(ledger.old)) == 2
    ledger.tell(ledger.copied(step, *ledger.old[2:]), sender="local")
    step = ledger.next(CopyRuns)
    assert (step.limit, step.counting) == (1, True)
    ledger.tell(ledger.copied(step), sender="local")
    run = ledger.run(run_id)
    assert (run.state, run.meta["program"]["run count"]) == (State.SUCCESS, 4)


def test_a_stop_ends_it_between_two_steps():
    ledger = Driver(2)
    run_id = ledger.begin(ARCHIVE)
    step = ledger.next(CopyRuns)
    ledger.wish(StopRun(run_id=run_id))
    assert ledger.run(run_id).state is State.STOPPING
    ledger.tell(ledger.copied(step, *ledger.old), sender="local")
    ledger.later(1)
    run = ledger.run(run_id)
    assert (run.state, run.message) == (State.ERROR, "program stopped")
    assert [post for post in ledger.posts if post.to == RUNNER] == []


def test_one_step_is_done_at_a_time_and_runners_hear_of_none():
    ledger = Driver(1)
    first = ledger.begin(BoundArchive(age_us=0, path="kept.db", count=10_000))
    assert ledger.next(CopyRuns).limit == RUNS_A_STEP
    second = ledger.begin(BoundBackup(path="b.db"))
    ledger.later(60)
    assert ledger.posted(object) == []
    sent = ledger.tell(Hello(role=RUNNER), sender=RUNNER)
    assert [one.runs for one in sent if isinstance(one, RunnerWelcome)] == [[]]
    ledger.tell(StepDone(run_id=first, error="disk full"), sender="local")
    assert (ledger.run(first).state, ledger.run(first).message) == (State.ERROR, "disk full")
    assert ledger.posted(TakeBackup) == [TakeBackup(run_id=second, path="b.db")]
    ledger.tell(StepDone(run_id=second, took_s=2.0, meta={"seq": 7}), sender="local")
    assert ledger.run(second).meta["program"] == {"seq": 7, "time": 2.0}


def test_a_vacuum_gives_back_pages_until_none_are_unused():
    ledger = Driver()
    run_id = ledger.begin(BoundVacuum())
    step = ledger.next(CountPages)
    ledger.tell(StepDone(run_id=step.run_id, pages=1_500), sender="local")
    assert ledger.run(run_id).state is State.RUNNING
    ledger.tell(StepDone(run_id=ledger.next(CountPages).run_id, pages=0), sender="local")
    run = ledger.run(run_id)
    assert (run.state, run.meta["program"]["pages"]) == (State.SUCCESS, 1_000)


def test_an_ad_hoc_job_may_not_do_the_servers_own_work():
    ledger = Driver()
    run = ledger.a_run(program=BoundBackup(path="/etc/passwd"), ad_hoc=True)
    ledger.later(1)
    run = ledger.run(run.run_id)
    assert (run.state, "ad hoc" in run.message) == (State.ERROR, True)
    assert ledger.posted(object) == []
