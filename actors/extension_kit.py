"""The conformance kit: what the tests of an extension call to find out whether its types are good.

    from callsheet.actors.extension_kit import check_schedule

    def test_it_is_a_schedule():
        assert check_schedule(Monthly, {"day": "last", ...})[0] == ...

Each check does with a type what a server will do, compares what has to be equal, and raises
AssertionError with a sentence. For tests alone: it changes what this process knows, and puts it
back.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from msgspec import convert, msgpack
from msgspec.structs import replace

from ..conf.extension_settings import Extension
from ..jobs import registry
from ..jobs.binding import bind
from ..jobs.calendar_days import calendar_of
from ..jobs.calendars import FileCalendar
from ..jobs.extend import (
    ActionType,
    CalendarType,
    ConditionType,
    Finding,
    ProgramType,
    ScheduleType,
)
from ..jobs.job import Job
from ..jobs.parse import BadJob, definition_hash, job_from_data, job_to_data
from ..jobs.programs import BoundProcess
from ..jobs.schedules import fires
from ..jobs.times import SECOND_US
from .deliver_process import ask_child
from .extensions import load_extensions

NAME = "type-on-trial"
FIRES = 500
# At so many of them a range is cut in two.
CUTS = 5
# 2024 to 2030: two leap years, and every change of the clocks.
FROM_US = 1_704_067_200 * SECOND_US
TO_US = 1_893_456_000 * SECOND_US
EVENT: Mapping[str, Any] = {
    "id": "r1.5.0",
    "event": "state",
    "time": "2024-01-02T03:04:05+00:00",
    "run": {"run_id": "r1", "job_id": "a/job", "args": {}, "state": "success"},
}


def check_schedule(
    cls: type[ScheduleType], data: Mapping[str, Any], from_us: int = FROM_US, to_us: int = TO_US
) -> list[int]:
    """Check a type of schedule; return its first instants in a range, at most 500.

    They are in order and in range, the same when computed again, and the same whatever part of the
    range is asked for.
    """
    with _known(cls):
        [schedule] = _job("schedule", data).schedules

        def times(low_us: int, high_us: int) -> list[int]:
            return [fire.at_us for fire in islice(fires(schedule, low_us, high_us), FIRES)]

        found = times(from_us, to_us)
        registry.use(registry.known())
        assert times(from_us, to_us) == found, f"{cls.__name__}: asked anew it gives others"
        end_us = found[-1] + 1 if len(found) == FIRES else to_us
        for at_us in found[:: max(1, len(found) // CUTS)]:
            for cut_us in (at_us - SECOND_US, at_us, at_us + 1):
                if from_us < cut_us < end_us:
                    parts = times(from_us, cut_us) + times(cut_us, end_us)
                    assert parts == found, (
                        f"{cls.__name__}: from {cut_us} on it gives other instants than on the way "
                        "there: expected those of from_us alone"
                    )
        return found


def check_condition(
    cls: type[ConditionType], data: Mapping[str, Any], timeout_s: float = 20.0
) -> Finding:
    """Check a type of condition; return what it finds, in a process of its own."""
    with _known(cls):
        _job("condition", data)
        return convert(_asked(cls, {"data": data}, timeout_s), Finding)


def check_action(
    cls: type[ActionType],
    data: Mapping[str, Any],
    event: Mapping[str, Any] = EVENT,
    timeout_s: float = 20.0,
) -> str:
    """Check a type of action; return what it did for an event, in a process of its own."""
    with _known(cls):
        _job("action", data)
        return str(_asked(cls, {"data": data, "event": event}, timeout_s)["message"])


def check_program(
    cls: type[ProgramType], data: Mapping[str, Any], args: Mapping[str, str] | None = None
) -> BoundProcess:
    """Check a type of program; return the process of a run with these args."""
    with _known(cls):
        job = replace(_job("program", data), params=tuple(sorted(args or {})))
        bound = [bind(job, args or {}, "r1", _no_job, {}, schedule_us=0).program for _ in range(2)]
        assert bound[0] == bound[1], f"{cls.__name__}: gives another process when bound again"
        assert isinstance(bound[0], BoundProcess), "such programs become processes"
        return bound[0]


def check_calendar(cls: type[CalendarType]) -> FileCalendar:
    """Check a calendar; return its days."""
    found = []
    for _ in range(2):
        with _known(cls):
            found.append(calendar_of(registry.calendars()[0]))
    assert found[0].days == found[1].days, f"{cls.__name__}: gives other days when asked again"
    return found[0]


def refusal(part: str, cls: type[Any], data: Mapping[str, Any]) -> str:
    """Return the sentence by which a job file with such data is refused; `part`: `schedule` …"""
    with _known(cls):
        try:
            job_from_data(_job_data(part, data), "trial")
        except BadJob as error:
            return str(error)
    raise AssertionError(f"{cls.__name__}: takes {data}: expected it to be refused")


# --- inside -------------------------------------------------------------------------------------


@contextlib.contextmanager
def _known(cls: type[Any]) -> Iterator[None]:
    """Have this process know a class, as settings would have it."""
    before, days = registry.known(), registry.calendars()
    try:
        load_extensions([Extension(name=NAME, target=_target(cls))])
        yield
    finally:
        registry.use(before)
        registry.use_calendars(days)


def _target(cls: type[Any]) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _job_data(part: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"program": {"type": "no-op"}} | {part: {"type": NAME, **data}}


def _job(part: str, data: Mapping[str, Any]) -> Job:
    """Return a job of the type, once it has been there and back in every form that jobs have."""
    job = job_from_data(_job_data(part, data), "trial")
    again = job_from_data(job_to_data(job), "trial")
    assert again == job, f"{part} {data}: written and read back is another"
    sent = msgpack.decode(msgpack.encode(job), type=Job)
    assert sent == job, f"{part} {data}: sent and received is another"
    assert definition_hash(sent) == definition_hash(job), f"{part} {data}: its hash is not stable"
    said = _refused(part, {**data, "no-such-key": 1})
    assert "no-such-key" in said, f"{part}: takes keys that it does not know"
    return job


def _no_job(_job_id: str) -> Job | None:
    return None


def _refused(part: str, data: Mapping[str, Any]) -> str:
    try:
        job_from_data(_job_data(part, data), "trial")
    except BadJob as error:
        return str(error)
    return ""


def _asked(cls: type[Any], question: Mapping[str, Any], timeout_s: float) -> Any:
    """Return the answer of a process that finds the same modules as this one."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    try:
        answer = ask_child("extension_child", {"target": _target(cls), **question}, timeout_s)
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before
    assert "error" not in answer, f"{cls.__name__}: {answer['error']}"
    return answer
