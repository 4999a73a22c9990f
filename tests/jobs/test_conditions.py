"""Conditions: read, bound, written back, and judged, kind by kind (contract, section 3)."""

from __future__ import annotations

from datetime import date

import pytest

from callsheet.jobs.binding import BindingError, bind, needs_templates
from callsheet.jobs.bound_conditions import (
    BoundAll,
    BoundAny,
    BoundConst,
    BoundDependency,
    BoundMaxRunning,
    BoundNot,
    BoundNotAfter,
    BoundNotBefore,
    BoundPool,
    BoundSkipDuplicate,
    BoundTimeWindow,
    dependencies,
)
from callsheet.jobs.calendars import FileCalendar
from callsheet.jobs.condition_rules import POLLED_KINDS, ConditionRules
from callsheet.jobs.conditions import AllOf, AnyOf, Not
from callsheet.jobs.errors import UserError
from callsheet.jobs.jso import condition_jso, job_jso, run_full_jso
from callsheet.jobs.judging import Verdict, judge, wanted
from callsheet.jobs.parse import BadJob, job_from_data, job_to_data
from callsheet.jobs.polled import (
    BoundCommandCheck,
    BoundFileCheck,
    BoundHttpCheck,
    BoundSqlCheck,
)
from callsheet.jobs.run import Run
from callsheet.jobs.states import State, reachable_from
from callsheet.jobs.times import parse_time
from callsheet.jobs.windows import window_at
from callsheet.jobs.words import condition_words

S = State
NOOP = {"type": "no-op"}
# A Wednesday.
NOON_US = parse_time("2024-01-03T12:00:00Z")
DEP = {"type": "dependency", "job_id": "dep"}
GUARDS = [
    ("max_running", {"type": "max_running"}),
    ("skip_duplicate", {"type": "skip_duplicate"}),
    ("pool", {"type": "pool", "name": "db"}),
]


def a_job(*conditions, job_id="a", **data):
    return job_from_data({"program": NOOP, "condition": list(conditions), **data}, job_id)


OTHERS = {
    "dep": a_job(job_id="dep"),
    "dated": a_job(job_id="dated", params=["date"]),
}


def bound(*conditions, calendars=None, at_us=NOON_US, params=(), **args):
    job = a_job(*conditions, params=[*params, *args])
    return bind(job, args, "r7", OTHERS.get, calendars or {}, schedule_us=at_us).conds


def problem(*conditions, **data):
    with pytest.raises(BadJob) as caught:
        a_job(*conditions, **data)
    return str(caught.value)


class World:
    """Facts for the judge: how many runs of each instance are in which state."""

    def __init__(self, pools=None, **states):
        self.pools = pools or {}
        self.found = {}
        self.states = {job_id: dict(found) for job_id, found in states.items()}

    def states_of(self, job_id, key, after=0):
        return self.states.get(job_id, {})

    def checked(self, cond):
        return self.found.get(cond)

    def pool(self, name):
        return self.pools.get(name, (0, None))


def verdict(cond, now_us=NOON_US, **states):
    [one] = bound(cond)
    return judge(one, World(**states), now_us)


# --- reading and writing ------------------------------------------------------------------------


FORMS = [
    {"type": "const", "value": False},
    {"type": "pool", "name": "db", "weight": "2"},
    {"type": "file", "path": "/data/{{ date }}", "min_size": 5, "older_than": "5m"},
    {"type": "file", "path": "/data/lock", "exists": False, "poll_interval": "5s"},
    {"type": "http", "url": "https://host/x", "status": [200, 204], "contains": "ok"},
    {"type": "command", "argv": ["/bin/test", "-e", "{{ date }}"], "timeout": 5},
    {"type": "command", "command": "test -e /data"},
    {"type": "sql", "database": "/data/a.db", "query": "SELECT 1"},
    {"type": "all", "conditions": [DEP, {"type": "max_running", "count": 2}]},
    {"type": "any", "conditions": [DEP, {"type": "const", "value": True}], "enabled": "{{ x }}"},
    {"type": "not", "condition": DEP},
    {"type": "not_before", "time": "2024-01-03T09:00:00Z"},
    {"type": "not_before", "daytime": "09:00", "tz": "Europe/Berlin", "date_shift": 1},
    {"type": "not_after", "time": "{{ date }}T17:00:00Z", "else_state": "error"},
    {"type": "time_window", "from": "22:00", "to": "06:00", "tz": "UTC", "calendar": "Mon-Fri"},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_condition_is_read_and_written_back_as_the_same_value(form):
    job = a_job(form)
    assert job_from_data(job_to_data(job), "a") == job
    [shown] = job_jso(job)["condition"]
    assert shown["type"] == form["type"]
    assert shown["str"]


@pytest.mark.parametrize(
    ("short", "kind"),
    [({"all": [DEP]}, AllOf), ({"any": [DEP]}, AnyOf), ({"not": DEP}, Not)],
)
def test_composition_has_a_shorthand(short, kind):
    [cond] = a_job(short).conditions
    assert isinstance(cond, kind)
    if kind is Not:
        assert cond == a_job({"type": "not", "condition": DEP}).conditions[0]
    else:
        [name] = short
        assert cond == a_job({"type": name, "conditions": [DEP]}).conditions[0]


@pytest.mark.parametrize(("kind", "guard"), GUARDS)
@pytest.mark.parametrize("around", ["any", "not"])
def test_a_guard_inside_any_or_not_is_refused_and_told_why(kind, guard, around):
    member = guard if around == "not" else [guard]
    deep = {around: member} if around == "not" else {around: [{"all": [guard]}]}
    for form in ({around: member}, deep):
        said = problem(form)
        assert f"{kind} inside {around}: is decided at the instant of the start" in said
        assert f"expected it outside of {around}" in said


MISTAKES = [
    ({"any": []}, "is empty: expected at least one condition"),
    ({"any": [DEP], "why": 1}, "unexpected keys: why"),
    ({"any": [{"type": "dependency"}]}, "condition[0].any[0]: missing key: job_id"),
    ({"type": "not"}, "missing key: condition"),
    ({"type": "not_before"}, "has neither time nor daytime: expected one of them"),
    (
        {"type": "not_after", "time": "2024-01-03T09:00:00Z", "daytime": "09:00", "tz": "UTC"},
        "has both time and daytime",
    ),
    ({"type": "not_before", "daytime": "09:00"}, "missing key: tz"),
    ({"type": "not_before", "daytime": "25:00", "tz": "UTC"}, "expected a form like 09:30"),
    ({"type": "not_before", "daytime": "09:00", "tz": "Mars"}, "unknown time zone: Mars"),
    ({"type": "not_before", "time": "tomorrow"}, "expected a form like 2024-01-02T03:04:05Z"),
    (
        {"type": "not_after", "time": "2024-01-03T09:00:00Z", "else_state": "running"},
        "running: expected a finished state",
    ),
    (
        {"type": "time_window", "from": "09:00", "to": "09:00:00", "tz": "UTC"},
        "expected another daytime than from",
    ),
    ({"type": "dependency", "job_id": 7}, "write '7' in quotes"),
    (DEP | {"exist": ["running"]}, "lacks success"),
    (DEP | {"exist": []}, "is empty"),
    (DEP | {"states": []}, "is empty: expected at least one state"),
    (DEP | {"states": "lost"}, "bad state: 'lost'"),
    ({"type": "max_running", "args": {}}, "is not supported"),
    ({"type": "max_running", "count": 0}, "expected 1 or more"),
    ({"type": "skip_duplicate", "target_state": "waiting"}, "expected a finished state"),
    ({"type": "const", "value": True, "enabled": 1}, "expected true, false, or a template"),
    ({"type": "const"}, "missing key: value"),
    ({"type": "pool"}, "missing key: name"),
    ({"type": "file", "path": "data"}, "'data': expected an absolute path"),
    ({"type": "file", "path": "/x", "min_size": "1k"}, "'1k': expected a number of bytes"),
    ({"type": "file", "path": "/x", "min_size": 1, "exists": False}, "expected exists: true"),
    ({"type": "file", "path": "/x", "timeout": "soon"}, "expected seconds, or a form"),
    ({"type": "http", "url": "ftp://x/y"}, "expected a URL like https://host/path"),
    ({"type": "http", "url": "http:///y"}, "expected a URL like https://host/path"),
    ({"type": "http", "url": "http://me:pw@x/"}, "holds a user or password"),
    ({"type": "http", "url": "http://x/a b"}, "percent-encoded"),
    ({"type": "http", "url": "http://x/", "status": 99}, "expected an HTTP status"),
    ({"type": "http", "url": "http://x/", "method": "PUT"}, "expected one of GET, HEAD, POST"),
    (
        {"type": "http", "url": "http://x/", "method": "HEAD", "contains": "y"},
        "is asked of an answer without a body",
    ),
    ({"type": "command"}, "has neither argv nor command: expected one of them"),
    ({"type": "command", "argv": ["x"], "command": "x"}, "has both argv and command"),
    ({"type": "command", "argv": "x"}, "expected a list of strings"),
    ({"type": "command", "argv": []}, "is empty: expected at least the program to run"),
    ({"type": "sql", "database": "x"}, "missing key: query"),
    ({"type": "pool", "name": "db", "weight": 0}, "expected 1 or more"),
    ({"type": "weather"}, "bad type: 'weather': expected one of const, dependency"),
    ({}, "missing type"),
    ("dep", "expected a mapping"),
]


@pytest.mark.parametrize(("form", "said"), MISTAKES, ids=str)
def test_a_mistake_is_told_where_it_is_made(form, said):
    assert said in problem(form)
    assert problem(form).startswith("condition[0]")


def test_nesting_has_an_end():
    form = DEP
    for _ in range(12):
        form = {"not": form}
    assert "is nested deeper than 10" in problem(form)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"priority": "high"}, "priority: 'high': expected a whole number"),
        ({"priority": 10**7}, "expected a whole number up to 1000000"),
        ({"waiting": {"max_time": 0}}, "waiting.max_time: expected a duration of more than 0"),
        ({"waiting": {"max": 1}}, "unexpected keys: max"),
    ],
)
def test_priority_and_waiting_time_are_checked(data, said):
    assert said in problem(**data)


def test_priority_and_waiting_time_go_with_the_job_and_its_json():
    job = a_job(priority=5, waiting={"max_time": "1h"})
    assert (job.priority, job.waiting_max_us) == (5, 3_600_000_000)
    assert job_from_data(job_to_data(job), "a") == job
    assert job_jso(job)["waiting"] == {"max_time": 3600.0}
    assert job_jso(job)["priority"] == 5
    assert "priority" not in job_jso(a_job())


# --- binding ------------------------------------------------------------------------------------


def test_conditions_are_bound_in_file_order():
    assert bound(
        {"type": "const", "value": True},
        DEP,
        {"type": "max_running", "count": "{{ n }}"},
        {"type": "skip_duplicate"},
        n="3",
    ) == (
        BoundConst(value=True),
        BoundDependency(job_id="dep", args={}),
        BoundMaxRunning(count=3, job_id="a", args={"n": "3"}),
        BoundSkipDuplicate(check_states=(S.WAITING, S.STARTING, S.RUNNING), target_state=S.SKIPPED),
    )


@pytest.mark.parametrize(
    ("enabled", "there"),
    [
        (True, True),
        (False, False),
        ("{{ x == 'on' }}", True),
        ("{{ x == 'off' }}", False),
        ("true", True),
        ("false", False),
        ("no", True),
        ("{{ '' }}", False),
    ],
)
def test_a_condition_that_is_not_enabled_is_not_in_the_run(enabled, there):
    assert bool(bound({"type": "const", "value": False, "enabled": enabled}, x="on")) is there
    assert bool(bound({"any": [{**DEP, "enabled": enabled}]}, x="on")) is there
    assert bool(bound({"not": {**DEP, "enabled": enabled}}, x="on")) is there


def test_a_dependency_takes_given_args_first_and_the_runs_own_else():
    cond = {"type": "dependency", "job_id": "{{ which }}"}
    [one] = bound(cond, which="dated", date="2024-01-02")
    assert one == BoundDependency(job_id="dated", args={"date": "2024-01-02"})
    given = cond | {"args": {"date": "{{ Date(date) - 1 }}", "other": "x"}}
    [one] = bound(given, which="dated", date="2024-01-02")
    assert one.args == {"date": "2024-01-01"}


@pytest.mark.parametrize(
    ("cond", "said"),
    [
        ({"type": "dependency", "job_id": "nobody"}, "unknown job ID in condition: nobody"),
        ({"type": "dependency", "job_id": "dated"}, "no value for param date of job dated"),
        ({"type": "max_running", "count": "{{ 'x' }}"}, "expected a number of 1 or more"),
        ({"type": "max_running", "count": "{{ 0 }}"}, "expected a number of 1 or more"),
        ({"type": "not_before", "time": "{{ 'x' }}"}, "time 'x'"),
        (
            {"type": "time_window", "from": "9:00", "to": "10:00", "tz": "UTC", "calendar": "x"},
            "no such calendar: x",
        ),
        ({"any": [{"type": "dependency", "job_id": "nobody"}]}, "unknown job ID"),
    ],
)
def test_what_cannot_be_bound_is_an_error(cond, said):
    with pytest.raises(BindingError, match=said):
        bound(cond)


def test_a_pool_is_bound_by_the_rules_of_the_settings():
    job = a_job({"type": "pool", "name": "{{ p }}", "weight": "{{ w }}"}, params=["p", "w"])

    def conds(**args):
        rules = ConditionRules(pools={"db": 4})
        return bind(job, args, "r7", OTHERS.get, {}, schedule_us=NOON_US, rules=rules).conds

    assert conds(p="db", w="3") == (BoundPool(name="db", weight=3),)
    with pytest.raises(BindingError, match="weight 5: expected at most its size, 4"):
        conds(p="db", w="5")
    with pytest.raises(BindingError, match=r"unknown pool: x: .* \(db\)"):
        conds(p="x", w="1")


def test_polled_conditions_are_bound_with_their_templates_filled():
    conds = bound(
        {"type": "file", "path": "/d/{{ date }}", "min_size": "{{ 2 + 3 }}", "older_than": "1m"},
        {"type": "http", "url": "http://h/{{ date }}", "timeout": "{{ 5 }}", "status": 204},
        {"type": "command", "command": "test {{ date }}", "poll_interval": 0},
        {"type": "command", "argv": ["test", "{{ date }}"], "timeout": "2h"},
        {"type": "sql", "database": "{{ 'main' }}", "query": "SELECT '{{ date }}'"},
        {"type": "file", "path": "/d", "changed_within": "1h"},
        date="2024-01-02",
    )
    second = 1_000_000
    usual = {"timeout_us": 10 * second, "poll_us": 60 * second}
    assert conds == (
        BoundFileCheck(path="/d/2024-01-02", min_bytes=5, older_than_us=60 * second, **usual),
        BoundHttpCheck(
            url="http://h/2024-01-02", status=(204,), timeout_us=5 * second, poll_us=60 * second
        ),
        BoundCommandCheck(
            argv=("/bin/sh", "-c", "test 2024-01-02"), timeout_us=10 * second, poll_us=second
        ),
        BoundCommandCheck(
            argv=("test", "2024-01-02"), timeout_us=600 * second, poll_us=60 * second
        ),
        BoundSqlCheck(database="main", query="SELECT '2024-01-02'", **usual),
        BoundFileCheck(path="/d", changed_within_us=3600 * second, **usual),
    )
    shown = [condition_jso(cond) for cond in conds]
    assert [one["str"] for one in shown] == [
        "file /d/2024-01-02 exists and has at least 5 bytes and is older than 60 s",
        "GET http://h/2024-01-02 answers 204",
        "command /bin/sh -c 'test 2024-01-02' succeeds",
        "command test 2024-01-02 succeeds",
        "database main says yes to SELECT '2024-01-02'",
        "file /d exists and was changed within 3600 s",
    ]
    assert shown[0]["min_size"] == 5
    assert (shown[1]["timeout"], shown[1]["poll_interval"]) == (5.0, 60.0)
    assert len(set(conds)) == 6  # they can be keys


@pytest.mark.parametrize(
    ("cond", "said"),
    [
        ({"type": "file", "path": "{{ 'x' }}"}, "expected an absolute path"),
        ({"type": "file", "path": "/x", "min_size": "{{ 'x' }}"}, "expected a number of bytes"),
        ({"type": "file", "path": "/x", "older_than": "{{ -1 }}"}, "older_than -1: is negative"),
        ({"type": "http", "url": "{{ 'file:///etc' }}"}, "expected a URL like"),
    ],
)
def test_what_a_template_makes_of_a_polled_condition_is_checked(cond, said):
    with pytest.raises(BindingError, match=said):
        bound(cond)


@pytest.mark.parametrize(
    ("cond", "said"),
    [
        ({"type": "command", "command": "x"}, "command conditions are switched off"),
        ({"type": "sql", "database": "/x", "query": "x"}, "sql conditions are switched off"),
        ({"type": "file", "path": "/x"}, None),
        ({"type": "http", "url": "http://x/"}, None),
    ],
)
def test_commands_and_queries_are_off_unless_the_settings_allow_them(cond, said):
    job = a_job(cond)

    def conds(rules):
        return bind(job, {}, "r7", OTHERS.get, {}, schedule_us=NOON_US, rules=rules).conds

    if said is None:
        assert len(conds(ConditionRules())) == 1
    else:
        with pytest.raises(BindingError, match=f"{said} .*: expected .* conditions.allow"):
            conds(ConditionRules())
        assert len(conds(ConditionRules(allow=POLLED_KINDS))) == 1


def test_a_database_is_a_path_or_one_of_the_settings():
    rules = ConditionRules(allow=("sql",), databases={"main": "sqlite:////a.db"})
    for name in ("/a.db", "main"):
        rules.check(a_job({"type": "sql", "database": name, "query": "x"}).conditions[0])
    with pytest.raises(UserError, match=r"unknown database: other: .* \(main\)"):
        rules.check(a_job({"type": "sql", "database": "other", "query": "x"}).conditions[0])


def test_a_polled_condition_is_judged_by_its_last_check():
    world = World()
    [cond] = bound({"type": "file", "path": "/x"})
    unknown = judge(cond, world, NOON_US)
    assert (unknown.met, unknown.reason) == (None, "is being checked")
    for composed in ({"any": [FALSE]}, {"all": [TRUE]}, {"not": {"type": "file", "path": "/x"}}):
        members = next(iter(composed.values()))
        if isinstance(members, list):
            members.append({"type": "file", "path": "/x"})
        [one] = bound(composed)
        assert judge(one, world, NOON_US).met is None
    world.found[cond] = Verdict(met=False, reason="/x: does not exist")
    assert judge(cond, world, NOON_US).reason == "/x: does not exist"
    [told] = wanted(a_run(cond), world, NOON_US)
    assert (told.condition, told.met) == ("file /x exists", False)


def test_an_absent_file_is_told_as_such():
    form = {"type": "file", "path": "/x", "exists": False}
    assert condition_words(a_job(form).conditions[0]) == "file /x is absent"
    assert condition_words(bound(form)[0]) == "file /x is absent"


def test_guards_and_deadlines_come_out_of_all_and_stand_beside_it():
    guard = BoundMaxRunning(count=1, job_id="a", args={})
    deadline = {"type": "not_after", "time": "2024-01-04T00:00:00Z"}
    assert bound({"all": [{"type": "max_running"}, DEP]}) == (
        BoundDependency(job_id="dep", args={}),
        guard,
    )
    assert bound({"all": [{"type": "max_running"}]}) == (guard,)
    both = bound({"all": [DEP, {"all": [deadline, DEP, {"type": "max_running"}]}]})
    assert both == (
        BoundAll(conditions=(BoundDependency(job_id="dep", args={}),) * 2),
        BoundNotAfter(at_us=parse_time("2024-01-04T00:00:00Z")),
        guard,
    )


def test_a_daytime_is_taken_on_the_local_date_of_the_schedule_time():
    at_us = parse_time("2024-01-03T02:00:00Z")  # the evening before in New York
    cond = {"type": "not_before", "daytime": "22:00", "tz": "America/New_York"}
    assert bound(cond, at_us=at_us) == (BoundNotBefore(at_us=parse_time("2024-01-03T03:00:00Z")),)
    [later] = bound(cond | {"date_shift": 1}, at_us=at_us)
    assert later.at_us == parse_time("2024-01-04T03:00:00Z")


def test_a_daytime_that_the_clocks_leap_over_is_taken_by_the_old_offset():
    at_us = parse_time("2024-03-31T00:00:00Z")
    cond = {"type": "not_before", "daytime": "02:30", "tz": "Europe/Berlin"}
    assert bound(cond, at_us=at_us)[0].at_us == parse_time("2024-03-31T01:30:00Z")


def test_a_window_of_a_calendar_from_a_file_is_bound_with_its_days():
    days = (date(2024, 1, 2), date(2024, 1, 5), date(2024, 1, 9))
    calendar = FileCalendar("trading", date(2024, 1, 1), date(2024, 2, 1), days)
    cond = {"type": "time_window", "from": "9:00", "to": "10:00", "tz": "UTC"}
    named = cond | {"calendar": "trading"}
    [window] = bound(named, calendars={"trading": calendar})
    assert window.days == ("2024-01-02", "2024-01-05", "2024-01-09")
    assert window_at(window, NOON_US) == (False, parse_time("2024-01-05T09:00:00Z"))
    assert window_at(window, parse_time("2024-01-09T12:00:00Z")) == (False, None)
    assert needs_templates(a_job(named))
    assert not needs_templates(a_job(cond))


def test_exist_true_names_all_states_that_lead_there():
    [one] = bound(DEP | {"exist": True})
    assert one.exist == (
        S.SCHEDULED, S.WAITING, S.STARTING, S.RUNNING, S.STOPPING, S.SUCCESS,
    )  # fmt: skip
    # As in Apsis: all but success and failure, since a skipped run may still become an error.
    reaching = reachable_from(frozenset({S.ERROR}))
    assert frozenset(State) - reaching == {S.SUCCESS, S.FAILURE, S.LOST}


# --- judging ------------------------------------------------------------------------------------


def test_a_constant_is_what_it_says_and_never_final():
    assert verdict({"type": "const", "value": True}).met
    false = verdict({"type": "const", "value": False})
    assert (false.met, false.final) == (False, False)


@pytest.mark.parametrize(
    ("states", "met", "final"),
    [
        ({}, False, False),
        ({S.SUCCESS: 1}, True, False),
        ({S.SUCCESS: 1, S.FAILURE: 3}, True, False),
        ({S.FAILURE: 1}, False, False),
        ({S.RUNNING: 1}, False, False),
    ],
)
def test_a_dependency_is_met_by_any_run_of_the_instance(states, met, final):
    found = verdict(DEP, dep=states)
    assert (found.met, found.final) == (met, final)
    assert "dep()" in found.reason


def test_a_lost_run_counts_as_an_error():
    assert verdict(DEP | {"states": "error"}, dep={S.LOST: 1}).met
    assert not verdict(DEP, dep={S.LOST: 1}).met


def test_a_dependency_that_does_not_exist_ends_the_wait():
    cond = DEP | {"exist": ["scheduled", "success"]}
    found = verdict(cond, dep={S.FAILURE: 1})
    assert (found.met, found.final, found.else_state) == (False, True, S.ERROR)
    assert found.reason == "no dependency dep() exists in scheduled|success"
    assert not verdict(cond, dep={S.SCHEDULED: 1}).final


def test_not_before_is_met_for_ever_once_it_has_come():
    cond = {"type": "not_before", "time": "2024-01-03T12:00:00Z"}
    before = verdict(cond, NOON_US - 1)
    assert (before.met, before.final, before.next_us) == (False, False, NOON_US)
    assert verdict(cond, NOON_US).final
    assert "2024-01-03T12:00:00+00:00 is to come" in before.reason


def test_not_after_ends_the_wait_in_the_state_it_names():
    cond = {"type": "not_after", "time": "2024-01-03T12:00:00Z"}
    assert verdict(cond, NOON_US).met
    after = verdict(cond, NOON_US + 1)
    assert (after.met, after.final, after.else_state) == (False, True, S.SKIPPED)
    assert verdict(cond | {"else_state": "error"}, NOON_US + 1).else_state is S.ERROR


WINDOWS = [
    ("2024-01-03T08:59:59Z", False, "2024-01-03T09:00:00Z"),
    ("2024-01-03T09:00:00Z", True, "2024-01-03T17:00:00Z"),
    ("2024-01-03T17:00:00Z", False, "2024-01-04T09:00:00Z"),
    ("2024-01-05T18:00:00Z", False, "2024-01-08T09:00:00Z"),
]


@pytest.mark.parametrize(("now", "is_open", "change"), WINDOWS)
def test_a_window_is_open_between_its_daytimes_on_its_days(now, is_open, change):
    window = BoundTimeWindow(start_s=9 * 3600, end_s=17 * 3600, tz="UTC", calendar="Mon-Fri")
    assert window_at(window, parse_time(now)) == (is_open, parse_time(change))


def test_a_window_may_reach_into_the_next_day():
    window = BoundTimeWindow(start_s=22 * 3600, end_s=6 * 3600, tz="UTC", calendar="Fri")
    assert window_at(window, parse_time("2024-01-06T05:59:00Z"))[0]
    assert not window_at(window, parse_time("2024-01-05T05:59:00Z"))[0]
    closed = window_at(window, parse_time("2024-01-06T06:00:00Z"))
    assert closed == (False, parse_time("2024-01-12T22:00:00Z"))


def test_a_window_without_days_ends_the_wait():
    window = BoundTimeWindow(start_s=0, end_s=60, tz="UTC", calendar="none")
    found = judge(window, World(), NOON_US)
    assert (found.met, found.final) == (False, True)


PAST = {"type": "not_after", "time": "2024-01-01T00:00:00Z"}
COMING = {"type": "not_before", "time": "2024-01-03T13:00:00Z"}
TRUE = {"type": "const", "value": True}
FALSE = {"type": "const", "value": False}


@pytest.mark.parametrize(
    ("cond", "met", "final"),
    [
        ({"all": [TRUE, TRUE]}, True, False),
        ({"all": [TRUE, FALSE]}, False, False),
        ({"any": [FALSE, TRUE]}, True, False),
        ({"any": [FALSE, FALSE]}, False, False),
        ({"any": [FALSE, PAST]}, False, False),
        ({"any": [PAST, PAST]}, False, True),
        ({"any": [COMING, FALSE]}, False, False),
        ({"not": FALSE}, True, False),
        ({"not": TRUE}, False, False),
        ({"not": PAST}, True, True),
        ({"not": {"not": PAST}}, False, True),
        ({"not": {"any": [FALSE, {"all": [TRUE, DEP]}]}}, True, False),
        ({"any": [{"not": DEP}, FALSE]}, True, False),
    ],
    ids=str,
)
def test_composition_follows_logic(cond, met, final):
    found = verdict(cond)
    assert (found.met, found.final) == (met, final)
    assert found.reason


def test_a_composed_condition_is_looked_at_again_when_its_first_time_comes():
    found = verdict({"any": [{"all": [COMING, FALSE]}, COMING, FALSE]})
    assert found.next_us == parse_time("2024-01-03T13:00:00Z")


def test_dependencies_are_found_however_deep_they_are():
    conds = bound({"any": [{"not": DEP}, {"all": [DEP, TRUE]}]})
    assert [one.job_id for one in dependencies(conds)] == ["dep", "dep"]


# --- telling ------------------------------------------------------------------------------------


def a_run(*conds):
    return Run(run_id="r7", job_id="a", args={}, state=S.WAITING, schedule_us=NOON_US, conds=conds)


def test_every_condition_of_a_waiting_run_is_told_with_what_it_waits_for():
    run = a_run(
        *bound(DEP, {"type": "max_running"}, {"type": "skip_duplicate"}, {"any": [COMING, FALSE]})
    )
    world = World(dep={S.RUNNING: 1}, a={S.WAITING: 2, S.RUNNING: 1})
    assert [(one.met, one.reason) for one in wanted(run, world, NOON_US)] == [
        (False, "no run of dep() is success: its runs are running"),
        (False, "1 of 1 starting or running"),
        (False, "another run of the instance is waiting|running"),
        (False, "2024-01-03T13:00:00+00:00 is to come; is false"),
    ]
    alone = World(a={S.WAITING: 1}, dep={S.SUCCESS: 1})
    assert [one.met for one in wanted(run, alone, NOON_US)] == [True, True, True, False]


def test_a_pool_is_told_with_what_is_taken_of_it():
    run = a_run(BoundPool(name="db", weight=2), BoundPool(name="gone"))
    [db, gone] = wanted(run, World(pools={"db": (3, 4)}), NOON_US)
    assert (db.condition, db.met, db.reason) == ("pool db has room for 2", False, "3 of 4 taken")
    assert (gone.met, gone.reason) == (False, "the settings have no pool gone")
    assert condition_jso(run.conds[0])["weight"] == 2


def test_bound_conditions_are_shown_as_json_with_their_words():
    conds = bound(
        {"any": [DEP, {"not": COMING}]},
        PAST,
        {"type": "time_window", "from": "09:00", "to": "17:00", "tz": "UTC", "calendar": "Mon"},
        {"all": [DEP, TRUE]},
    )
    shown = run_full_jso(a_run(*conds))["conds"]
    assert [one["str"] for one in shown] == [
        "any of (dependency dep() is success; not (not before 2024-01-03T13:00:00+00:00))",
        "not after 2024-01-01T00:00:00+00:00",
        "from 09:00:00 to 17:00:00 UTC on Mon",
        "all of (dependency dep() is success; constant True)",
    ]
    assert shown[0]["conditions"][1]["condition"]["type"] == "not_before"
    assert shown[1]["else_state"] == "skipped"
    assert run_full_jso(a_run(*conds))["dependencies"] == [["dep", {}], ["dep", {}]]


def test_a_bound_not_is_shown_with_its_condition():
    shown = condition_jso(BoundNot(condition=BoundAny(conditions=(BoundConst(value=True),))))
    assert shown["condition"]["conditions"] == [
        {"type": "const", "value": True, "str": "constant True"}
    ]


def test_moments_of_a_job_are_told_as_written():
    told = [
        condition_words(a_job(form).conditions[0])
        for form in (
            {"type": "not_before", "daytime": "09:00", "tz": "UTC", "date_shift": 1},
            {"type": "not_after", "time": "{{ date }}T09:00:00Z"},
            {"type": "time_window", "from": "09:00", "to": "17:00", "tz": "UTC"},
        )
    ]
    assert told == [
        "not before 09:00:00 +1 days UTC",
        "not after {{ date }}T09:00:00Z",
        "from 09:00:00 to 17:00:00 UTC",
    ]
