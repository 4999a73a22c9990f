"""Binding: a job's templates filled with a run's args, once and for ever.

A bound run never changes, whatever becomes of the job file.
"""

from __future__ import annotations

import signal as signals
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from . import registry
from .actions import Action
from .bind_conditions import ConditionBinder, condition_texts, needs_calendar
from .bound_conditions import BoundCondition
from .calendars import Calendar
from .condition_rules import ConditionRules
from .data_texts import texts_in, with_texts
from .deadlines import due_of
from .errors import UserError
from .internal_programs import Internal, bind_internal, internal_texts
from .job import Job
from .params import needs_limits, why_not, with_defaults
from .parse_ecs import ecs_texts
from .parse_launch import bound_launch, launch_texts
from .parse_output import bound_output, output_texts
from .parse_own_programs import near_launch, own_texts, python_argv, ssh_argv
from .programs import (
    NO_ECS,
    BoundNoOp,
    BoundProcess,
    BoundProgram,
    Ecs,
    ExtensionProgram,
    Launch,
    NoOp,
    OnAgent,
    Process,
    PythonCall,
    Shell,
    Ssh,
    StopSpec,
    TimeoutSpec,
)
from .results import GivenResults
from .run import NewRun
from .schedules import Fire
from .templates import builtins, expand, is_template
from .times import parse_duration

BASH = "/usr/bin/bash"
BYTES_PER_GB = 10**9

FindJob = Callable[[str], Job | None]


class BindingError(UserError):
    """A run cannot be bound: its args do not fit, or a template or what it names is wrong."""


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """What binding gives."""

    program: BoundProgram
    conds: tuple[BoundCondition, ...]
    actions: tuple[Action, ...]


# --- args ---------------------------------------------------------------------------------------


def stringify_args(args: Mapping[str, Any]) -> dict[str, str]:
    """Return args as text (`1` → "1", `True` → "True"), sorted by name."""
    return {name: str(args[name]) for name in sorted(args)}


def full_args(job: Job, args: Mapping[str, str]) -> dict[str, str]:
    """Return args with the defaults of the job's params that have none, sorted by name."""
    return with_defaults(job.params, job.param_specs, args)


def check_args(job: Job, args: Mapping[str, str]) -> None:
    """Raise BindingError unless `args` are exactly the job's params, each as its param takes it."""
    missing = sorted(set(job.params) - set(args))
    if missing:
        raise BindingError(f"missing args ({', '.join(missing)}) for job {job.job_id}")
    extra = sorted(set(args) - set(job.params))
    if extra:
        raise BindingError(f"extra args ({', '.join(extra)}) for job {job.job_id}")
    wrong = [
        f"arg {name} of job {job.job_id}: {said}"
        for name, spec in job.param_specs.items()
        if (said := why_not(spec, args[name]))
    ]
    if wrong:
        raise BindingError("; ".join(wrong))


def schedule_args(job: Job, fire: Fire) -> dict[str, str]:
    """Return the args of a nominal run: of the candidates those that are params, and defaults of
    the params left, sorted."""
    args = {name: fire.args[name] for name in job.params if name in fire.args}
    return full_args(job, args)


def propagate_args(
    params: Iterable[str], explicit: Mapping[str, str], source: Mapping[str, str]
) -> dict[str, str]:
    """Return the explicit args, and the source's same-named ones for params that are left open."""
    args = dict(explicit)
    for name in params:
        if name not in args and name in source:
            args[name] = source[name]
    return dict(sorted(args.items()))


# --- binding ------------------------------------------------------------------------------------


def needs_templates(job: Job) -> bool:
    """Whether binding the job is the binder's: a text of it holds a template, args are to be
    matched with a pattern, a calendar is that of a file, or its program's type an extension's."""
    return isinstance(job.program, ExtensionProgram) or (
        needs_limits(job.param_specs) or needs_calendar(job) or any(map(is_template, _texts(job)))
    )


def bind(
    job: Job,
    args: Mapping[str, str],
    run_id: str,
    find_job: FindJob,
    calendars: Mapping[str, Calendar],
    *,
    schedule_us: int,
    default_timeout: TimeoutSpec | None = None,
    rules: ConditionRules | None = None,
    results: Mapping[str, str] | None = None,
) -> Bound:
    """Bind a job to args. `run_id` may be "None" when a job is only checked.

    Args:
        find_job: gives the job of an id, None when there is none.
        schedule_us: the run's schedule time, by which conditions find their day.
        default_timeout: for programs that name no timeout.
        rules: what the settings say of conditions; None: that is not known.
        results: those of the run that this one follows, None when it follows none.
    Raises:
        BindingError: args do not fit, or something in the job cannot be bound.
    """
    check_args(job, args)
    binder = _Binder(job, args, run_id, calendars, results or {})
    conditions = ConditionBinder(job, args, schedule_us, binder.expand, find_job, calendars, rules)
    try:
        return Bound(
            program=binder.program(default_timeout),
            conds=conditions.bind(),
            actions=job.actions,
        )
    except BindingError:
        raise
    except UserError as error:
        raise BindingError(str(error)) from None


def new_run(
    job: Job,
    definition: str,
    run_id: str,
    args: Mapping[str, str],
    schedule_us: int,
    find_job: FindJob,
    calendars: Mapping[str, Calendar],
    *,
    default_timeout: TimeoutSpec | None = None,
    rules: ConditionRules | None = None,
    source_results: Mapping[str, str] | None = None,
    **extra: Any,
) -> NewRun:
    """Return a run of the job, bound; or with the error that binding met. Never raises for it.

    Args that are missing are filled from the defaults of the job's params.

    Args:
        extra: further fields of the run (`fingerprint`, `stop_us`, `rerun_of`, `note` …).
    """
    args = full_args(job, args)
    fields: dict[str, Any] = {
        "run_id": run_id,
        "job_id": job.job_id,
        "args": args,
        "schedule_us": schedule_us,
        "definition": definition,
        "labels": job.labels,
        "owner": job.owner,
        "ad_hoc": job.ad_hoc,
        "priority": job.priority,
        "waiting_max_us": job.waiting_max_us,
        "due": due_of(job.deadline, schedule_us),
        "retry": job.retry,
        "result_specs": job.results,
        "source_results": dict(source_results or {}),
    } | extra
    try:
        bound = bind(
            job,
            args,
            run_id,
            find_job,
            calendars,
            schedule_us=schedule_us,
            default_timeout=default_timeout,
            rules=rules,
            results=source_results,
        )
    except BindingError as error:
        # Somebody may wait to hear of just this.
        return NewRun(**fields, actions=job.actions, error=str(error))
    if isinstance(job.program, Ecs):
        return NewRun(**fields, actions=job.actions, error=NO_ECS)
    return NewRun(**fields, program=bound.program, conds=bound.conds, actions=bound.actions)


def signal_number(text: str) -> int:
    """Return the number of a signal given as `TERM`, `SIGTERM` or `15`.

    Raises:
        UserError: there is no such signal.
    """
    word = text.strip()
    try:
        if word.isascii() and word.isdigit():
            return signals.Signals(int(word)).value
        return signals.Signals[word if word.startswith("SIG") else f"SIG{word}"].value
    except (ValueError, KeyError):
        raise UserError(f"not a signal: {text}") from None


class _Binder:
    """Renders texts for one run of a job, and binds its program."""

    def __init__(
        self,
        job: Job,
        args: Mapping[str, str],
        run_id: str,
        calendars: Mapping[str, Calendar],
        results: Mapping[str, str],
    ) -> None:
        self._job = job
        self._results = GivenResults(results)
        self._args = args
        self._run_id = run_id
        self._calendars = calendars
        self._builtins: dict[str, Any] | None = None

    def expand(self, text: str) -> str:
        """Render a text for the run."""
        if not is_template(text):
            return text
        if self._builtins is None:
            self._builtins = builtins(self._calendars)
        job_id = self._job.job_id
        extra = {"run_id": self._run_id, "job_id": job_id, "results": self._results}
        return expand(text, self._args, extra, self._builtins)

    def _word(self, text: str) -> str:
        """Render an argument: with or without a template it loses a newline at its end."""
        return self.expand(text) if is_template(text) else text.removesuffix("\n")

    # --- programs -------------------------------------------------------------------------------

    def program(self, default_timeout: TimeoutSpec | None) -> BoundProgram:
        """Bind the program."""
        program = self._job.program
        match program:
            case NoOp(duration=None):
                return BoundNoOp(success=program.success)
            case NoOp():
                text = self.expand(program.duration or "")
                return BoundNoOp(
                    duration_us=max(0, parse_duration(text)),
                    duration_text=text,
                    success=program.success,
                )
            case Process():
                argv = tuple(map(self._word, program.argv))
            case Shell():
                argv = (BASH, "-c", self._word(program.command))
            case Ssh():
                return self._ssh(program, default_timeout)
            case PythonCall():
                argv = python_argv(program, self.expand)
            case ExtensionProgram():
                return self._extension(program, default_timeout)
            case Internal():
                return bind_internal(program, self.expand)
            case Ecs():
                for text in ecs_texts(program):
                    self.expand(text)
                return BoundNoOp(success=None)
        return self._process(program, argv, default_timeout)

    def _ssh(self, program: Ssh, default: TimeoutSpec | None) -> BoundProcess:
        # What is for the far side is in its arguments, but for the variables and its stdin.
        near_side = UNSET if program.launch is UNSET else near_launch(program.launch)
        near = replace(
            program,
            sudo_user=None,
            mem_max_gb=None,
            cwd=None,
            umask=None,
            launch=UNSET if near_side == Launch() else near_side,
        )
        return self._process(near, ssh_argv(program, self.expand), default)

    def _extension(self, program: ExtensionProgram, default: TimeoutSpec | None) -> BoundProcess:
        kind = registry.kind_of("program", program.name)
        record = registry.record_of(kind, with_texts(program.data, self.expand))
        made = registry.call(kind, lambda: (tuple(record.argv()), dict(record.env())))
        argv, env = made
        if not argv or not argv[0] or not all(isinstance(word, str) for word in argv):
            raise BindingError(
                f"{kind.words}: argv gave {argv!r}: expected texts, the first filled"
            )
        if not all(isinstance(word, str) for word in (*env, *env.values())):
            raise BindingError(f"{kind.words}: env gave what is no text: expected texts by name")
        bound = self._process(program, argv, default)
        return replace(bound, env=env | bound.env)

    def _process(
        self,
        program: OnAgent,
        argv: tuple[str, ...],
        default: TimeoutSpec | None,
    ) -> BoundProcess:
        if any("\0" in word for word in argv):
            raise BindingError("argv: holds a NUL character: expected none")
        timeout = program.timeout or default
        user = None if program.sudo_user is None else self.expand(program.sudo_user)
        return BoundProcess(
            argv=argv,
            group_id=self.expand(program.group_id),
            sudo_user=user,
            stop_signal=signal_number(self.expand(program.stop.signal)),
            grace_us=self._grace_us(program.stop),
            timeout_us=None if timeout is None else parse_duration(self.expand(timeout.duration)),
            timeout_signal=15 if timeout is None else signal_number(self.expand(timeout.signal)),
            mem_max_bytes=_bytes(program.mem_max_gb),
            cwd=None if program.cwd is None else self.expand(program.cwd),
            env={name: self.expand(value) for name, value in program.env.items()},
            umask=None if program.umask is None else int(program.umask, 8),
            launch=bound_launch(program.launch, self.expand),
            output=bound_output(program.output, self.expand),
        )

    def _grace_us(self, stop: StopSpec) -> int | None:
        if stop.grace_period is None:
            return None
        return max(0, parse_duration(self.expand(stop.grace_period)))


def _bytes(gb: float | None) -> int | None:
    return None if gb is None else round(gb * BYTES_PER_GB)


def _texts(job: Job) -> Iterable[str]:
    """Yield every text of a job that binding renders."""
    program = job.program
    match program:
        case NoOp():
            yield program.duration or ""
        case Process():
            yield from program.argv
        case Shell():
            yield program.command
        case ExtensionProgram():
            yield from texts_in(program.data)
        case Ssh() | PythonCall():
            yield from texts_in(own_texts(program))
        case Internal():
            yield from internal_texts(program)
        case Ecs():
            yield from ecs_texts(program)
    if not isinstance(program, NoOp | Internal | Ecs):
        stop, timeout = program.stop, program.timeout
        yield from (program.group_id, program.sudo_user or "", program.cwd or "", stop.signal)
        yield stop.grace_period or ""
        yield from program.env.values()
        yield from launch_texts(program.launch)
        yield from output_texts(program.output)
        if timeout is not None:
            yield from (timeout.duration, timeout.signal)
    yield from condition_texts(job.conditions)
