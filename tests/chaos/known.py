"""What the judge of chaos counts again and again in a history. Nothing here is callsheet's own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from history import History, Outcome, Run, Said, Word

OVER = {"success", "failure", "error", "skipped", "lost"}


RAN = {"success", "failure"}
# What is said of what has been bound or read in vain so often.
TOO_MUCH = "more memory than allowed"
BINDINGS, READINGS = 2, 3


class Known:
    """A history, and what is found in it again and again."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.plan = history.plan
        self.runs = {run.run_id: run for run in history.runs}
        self.starts: dict[tuple[str, int], list[Word]] = {}
        self.ends: dict[tuple[str, int], list[Word]] = {}
        for word in history.words:
            of = self.starts if word.what == "start" else self.ends
            of.setdefault((word.run_id, word.attempt), []).append(word)
        self.by_key: dict[tuple[str, str], list[Run]] = {}
        for run in history.runs:
            self.by_key.setdefault((run.job, run.key), []).append(run)
        self.hit = {one for blow in history.blows for one in blow.hit}

    def binder_deaths(self, from_s: float, to_s: float) -> int:
        """Return how many binders died in a span."""
        return sum(
            "binder" in blow.victim and from_s <= blow.until_s and blow.at_s <= to_s
            for blow in self.history.blows
        )

    def is_hit(self, run_id: str, attempt: int) -> bool:
        """Whether that which knew the outcome of an attempt was destroyed."""
        return f"{run_id}.{attempt}" in self.hit


def at_once(known: Known, job: str) -> Iterator[tuple[int, str, float]]:
    """Yield how many runs of a job ran as each of them began, which one, and when."""
    steps = []
    for (run_id, attempt), starts in known.starts.items():
        if starts[0].job == job:
            ends = known.ends.get((run_id, attempt))
            # One that was stopped wrote no end, and what became of one that was hit nobody knew
            # when its place was given to another: they count for no time.
            short = not ends or known.is_hit(run_id, attempt)
            steps.append((starts[0].at_s, 1, run_id))
            steps.append((starts[0].at_s if short else ends[0].at_s, -1, run_id))
    running = 0
    for at_s, step, run_id in sorted(steps):
        running += step
        if step > 0:
            yield running, run_id, at_s


def met_blows(history: History) -> int:
    """Return how many runs were due while there were blows."""
    if not history.blows:
        return 0
    from_s = min(blow.at_s for blow in history.blows)
    until_s = max(blow.until_s for blow in history.blows)
    return sum(from_s <= run.due_s <= until_s for run in history.runs)


def met_full(known: Known) -> int:
    """Return how many runs began as the last that may at once: only then has C8 seen anything."""
    return sum(
        running >= most
        for job, most in known.plan.most.items()
        for running, _, _ in at_once(known, job)
    )


def met_starting(history: History) -> int:
    """Return how many blows came while some run was starting."""
    began = [(one.at_s, after.at_s) for run in history.runs for one, after in _moves(run)]
    return sum(any(a <= blow.at_s <= b for a, b in began) for blow in history.blows)


def _moves(run: Run) -> Iterator[tuple[Said, Said]]:
    moves = [said for said in run.log if said.kind == "moved"]
    for said, after in pairwise(moves):
        if said.state == "starting":
            yield said, after


def compared(known: Known) -> Iterator[tuple[Run, Outcome | None]]:
    """Yield each run that somebody asked for and what became of the same without trouble; nothing
    where there was no such spell."""
    if not known.history.calm:
        return
    for target in known.history.targets:
        run = known.runs.get(target.run_id or "")
        if run is not None:
            yield run, known.history.calm.get(f"{run.job} {run.key}")


def excused(known: Known, run: Run) -> bool:
    """Whether a run may be lost, or was not even bound."""
    if run.state == "lost":
        return any(known.is_hit(run.run_id, n) for n, *_ in run.attempts)
    return unbound(known, run)


def unbound(known: Known, run: Run) -> bool:
    """Whether the binder died twice at a run: it is then thought that the run kills it, which is
    said, and it never begins."""
    said = run.state == "error" and not run.attempts and TOO_MUCH in run.reason
    return said and known.binder_deaths(run.due_s, run.log[-1].at_s) >= BINDINGS


def met_equal(known: Known) -> int:
    """Return how many runs ended just as the same do without trouble."""
    return sum(run.outcome == calm for run, calm in compared(known))
