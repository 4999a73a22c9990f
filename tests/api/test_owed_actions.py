"""What the API says of actions that are not over, and of deadlines."""

from __future__ import annotations

from web_stand import now_us

from callsheet.jobs.actions import NotifyAction
from callsheet.jobs.deadlines import Due
from callsheet.jobs.programs import BoundProcess
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.jobs.times import format_time_ms
from callsheet.messages.instructions import ActionSettled, ActionTried
from callsheet.messages.post import RESPONDER
from callsheet.webui.records import line, run_record
from callsheet.webui.why import why

NOTICE = NotifyAction(service="chat", states=(State.SCHEDULED,))


def page(stand, run_id):
    status, body = stand.ask("GET", f"/api/v2/runs/{run_id}")
    assert status == 200
    return body["run"]


def test_an_action_that_is_owed_shows_its_attempts_and_then_its_outcome(stand):
    run_id = stand.a_run(actions=(NOTICE,))
    [owed] = page(stand, run_id)["owed"]
    assert (owed["attempts"], owed["next_attempt"], owed["error"]) == (0, None, None)
    assert owed["action"] == "notify chat on scheduled"
    key, next_us = owed["action_id"], now_us() + 60_000_000
    tried = ActionTried(action_id=key, attempts=1, next_us=next_us, error="refused")
    stand.tell(lambda: tried, sender=RESPONDER)
    [owed] = page(stand, run_id)["owed"]
    assert (owed["attempts"], owed["error"]) == (1, "refused")
    assert owed["next_attempt"] == format_time_ms(next_us)
    settled = ActionSettled(action_id=key, message="", error="refused: given up")
    stand.tell(lambda: settled, sender=RESPONDER)
    found = page(stand, run_id)
    assert found["owed"] == []
    lines = [line for line in found["log"] if line["kind"] == "action"]
    assert [(line["action_id"], line["outcome"]) for line in lines] == [
        (key, "again"),
        (key, "failed"),
    ]
    assert lines[-1]["message"] == "error: refused: given up"
    _, log = stand.ask("GET", f"/api/v1/runs/{run_id}/log")
    assert any(line["message"] == "error: refused: given up" for line in log["run_log"])


def test_the_deadlines_of_a_run_are_shown(stand):
    due = Due(start_by_us=5_000_000, max_duration_us=1_500_000)
    run_id = stand.a_run(due=due)
    assert page(stand, run_id)["deadlines"] == {
        "start_by": "1970-01-01T00:00:05.000+00:00",
        "finish_by": None,
        "max_duration": 1.5,
    }
    assert page(stand, stand.a_run())["deadlines"] is None


def test_a_missed_deadline_is_a_flag_of_the_record_and_a_reason():
    meta = {"deadlines": {"start_by": {"due": "then", "missed": "later"}}}
    run = Run(run_id="r1", job_id="a", args={}, state=State.SKIPPED, schedule_us=0, meta=meta)
    assert run_record(run)["missed"] == ["start_by"]
    assert "It missed its deadline start_by, which was then." in why(run, [], [], 0, [])


def test_what_keeps_a_run_from_its_start_is_told_by_the_last_note_of_its_log():
    program = BoundProcess(argv=("x",), group_id="batch")
    run = Run(
        run_id="r1", job_id="a", args={}, state=State.STARTING, schedule_us=0, program=program
    )
    began = line(1, 0, "moved", "starting", "starting", "")
    assert why(run, [began], [], 0, []) == ["It waits for group batch to start its program."]
    note = line(2, 0, "noted", None, "agent x, to which it was given, is away", "")
    said = "Its log says: agent x, to which it was given, is away."
    assert why(run, [began, note], [], 0, [])[1:] == [said]
