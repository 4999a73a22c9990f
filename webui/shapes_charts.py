"""What `/api/v2` answers for charts, as types: times in ms where many are drawn, so that an answer
stays small. See `shapes.py`."""

from typing import Any, NotRequired, TypedDict

from .shapes import Instant, RunRecord, Usual


class DayGroup(TypedDict):
    """Runs with something in common. `marks` are `[bin, runs]` by what the runs are, `bars` when
    those that run began, `late` when those that are late were due, in ms."""

    name: str
    jobs: int
    expected: int
    counts: dict[str, int]
    marks: dict[str, list[list[int]]]
    bars: list[int]
    late: list[int]
    last: Instant | None


class Trouble(TypedDict):
    """A run that went wrong, the newest of its instance, and how many did since one went well."""

    run: RunRecord
    times: int


class Unsolved(TypedDict):
    """Of how many instances a run went wrong and none has gone well since; the worst of them."""

    count: int
    runs: list[Trouble]


# Keys that are words of Python can be given by this form alone.
Day = TypedDict(
    "Day",
    {
        "all": DayGroup,
        "groups": list[DayGroup],
        "usual": dict[str, Usual],
        "bins": int,
        "complete": bool,
        "told_to": Instant,
        "unsolved": Unsolved | None,
        "from": Instant,
        "to": Instant,
        "now": Instant,
        "epoch": int,
        "seq": int,
    },
)


class Bar(TypedDict):
    """A run on a timeline, times in ms; without an id it is to be written yet."""

    run_id: str | None
    state: str
    due: int
    start: int | None
    end: int | None
    args: NotRequired[dict[str, str]]
    finish_by: NotRequired[int]
    needs: NotRequired[list[list[Any]]]


class Lane(TypedDict):
    """The runs of a job, by the time for which they are."""

    job_id: str
    usual: Usual | None
    runs: list[Bar]


Timeline = TypedDict(
    "Timeline",
    {
        "jobs": list[Lane],
        "complete": bool,
        "from": Instant,
        "to": Instant,
        "now": Instant,
        "epoch": int,
        "seq": int,
    },
)


class Redefined(TypedDict):
    """From when on, in s, a job's definition was another."""

    at: int
    hash: str
    commit: str | None


# The runs of a job in columns: `at` are seconds, `state` places in `states`.
History = TypedDict(
    "History",
    {
        "job_id": str,
        "days": int,
        "states": list[str],
        "number": list[int],
        "at": list[int],
        "state": list[int],
        "took": list[float | None],
        "definitions": list[Redefined],
        "complete": bool,
        "from": Instant,
        "now": Instant,
    },
)
