"""What the values of a job file's keys look like, as JSON Schema: one table per part.

Which keys a part has is not said here: `job_schema.py` asks the readers. A key without a row may
hold anything, so the schema never refuses what the reader takes; `tests/jobs/test_job_schema.py`
names the keys that lack their row. **A new key gets its row in the table of its part below; a new
part its table here and its row in `job_keys.PARTS`.** A row may be wider than the reader, never
narrower: what is beyond a pattern (zones that exist, states that fit) is the reader's to say.
"""

from __future__ import annotations

from typing import Any

from .blackout_rules import POLICIES
from .deadlines import KINDS
from .params import TYPES
from .parse_actions import SCOPES
from .parse_launch import SECRET_NAME
from .parse_limits import (
    CPU_AT_LEAST,
    CPU_AT_MOST,
    MEMORY_AT_LEAST,
    MEMORY_AT_MOST,
    PIDS_AT_MOST,
)
from .parse_limits import SIZE as MEMORY_SIZE
from .parse_output import SIZE as OUTPUT_SIZE
from .parse_polled import METHODS
from .programs import ENV_MODES, LIMIT_POLICIES, STREAMS, ULIMITS
from .retry import ATTEMPTS_AT_MOST, FACTOR_AT_MOST, RETRIABLE
from .states import FINISHED, State

Shape = dict[str, Any]

# --- values -------------------------------------------------------------------------------------

_NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"
_UNIT = "s|sec|second|seconds|m|min|minute|minutes|h|hour|hours|d|day|days"
_TEMPLATE: Shape = {"type": "string", "pattern": r"\{[{%#]"}

TEXT: Shape = {"type": "string"}
FILLED: Shape = {"type": "string", "minLength": 1}
FLAG: Shape = {"type": "boolean"}
WHOLE: Shape = {"type": "integer"}
WORD: Shape = {"type": ["string", "number", "boolean"]}
ARGS: Shape = {"type": "object", "additionalProperties": WORD}
DURATION: Shape = {
    "type": ["number", "string"],
    "pattern": rf"^\s*({_NUMBER}\s*({_UNIT})?|(\d+(\.\d*)?[dhms])+)\s*$",
}
DAYTIME: Shape = {"type": ["number", "string"], "pattern": r"^\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?$"}
DATE: Shape = {"type": ["integer", "string"], "pattern": r"^(\d{4}-?\d{2}-?\d{2}|MIN|MAX)$"}
TIME: Shape = {"type": "string", "pattern": r"^\d{4}-?\d{2}-?\d{2}[T ]\d{2}:?\d{2}.*(Z|\d)$"}
ENABLED: Shape = {"type": ["boolean", "string"]}
COUNT: Shape = {"type": ["integer", "string"]}
SIGNAL: Shape = {"type": ["string", "integer"]}
STATE: Shape = {"enum": [state.value for state in State if state is not State.LOST]}
END_STATE: Shape = {
    "enum": [state.value for state in State if state in FINISHED and state is not State.LOST]
}


def any_of(*shapes: Shape) -> Shape:
    """Return the shape of what has one of the shapes."""
    return {"anyOf": list(shapes)}


def many(shape: Shape) -> Shape:
    """Return the shape of one item or a list of items."""
    return any_of(shape, {"type": "array", "items": shape})


def some(shape: Shape) -> Shape:
    """Return the shape of one item or a list of at least one."""
    return any_of(shape, {"type": "array", "items": shape, "minItems": 1})


def template_or(shape: Shape) -> Shape:
    """Return the shape of a value that may also be made by a template."""
    return any_of(shape, _TEMPLATE)


def ref(name: str) -> Shape:
    """Return the shape that is defined under a name."""
    return {"$ref": f"#/$defs/{name}"}


def mapping(**shapes: Shape) -> Shape:
    """Return the shape of a mapping of these keys; those its reader takes besides are added."""
    return {"type": "object", "properties": shapes, "additionalProperties": False}


def said(shape: Shape, description: str) -> Shape:
    """Return a shape with what it is for, which editors show."""
    return {**shape, "description": description}


ZONE = said(FILLED, "The IANA name of a time zone, such as Europe/Berlin.")
CALENDAR = said(FILLED, "all, none, weekdays like Mon-Fri, or the name of a calendar.")
JOB_ID = said(FILLED, "The ID of a job: its path in the job folder without .yaml.")
_DAY_POINT = any_of(DAYTIME, mapping(daytime=DAYTIME, date_shift=WHOLE, cal_shift=WHOLE))
_LIMIT = any_of(template_or(DURATION), mapping(duration=template_or(DURATION), signal=SIGNAL))
_MOMENT = any_of(DURATION, DAYTIME, mapping(daytime=DAYTIME, tz=ZONE))
_ENTRIES = said(ARGS, "Args by name; they win over the automatic ones.")
_SECRET = {"type": ["string", "integer"], "pattern": f"^{SECRET_NAME}$"}
_VARIABLES: Shape = {
    "type": "object",
    "additionalProperties": any_of(WORD, mapping(secret=_SECRET)),
}
_ATTEMPTS = {"type": "integer", "minimum": 1, "maximum": ATTEMPTS_AT_MOST}
_EXIT_CODE = {"type": "integer", "minimum": 1, "maximum": 255}
_MEMORY: Shape = any_of(
    {"type": "integer", "minimum": MEMORY_AT_LEAST, "maximum": MEMORY_AT_MOST},
    {"type": "string", "pattern": f"^{MEMORY_SIZE}$"},
)
_CPUS = {"type": "number", "minimum": CPU_AT_LEAST, "maximum": CPU_AT_MOST}
_CHOICE = {"type": "array", "items": WORD, "minItems": 1}

# --- parts --------------------------------------------------------------------------------------

PARAM: Shape = any_of(
    {"type": "null"},
    {"enum": [name for name in TYPES if name not in ("choice", "regex")]},
    _CHOICE,
    mapping(
        type={"enum": list(TYPES)},
        default=said(WORD, "What the arg is when none is given."),
        description=TEXT,
        choices=some(WORD),
        pattern=said(FILLED, "A regular expression the whole arg has to match."),
        min=WORD,
        max=WORD,
    ),
)

JOB: dict[str, Shape] = {
    "job_id": said(FILLED, "The ID the job has by its place; it need not be given."),
    "params": said(
        any_of(many(FILLED), {"type": "object", "additionalProperties": ref("param")}),
        "The names of the args a run has, with what each takes.",
    ),
    "schedule": said(many(ref("schedule entry")), "When runs are made."),
    "program": said(ref("program"), "What a run does."),
    "condition": said(many(ref("condition")), "What a run waits for before it starts."),
    "action": said(many(ref("action")), "What follows when a run enters a state."),
    "successors": said(
        many(any_of(FILLED, mapping(job_id=JOB_ID, args=ARGS))),
        "Jobs of which a run is made after a success.",
    ),
    "metadata": said(
        {"type": "object", "properties": {"description": {}, "labels": many(WORD)}},
        "description (Markdown), labels, and whatever else you like.",
    ),
    "ad_hoc": FLAG,
    "waiting": mapping(max_time=DURATION),
    "deadline": said(
        mapping(start_by=_MOMENT, finish_by=_MOMENT, max_duration=DURATION, tz=ZONE),
        "By when a run is to start and to end, and how long it may take.",
    ),
    "retry": said(
        any_of(
            _ATTEMPTS,
            mapping(
                attempts=_ATTEMPTS,
                backoff=DURATION,
                factor={"type": "number", "minimum": 1, "maximum": FACTOR_AT_MOST},
                max_backoff=DURATION,
                jitter={"type": "number", "minimum": 0, "maximum": 1},
                on=many({"enum": [state.value for state in RETRIABLE]}),
                exit_codes=mapping(retry=many(_EXIT_CODE), fail=many(_EXIT_CODE)),
                on_lost={"enum": ["report", "rerun"]},
            ),
        ),
        "How often a run is tried, after which ends, and how long after them.",
    ),
    "blackouts": said(
        any_of(
            many(FILLED),
            {
                "type": "object",
                "additionalProperties": any_of({"type": "null"}, {"enum": list(POLICIES)}),
            },
        ),
        "Windows of the settings in which nothing runs, or only afterwards.",
    ),
    "results": said(
        any_of(many(FILLED), {"type": "object", "additionalProperties": ref("param")}),
        "What a run has to give back by key=value lines in $CALLSHEET_RESULT.",
    ),
    "priority": said(WHOLE, "The higher, the sooner among runs that may start."),
}

SCHEDULE: dict[str, Shape] = {
    "enabled": FLAG,
    "args": _ENTRIES,
    "tz": ZONE,
    "calendar": CALENDAR,
    "daytime": said(some(DAYTIME), "Local times of day, such as 09:30."),
    "date_shift": said(WHOLE, "Days between the nominal day and the actual one."),
    "cal_shift": said(WHOLE, "Days of the calendar between the nominal day and the actual one."),
    "interval": DURATION,
    "phase": DURATION,
    "start": said(_DAY_POINT, "The local time from which runs are made."),
    "stop": said(_DAY_POINT, "The local time before which runs are made."),
    "times": said(some(TIME), "Instants, such as 2030-01-01T00:00:00Z."),
    "expression": said(FILLED, "Five fields: minute, hour, day, month, weekday; or @daily."),
    "cron": said(FILLED, "The same as expression."),
    "start_date": DATE,
    "end_date": DATE,
    "on_gap": {"enum": ["skip", "before", "after"]},
    "on_fold": {"enum": ["first", "second", "both"]},
    "jitter": DURATION,
    "misfire_after": DURATION,
    "catch_up": {"enum": ["all", "last", "none"]},
    "max_age": DURATION,
}

STOP: dict[str, Shape] = {"duration": DURATION, "daytime": DAYTIME, "tz": ZONE}

_SIZE = any_of({"type": "integer", "minimum": 0}, {"type": "string", "pattern": f"^{OUTPUT_SIZE}$"})
PROGRAM: dict[str, Shape] = {
    "mem_gb": WORD,
    "vcpu": WORD,
    "disk_gb": WORD,
    "role": WORD,
    "task_definition": WORD,
    "duration": template_or(DURATION),
    "success": {"type": ["boolean", "null"]},
    "argv": said({"type": "array", "items": TEXT, "minItems": 1}, "A program and its arguments."),
    "command": said(FILLED, "A command for bash; it may have many lines."),
    "group_id": said(FILLED, "The group of agents that may run it."),
    "sudo_user": said(WORD, "The user it runs as, by sudo."),
    "stop": mapping(signal=SIGNAL, grace_period=any_of(template_or(DURATION), {"type": "null"})),
    "timeout": _LIMIT,
    "resources": mapping(mem_max_gb={"type": "number", "exclusiveMinimum": 0}),
    "cwd": FILLED,
    "env": said(
        any_of(_VARIABLES, mapping(mode={"enum": list(ENV_MODES)}, vars=_VARIABLES)),
        "Variables of its environment, or {secret: NAME}; mode: inherit, clean or login.",
    ),
    "stdin": said(any_of(TEXT, mapping(file=FILLED)), "What it reads: a text, or {file: path}."),
    "ulimits": said(
        mapping(**dict.fromkeys(ULIMITS, any_of(WHOLE, {"const": "unlimited"}))),
        "Its limits: sizes in bytes, cpu in seconds.",
    ),
    "limits": said(
        mapping(
            memory_max=said(_MEMORY, "Bytes, or a size such as 512 MB or 2 GiB."),
            cpu_max=said(_CPUS, "CPUs, such as 1.5."),
            pids_max={"type": "integer", "minimum": 1, "maximum": PIDS_AT_MOST},
            policy={"enum": list(LIMIT_POLICIES)},
        ),
        "What all its processes may use together, held by a cgroup of the agent's host.",
    ),
    "nice": said(WHOLE, "From -20 (goes first) to 19 (goes last)."),
    "umask": said({"type": ["string", "integer"]}, "Octal digits in quotes, such as '027'."),
    "output": said(
        mapping(streams={"enum": list(STREAMS)}, keep=_SIZE),
        "streams: split tells stdout and stderr apart; keep: how much, such as 64M.",
    ),
    "artifacts": said(
        many(any_of(FILLED, mapping(path=FILLED, max_size=_SIZE))),
        "Files below cwd that are kept when it is over, such as logs/*.txt.",
    ),
    "host": said(WORD, "The host it runs on, by ssh from an agent."),
    "user": said(WORD, "The user to log in as there."),
    "port": said(COUNT, "Where its ssh listens."),
    "identity_file": said(FILLED, "The private key, a path on the agent's host."),
    "known_hosts": said(FILLED, "The file of host keys, a path on the agent's host."),
    "call": said({"type": "string", "pattern": ":"}, "A function: package.module:function."),
    "args": said({"type": ["array", "object"]}, "Its arguments, by position or by name."),
    "python": said(FILLED, "The interpreter, a path on the agent's host."),
    "path": said(
        any_of(many(FILLED), {"type": "null"}), "Folders of modules, or the file that is written."
    ),
    "jobs": said(many(FILLED), "Only runs of these jobs, or of jobs in these folders."),
    "labels": said(many(FILLED), "Only runs with one of these labels."),
    "keep": said(COUNT, "The newest so many of each job stay."),
    "age": said(template_or(DURATION), "Runs that last changed longer ago are archived."),
    "count": said(COUNT, "At most so many runs are archived."),
    "chunk_size": said(COUNT, "So many runs are archived at a time."),
    "chunk_sleep": said(template_or(DURATION), "The pause between chunks."),
}

CONDITION: dict[str, Shape] = {
    "enabled": said(ENABLED, "true, false, or a template of one."),
    "value": FLAG,
    "job_id": JOB_ID,
    "args": ARGS,
    "states": some(STATE),
    "exist": any_of(FLAG, some(STATE)),
    "count": COUNT,
    "check_states": many(STATE),
    "target_state": END_STATE,
    "name": FILLED,
    "weight": COUNT,
    "time": template_or(TIME),
    "daytime": template_or(DAYTIME),
    "from": template_or(DAYTIME),
    "to": template_or(DAYTIME),
    "tz": ZONE,
    "date_shift": WHOLE,
    "calendar": CALENDAR,
    "else_state": END_STATE,
    "path": said(FILLED, "An absolute path on the server's host."),
    "exists": said(FLAG, "Whether it is to be there, or absent."),
    "min_size": said(COUNT, "At least so many bytes."),
    "changed_within": template_or(DURATION),
    "older_than": template_or(DURATION),
    "url": said(FILLED, "Of http or https."),
    "method": {"enum": list(METHODS)},
    "status": many({"type": "integer", "minimum": 100, "maximum": 599}),
    "contains": said(FILLED, "A text that is to be in the answer."),
    "argv": {"type": "array", "items": TEXT},
    "command": said(FILLED, "A command for /bin/sh on the server's host."),
    "database": said(FILLED, "An absolute path of a file of SQLite, or a name of the settings."),
    "query": FILLED,
    "timeout": said(template_or(DURATION), "So long one check may take."),
    "poll_interval": said(template_or(DURATION), "So long after a check is the next."),
    "conditions": some(ref("condition")),
    "condition": ref("condition"),
}

ACTION: dict[str, Shape] = {
    "if": said(
        mapping(
            states=many(STATE),
            consecutive={"type": "integer", "minimum": 1},
            per={"enum": list(SCOPES)},
            recovery=FLAG,
            deadline=some({"enum": list(KINDS)}),
        ),
        "The states a run has to come to, a recovery, or deadlines it misses.",
    ),
    "job_id": JOB_ID,
    "args": ARGS,
    "to": said(some(FILLED), "Addresses."),
    "cc": many(FILLED),
    "from": FILLED,
    "subject": TEXT,
    "body": {},
    "url": said(FILLED, "The address, by http or https."),
    "method": said(TEXT, "POST, PUT, PATCH, GET or DELETE."),
    "headers": ARGS,
    "secret": said(FILLED, "The name of the secret by which requests are signed."),
    "argv": said({"type": "array", "items": TEXT, "minItems": 1}, "A program and its arguments."),
    "command": said(FILLED, "A command for the shell; no template."),
    "timeout": DURATION,
    "service": said(FILLED, "The name of a service of the settings."),
    "title": TEXT,
}

# By the names of `job_keys.PARTS`.
SHAPES: dict[str, dict[str, Shape]] = {
    "schedule": SCHEDULE,
    "stop": STOP,
    "program": PROGRAM,
    "condition": CONDITION,
    "action": ACTION,
}
