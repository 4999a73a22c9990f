"""Binding one run as the scheduler and the binder ask for it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from ..jobs.actions import Action
from ..jobs.binding import full_args, new_run
from ..jobs.calendars import Calendar
from ..jobs.condition_rules import ConditionRules
from ..jobs.deadlines import due_of
from ..jobs.errors import UserError
from ..jobs.job import Job
from ..jobs.params import ParamSpec
from ..jobs.programs import NoOp, TimeoutSpec
from ..jobs.run import NewRun
from ..messages.binding import BindOne


def too_much(job_id: str) -> str:
    """Return what is said of a run whose binding had to be ended."""
    return f"binding job {job_id}: took longer than 1 s or more memory than allowed"


def died_twice(job_id: str) -> str:
    """Return what is said of a run at which the binder has died twice; why, nobody saw."""
    why = "takes longer than 1 s or more memory than allowed, or something else has killed it"
    return f"binding job {job_id}: the binder died at it twice: it {why}"


def bind_one(
    item: BindOne,
    calendars: Mapping[str, Calendar],
    default_timeout: TimeoutSpec | None = None,
    actions: tuple[Action, ...] = (),
    rules: ConditionRules | None = None,
) -> NewRun:
    """Return the run, bound, or with the error that binding met.

    `default_timeout` is for programs that name none, `actions` are those every run has besides its
    job's own, `rules` what the settings say of conditions. Of the jobs its dependencies name only
    the params and their defaults matter, which the item carries.
    """

    def find_job(job_id: str) -> Job | None:
        params = item.params_of.get(job_id)
        if params is None:
            return None
        defaults = item.defaults_of.get(job_id, {})
        specs = {name: ParamSpec(default=default) for name, default in defaults.items()}
        return Job(job_id=job_id, params=params, program=NoOp(), param_specs=specs)

    try:
        run = new_run(
            item.job,
            item.definition,
            item.run_id,
            item.args,
            item.schedule_us,
            find_job,
            calendars,
            default_timeout=default_timeout,
            rules=rules,
            fingerprint=item.fingerprint,
            stop_us=item.stop_us,
            rerun_of=item.rerun_of,
            rerun_root=item.rerun_root,
            note=item.note,
            source_results=item.source_results,
            not_before_us=item.not_before_us,
        )
        return replace(run, actions=(*run.actions, *actions)) if actions else run
    except (UserError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        return failed_run(item, f"{type(error).__name__}: {error}", actions)


def failed_run(item: BindOne, sentence: str, actions: tuple[Action, ...] = ()) -> NewRun:
    """Return a run that could not be bound: it will be created in error with this sentence.

    `actions` are those every run has besides its job's own: somebody may wait for just this.
    """
    return NewRun(
        run_id=item.run_id,
        job_id=item.job.job_id,
        args=full_args(item.job, item.args),
        schedule_us=item.schedule_us,
        fingerprint=item.fingerprint,
        definition=item.definition,
        stop_us=item.stop_us,
        labels=item.job.labels,
        owner=item.job.owner,
        actions=(*item.job.actions, *actions),
        due=due_of(item.job.deadline, item.schedule_us),
        rerun_of=item.rerun_of,
        rerun_root=item.rerun_root,
        ad_hoc=item.job.ad_hoc,
        priority=item.job.priority,
        error=sentence,
        note=item.note,
        source_results=item.source_results,
    )
