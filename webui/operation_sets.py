"""The runs an operation is about: found by a query or by their ids, and what the deed comes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from functools import partial
from typing import NotRequired, TypedDict

import msgspec

from ..jobs.run import Run, args_key, run_number
from ..jobs.run_filter import RunFilter
from ..messages.deeds import instruction_of, misplaced
from ..messages.operations import RUNS_AT_MOST, Deed, Target
from ..store.interface import Reader, RunPage
from .downstream import find_downstream
from .gate import reaches, within_reach
from .query import BadQuery, parse_filter
from .records import run_record
from .routing import Problem, Request
from .shapes import RunRecord

PAGE = 1_000
# Of a preview: runs shown whole, kinds of refusals, and jobs.
SAMPLE = 20
KINDS_AT_MOST = 50


class Refusal(TypedDict):
    """Why a deed does not fit `count` runs, with RUN for their ids; `runs`: the first of them."""

    sentence: str
    count: int
    runs: list[str]


class JobCount(TypedDict):
    """How many runs are of a job."""

    job_id: str
    count: int


class NewerThan(TypedDict):
    """A rerun waits for a run of this instance that is newer than a run."""

    job_id: str
    args: dict[str, str]
    newer_than: str


class InOrder(TypedDict):
    """A run that is run again, in its place; `root`: it was asked for by itself."""

    run_id: str
    job_id: str
    args: dict[str, str]
    root: bool
    waits_for: list[NewerThan]


class MadeByActions(TypedDict):
    """A run that the actions of the rerun of `by` make anew."""

    run_id: str
    by: str


class NotOver(TypedDict):
    """A run that is not over, and takes the new result of `after` by itself."""

    run_id: str
    after: str


class DownstreamSet(TypedDict):
    """What is run again with some runs, in order."""

    order: list[InOrder]
    made_by_actions: list[MadeByActions]
    not_over: list[NotOver]


class FoundSet(TypedDict):
    """`count` runs; the deed `fits` so many as they are now, and is `refused` for the others."""

    count: int
    fits: int
    refused: int
    refusals: list[Refusal]
    states: dict[str, int]
    jobs: list[JobCount]
    job_count: int
    sample: list[RunRecord]
    missing: list[str]
    downstream: NotRequired[DownstreamSet]


class Found(msgspec.Struct, kw_only=True):
    """A set of runs and what a deed comes to in it."""

    targets: list[Target] = []
    states: Counter[str] = msgspec.field(default_factory=Counter)
    jobs: Counter[str] = msgspec.field(default_factory=Counter)
    refusals: dict[str, list[str]] = {}
    sample: list[RunRecord] = []
    missing: list[str] = []
    downstream: DownstreamSet | None = None

    def add(self, run: Run, target: Target, refusal: str | None) -> None:
        """Count a run in."""
        self.targets.append(target)
        self.states[run.state.value] += 1
        self.jobs[run.job_id] += 1
        if len(self.sample) < SAMPLE:
            self.sample.append(run_record(run))
        if refusal is not None:
            self.refusals.setdefault(refusal, []).append(run.run_id)

    def page(self) -> FoundSet:
        """Return it as JSON."""
        refused = sum(map(len, self.refusals.values()))
        kinds = sorted(self.refusals.items(), key=lambda item: -len(item[1]))
        page: FoundSet = {
            "count": len(self.targets),
            "fits": len(self.targets) - refused,
            "refused": refused,
            "refusals": [
                {"sentence": sentence, "count": len(ids), "runs": ids[:SAMPLE]}
                for sentence, ids in kinds[:KINDS_AT_MOST]
            ],
            "states": dict(self.states),
            "jobs": [
                {"job_id": job_id, "count": count}
                for job_id, count in self.jobs.most_common(KINDS_AT_MOST)
            ],
            "job_count": len(self.jobs),
            "sample": self.sample,
            "missing": self.missing,
        }
        if self.downstream is not None:
            page["downstream"] = self.downstream
        return page


async def find_set(
    request: Request, deed: Deed, query: str | None, run_ids: list[str], *, downstream: bool
) -> Found:
    """Return the runs of a query, or with these ids, and what a deed comes to in them.

    Raises:
        Problem: 400, the query is not understood, or names too many runs.
    """
    now_us = request.services.now_us()
    judge = _Judge(deed, now_us)
    if downstream:
        return await _with_downstream(request, judge, query, run_ids)
    found = Found()
    known = await request.services.read(judge.know)
    async for runs in _pages(request, query, run_ids, found.missing):
        for run in runs:
            found.add(run, Target(run_id=run.run_id, seen=run.state), judge.refusal(run, known))
    # Oldest first, as they came to be.
    found.targets.sort(key=lambda target: int(target.run_id[1:]))
    return found


async def _with_downstream(
    request: Request, judge: _Judge, query: str | None, run_ids: list[str]
) -> Found:
    found = Found()
    roots = [run async for runs in _pages(request, query, run_ids, found.missing) for run in runs]
    known = await request.services.read(judge.know)
    plan = await request.services.read(lambda reader: find_downstream(reader, roots))
    own = {run.run_id for run in roots}
    out_of_reach: set[tuple[str, str]] = set()
    for target in plan.targets:
        run = plan.runs[target.run_id]
        follows = {(one.job_id, args_key(one.args)) for one in target.after}
        if reaches(request.guest, run.labels) and out_of_reach.isdisjoint(follows):
            found.add(run, target, judge.refusal(run, known))
        else:
            # What follows it would wait for what is not run again.
            out_of_reach.add((run.job_id, run.args_key))
    found.downstream = {
        "order": [
            {
                "run_id": target.run_id,
                "job_id": plan.runs[target.run_id].job_id,
                "args": plan.runs[target.run_id].args,
                "root": target.run_id in own,
                "waits_for": [
                    {"job_id": one.job_id, "args": one.args, "newer_than": f"r{one.number}"}
                    for one in target.after
                ],
            }
            for target in found.targets
        ],
        "made_by_actions": [
            {"run_id": run_id, "by": by} for run_id, by in sorted(plan.caused.items())
        ],
        "not_over": [{"run_id": run_id, "after": by} for run_id, by in sorted(plan.coming.items())],
    }
    return found


async def _pages(
    request: Request, query: str | None, run_ids: list[str], missing: list[str]
) -> AsyncIterator[list[Run]]:
    """Yield lists of runs; ids of no run within reach are added to `missing`."""
    services = request.services
    if query is None:
        for begin in range(0, len(run_ids), PAGE):
            some = run_ids[begin : begin + PAGE]
            good = [run_id for run_id in some if run_number(run_id) is not None]
            runs = await services.read(partial(_runs, good))
            runs = [run for run in runs if reaches(request.guest, run.labels)]
            here = {run.run_id for run in runs}
            missing += [run_id for run_id in some if run_id not in here]
            yield runs
        return
    try:
        wanted = within_reach(request.guest, parse_filter({"q": [query]}, services.now_us()))
    except BadQuery as error:
        raise Problem(400, str(error)) from None
    before: int | None = None
    count = 0
    while True:
        page = await services.read(partial(_page, wanted, before))
        count += len(page.runs)
        if count > RUNS_AT_MOST:
            sentence = f"the query means more than {RUNS_AT_MOST} runs: expected fewer: narrow it"
            raise Problem(400, sentence)
        yield page.runs
        if page.before is None:
            return
        before = page.before


def _runs(run_ids: list[str], reader: Reader) -> list[Run]:
    return reader.runs(run_ids)


def _page(wanted: RunFilter, before: int | None, reader: Reader) -> RunPage:
    return reader.find(wanted, before=before, limit=PAGE)


class _Judge:
    """Says what a deed comes to for one run."""

    def __init__(self, deed: Deed, now_us: int) -> None:
        self._deed = deed
        self._now_us = now_us

    def know(self, reader: Reader) -> Iterable[str]:
        """Return the jobs there are, as far as that matters."""
        return reader.jobs().keys() if self._deed.verb == "rerun" else ()

    def refusal(self, run: Run, jobs: Iterable[str]) -> str | None:
        """Return why the deed does not fit a run, with `RUN` for its id; None when it does."""
        deed = self._deed
        if deed.verb == "rerun":
            if deed.stored:
                return "RUN was bound to no definition" if run.definition is None else None
            gone = run.job_id not in jobs and not run.ad_hoc
            return f"unknown job {run.job_id}: expected definition: stored" if gone else None
        wrong = misplaced(instruction_of(deed, run.run_id), run, self._now_us)
        if wrong is None:
            return None
        words = wrong.sentence.split(" ")
        return " ".join(
            word.replace(run.run_id, "RUN") if word.rstrip(":") == run.run_id else word
            for word in words
        )
