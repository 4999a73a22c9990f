"""The job definitions the scheduler works with: which are in force, and their bodies.

A body is read from the store by its hash when it is first needed, so that a start with many
unchanged jobs decodes none of them; the bodies used last are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from ..jobs.conditions import leaves
from ..jobs.job import Job
from ..jobs.named_calendars import ANY, calendars_of
from ..store.interface import Reader

KEPT_BODIES = 20_000


class Definitions:
    """Jobs in force by id, and ad hoc jobs of the store by exact id."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._bodies: OrderedDict[str, Job] = OrderedDict()
        self.in_force: dict[str, str] = {}

    def keep(self, hash_: str, job: Job) -> None:
        """Keep a body that was sent, whether it is in force yet or not."""
        self._bodies[hash_] = job
        self._bodies.move_to_end(hash_)
        if len(self._bodies) > KEPT_BODIES:
            self._bodies.popitem(last=False)

    def body(self, hash_: str) -> Job | None:
        """Return the body of a definition, None when nobody knows it."""
        job = self._bodies.get(hash_)
        if job is not None:
            self._bodies.move_to_end(hash_)
            return job
        job = self._reader.definition(hash_)
        if job is not None:
            self.keep(hash_, job)
        return job

    def find(self, job_id: str) -> tuple[str, Job] | None:
        """Return hash and body of a job in force or of an ad hoc job, None when there is none."""
        hash_ = self.in_force.get(job_id) or self._reader.ad_hoc_job(job_id)
        job = self.body(hash_) if hash_ else None
        return (hash_, job) if hash_ and job is not None else None

    def params_of(self, job: Job) -> Mapping[str, tuple[str, ...]]:
        """Return the params of the jobs that a job's dependencies name; unknown ones are absent."""
        params = {}
        for cond in leaves(job.conditions):
            job_id = getattr(cond, "job_id", None)
            if job_id is not None and job_id not in params:
                found = self.find(job_id)
                if found is not None:
                    params[job_id] = found[1].params
        return params

    def defaults_of(self, job_ids: Iterable[str]) -> dict[str, dict[str, str]]:
        """Return the defaults of params by job id and name; jobs that have none are absent."""
        defaults = {}
        for job_id in job_ids:
            found = self.find(job_id)
            specs = {} if found is None else found[1].param_specs
            given = {name: spec.default for name, spec in specs.items() if spec.default is not None}
            if given:
                defaults[job_id] = given
        return defaults

    def using(self, calendars: set[str]) -> set[str]:
        """Return the jobs in force that use one of these calendars, or may."""
        found: set[str] = set()
        for job_id, hash_ in self.in_force.items() if calendars else ():
            job = self.body(hash_)
            if job is not None and calendars_of(job) & {*calendars, ANY}:
                found.add(job_id)
        return found

    def certain_body(self, hash_: str) -> Job:
        """Return the body of a definition that was loaded or stored.

        Raises:
            LookupError: it is nowhere; the load that named it is to be done anew.
        """
        job = self.body(hash_)
        if job is None:
            raise LookupError(f"definition {hash_}: neither loaded nor stored")
        return job
