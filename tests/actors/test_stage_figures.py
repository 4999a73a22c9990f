"""What the ledger counts of runs: each end once, each delay where it arises."""

from callsheet.actors.stage_figures import LedgerFigures
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.transitions import RunMoved, RunNoted
from callsheet.store.interface import Changes

SECOND_US = 10**6


def moved(before, after, at_us, **times):
    run = Run(run_id="r1", job_id="a", args={}, state=after, schedule_us=1_000 * SECOND_US)
    run = Run(**{field: getattr(run, field) for field in run.__struct_fields__} | {"times": times})
    event = RunMoved(seq=1, at_us=at_us, run_id="r1", before=before, after=after)
    return Changes(events=[event], runs={"r1": run})


def test_a_run_that_ends_is_counted_once_by_its_state_and_by_how_long_it_ran():
    figures = LedgerFigures()
    changes = moved(State.RUNNING, State.FAILURE, 1_007 * SECOND_US, running=1_002 * SECOND_US)
    figures.committed(changes, 0.002)
    # A person marks it, and the exit record of a lost one settles it: neither ends it again.
    figures.committed(moved(State.FAILURE, State.SUCCESS, 1_009 * SECOND_US), 0.002)
    figures.committed(moved(State.LOST, State.SUCCESS, 1_009 * SECOND_US), 0.002)
    assert figures.counts["runs_ended failure"] == 1
    assert "runs_ended success" not in figures.counts
    assert figures.histograms["run_seconds"].sum == 5.0
    assert sum(figures.histograms["commit_seconds"].counts) == 3


def test_lateness_and_the_time_of_a_start_are_told_apart():
    figures = LedgerFigures()
    figures.committed(moved(State.SCHEDULED, State.STARTING, 1_000 * SECOND_US + 3_000), 0)
    running = moved(State.STARTING, State.RUNNING, 1_002 * SECOND_US, starting=1_001_500_000)
    figures.committed(running, 0)
    assert figures.histograms["due_delay_seconds"].sum == 0.003
    assert figures.histograms["start_delay_seconds"].sum == 0.5


def test_a_clock_that_was_put_back_makes_no_delay_less_than_none():
    figures = LedgerFigures()
    figures.committed(moved(State.SCHEDULED, State.WAITING, 999 * SECOND_US), 0)
    assert figures.histograms["due_delay_seconds"].sum == 0


def test_what_moves_no_run_is_no_end_and_no_delay():
    figures = LedgerFigures()
    figures.committed(Changes(events=[RunNoted(seq=1, at_us=1, run_id="r1")]), 0)
    assert set(figures.histograms) == {"commit_seconds"}
    assert figures.counts == {"commits": 1, "events": 1}
