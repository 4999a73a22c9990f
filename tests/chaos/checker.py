"""The judge of chaos: was every run started once, in time, and is the truth told of it?

It knows what was due, what the jobs themselves wrote, what trouble was made; and holds against that
what callsheet says. It shares no code with callsheet, so that no mistake is on both sides. The
checks are those of the project's plan for reliability:

C1 missed, C2 duplicate, C3 truth, C4 history, C5 stuck, C6 orphan, C7 late, C8 exclusion,
C9 stream, C10 vacuity, C11 reloads, C12 outcome, C13 stores. Targets and evidence are an idea of
Jepsen's test of Chronos, which lets a run pass that nobody asked for: C2 here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator

from history import Blow, History, Reload, Run
from known import (
    OVER,
    RAN,
    READINGS,
    TOO_MUCH,
    Known,
    at_once,
    compared,
    excused,
    met_equal,
    met_full,
    met_starting,
    unbound,
)

# What may follow what, as the documents say; `waiting` comes again when a run is tried again.
MOVES = {
    "": {"scheduled", "waiting", "error"},
    "scheduled": {"waiting", "starting", "skipped", "error"},
    "waiting": {"scheduled", "starting", "skipped", "error", "success", "failure"},
    "starting": {"running", "waiting", "error", "lost"},
    "running": {"stopping", "waiting", "success", "failure", "error", "lost"},
    "stopping": {"success", "failure", "error", "lost"},
    "lost": {"success", "failure", "error"},
}
Faults = Iterator[str]


def missed(known: Known) -> Faults:
    """C1: what was due has not run, and no decision about it is on record."""
    ran = {(word.job, word.key) for word in known.history.words if word.what == "start"}
    archived = set(known.history.archived.values())
    for target in known.history.targets:
        if not target.needed or (target.job, target.key) in ran:
            continue
        runs = known.by_key.get((target.job, target.key), [])
        if not runs and f"{target.job} {target.key}" not in archived:
            yield f"{target.job} {target.key}: it was due and there is no run"
        for run in runs:
            if run.state == "skipped" and run.reason:
                continue
            if run.job in known.plan.own and run.state == "success":
                continue
            if excused(known, run):
                continue
            yield f"{target.job} {target.key}: {run.run_id} is {run.state} and never began"


def duplicate(known: Known) -> Faults:
    """C2: something ran twice, or nobody asked for it."""
    for (run_id, attempt), starts in known.starts.items():
        if len(starts) > 1:
            yield f"{run_id}: attempt {attempt} began {len(starts)} times"
        if attempt > known.plan.retries.get(starts[0].job, 1):
            yield f"{run_id}: attempt {attempt} is one too many"
        if run_id not in known.runs:
            yield f"{run_id}: it ran and is not known"
        elif (known.runs[run_id].job, known.runs[run_id].key) != (starts[0].job, starts[0].key):
            yield f"{run_id}: it ran as {starts[0].job} {starts[0].key}"
        if attempt > 1 and not _failed(known, run_id, attempt - 1):
            yield f"{run_id}: attempt {attempt} began though the one before it had not failed"
    asked = {(target.job, target.key): target for target in known.history.targets}
    for key, runs in known.by_key.items():
        if key not in asked:
            yield f"{runs[0].run_id}: nobody asked for {' '.join(key)}"
        elif len(runs) > 1:
            yield f"{' '.join(key)}: it has the runs {[run.run_id for run in runs]}"
        elif asked[key].run_id not in {None, runs[0].run_id}:
            yield f"{' '.join(key)}: it was to be {asked[key].run_id} and is {runs[0].run_id}"
    for run_id, count in Counter(run.run_id for run in known.history.runs).items():
        if count > 1:
            yield f"{run_id}: it is told of {count} times"
    kept = Counter(known.history.archived.values())
    for name, count in kept.items():
        if count > 1:
            yield f"{name}: {count} runs of it are archived"
        if tuple(name.split(" ")) not in asked:
            yield f"{name}: nobody asked for what is archived"
    for job, key in known.by_key.keys() & {tuple(name.split(" ")) for name in kept}:
        yield f"{job} {key}: it is archived, and not gone"


def _failed(known: Known, run_id: str, attempt: int) -> bool:
    ends = known.ends.get((run_id, attempt))
    if ends:
        return any(word.code != 0 for word in ends)
    return known.is_hit(run_id, attempt) or run_id in known.plan.stopped


def truth(known: Known) -> Faults:
    """C3: what is told of an end is not what the job itself wrote."""
    for run in known.history.runs:
        if run.job in known.plan.own:
            if run.state not in {"success", "skipped"}:
                yield f"{run.run_id}: {run.state} is told of {run.job}: {run.reason}"
            continue
        yield from (f"{run.run_id}: {fault}" for fault in _untrue(known, run))


def _untrue(known: Known, run: Run) -> Faults:
    last = max((number for number, *_ in run.attempts), default=0)
    if [number for number, *_ in run.attempts] != list(range(1, len(run.attempts) + 1)):
        yield f"its attempts are told as {run.attempts}"
    for number, state, code in run.attempts:
        if state == "lost" and not known.is_hit(run.run_id, number):
            yield f"attempt {number} is told to be lost, and nothing of it was destroyed"
        if state in RAN and (run.run_id, number) not in known.starts:
            yield f"attempt {number} is told to have run: it never began"
        wrote = {word.code for word in known.ends.get((run.run_id, number), ())}
        if code is not None and wrote != {code}:
            yield f"code {code} is told of attempt {number}: it wrote {sorted(wrote)}"
    began = {attempt for run_id, attempt in known.starts if run_id == run.run_id}
    if began - {number for number, *_ in run.attempts}:
        yield f"attempts {sorted(began)} began, {run.attempts} are told"
    if run.state in {"skipped", "error"}:
        if began:
            yield f"{run.state} is told ({run.reason}): it ran"
        elif run.state == "error" and not unbound(known, run):
            yield f"error is told: {run.reason}"
    ends = known.ends.get((run.run_id, last), [])
    if len(ends) > 1:
        yield f"attempt {last} ended {len(ends)} times"
    if run.state in RAN:
        if not ends:
            if run.run_id not in known.plan.stopped or run.signal is None:
                yield f"code {run.code}, signal {run.signal} are told: it wrote no end"
        elif run.code != ends[0].code:
            yield f"code {run.code}, signal {run.signal} are told: it wrote {ends[0].code}"
        elif (run.state == "success") != (ends[0].code == 0):
            yield f"{run.state} is told: it wrote {ends[0].code}"
    elif run.state not in OVER and ends and ends[0].code == 0:
        yield f"{run.state} is told: it wrote that it had ended"


def legal(known: Known) -> Faults:
    """C4: a history that cannot be: moves that there are not, two ends, numbers that go back."""
    for run in known.history.runs:
        yield from (f"{run.run_id}: {fault}" for fault in _illegal(run))
    numbers = Counter(said.seq for run in known.history.runs for said in run.log)
    yield from (f"number {seq} stands {count} times" for seq, count in numbers.items() if count > 1)
    before = (0, 0)
    for heard in known.history.heard:
        at = (heard.epoch, heard.seq)
        if at < before:
            yield f"the stream went from {before} to {at}"
        before = max(before, at)


def _illegal(run: Run) -> Faults:
    state = ""
    moves = [said for said in run.log if said.kind == "moved"]
    for said in moves:
        if said.state not in MOVES.get(state, ()):
            yield f"from {state or 'nothing'} to {said.state}"
        state = said.state
    if state != run.state:
        yield f"it is {run.state}, its log ends with {state or 'nothing'}"
    numbers = [said.seq for said in run.log]
    if numbers != sorted(numbers):
        yield f"its log has the numbers {numbers}"
    if run.version != max(numbers, default=0):
        yield f"its version is {run.version}, its log ends with {max(numbers, default=0)}"
    came = sum(said.state == "running" for said in moves)
    ran = sum(state in RAN for _, state, _ in run.attempts)
    if not ran <= came <= len(run.attempts):
        yield f"{came} times running, attempts {run.attempts}"


def stuck(known: Known) -> Faults:
    """C5: after all has come to rest a run is not over and no process of it lives."""
    live = {one.run_id for one in known.history.live}
    for run in known.history.runs:
        if run.state not in OVER and run.due_s <= known.plan.cut_s and run.run_id not in live:
            yield f"{run.run_id}: it is still {run.state}"


def orphan(known: Known) -> Faults:
    """C6: a process lives whose run is over, or unknown."""
    for one in known.history.live:
        run = known.runs.get(one.run_id)
        if run is None or run.state in OVER:
            state = "unknown" if run is None else run.state
            yield f"{one.run_id}: process {one.pid} lives, its run is {state}"


def late(known: Known) -> Faults:
    """C7: a run began too long after its time, though there was no trouble."""
    allowed_s = known.plan.late_s
    if allowed_s is None:
        return
    bands = Bands(known.history.blows, known.plan.recovery_s)
    due = {(one.job, one.key): one.due_s for one in known.history.targets}
    for word in known.history.words:
        if word.what != "start" or word.attempt > 1 or word.job in known.plan.most:
            continue
        due_s = due.get((word.job, word.key))
        if due_s is not None and word.at_s - due_s > allowed_s and not bands.meet(due_s, word.at_s):
            yield f"{word.run_id}: it began {word.at_s - due_s:.1f} s after its time"


class Bands:
    """The spans in which there was trouble, with the time that is given to recover."""

    def __init__(self, blows: list[Blow], recovery_s: float) -> None:
        self._starts: list[float] = []
        self._ends: list[float] = []
        for blow in sorted(blows, key=lambda one: one.at_s):
            end_s = blow.until_s + recovery_s
            if self._ends and blow.at_s <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end_s)
            else:
                self._starts.append(blow.at_s)
                self._ends.append(end_s)

    def meet(self, from_s: float, to_s: float) -> bool:
        """Whether there was trouble at any time of a span."""
        place = bisect_right(self._starts, to_s) - 1
        return place >= 0 and self._ends[place] >= from_s


def exclusion(known: Known) -> Faults:
    """C8: more runs of a job ran at once than may."""
    for job, most in known.plan.most.items():
        for running, run_id, at_s in at_once(known, job):
            if running > most:
                yield f"{job}: {running} at once when {run_id} began at {at_s:.3f}: {most} may"


def stream(known: Known) -> Faults:
    """C9: who has followed the stream has something else than who asks now."""
    replica = known.history.replica
    for run in known.history.runs:
        have = replica.get(run.run_id)
        if have != (run.version, run.state):
            yield f"{run.run_id}: {(run.version, run.state)}, a subscriber has {have}"
    # Nobody is told that a run was archived.
    for run_id in replica.keys() - known.runs.keys() - known.history.archived.keys():
        yield f"{run_id}: a subscriber has it, and there is no such run"


def vacuity(known: Known) -> Faults:
    """C10: too little happened to prove anything."""
    plan, history = known.plan, known.history
    if len(history.runs) < plan.runs:
        yield f"{len(history.runs)} runs: {plan.runs} were planned"
    counts = Counter(f"{blow.kind} {blow.victim}".strip() for blow in history.blows)
    for kind, least in plan.blows.items():
        if counts[kind] < least:
            yield f"{kind}: {counts[kind]} times, {least} were planned"
    met = met_starting(history)
    if met < plan.starting:
        yield f"{met} blows while something was starting: {plan.starting} were planned"
    full = met_full(known)
    if full < plan.full:
        yield f"{full} runs began as the last that may at once: {plan.full} were planned"
    if not any(known.starts):
        yield "no job wrote anything"
    equal = met_equal(known)
    if equal < plan.equal:
        yield f"{equal} runs ended as they do without trouble: {plan.equal} were planned"
    for name in plan.stores:
        if name not in history.stores:
            yield f"{name}: nobody has looked whether it is sound"


def reloads(known: Known) -> Faults:
    """C11: a broken folder was taken, or changed what is in force; a sound one was refused."""
    for reload in known.history.reloads:
        if reload.taken == reload.broken and not given_up(known, reload):
            word = "was taken" if reload.taken else "was refused"
            yield f"at {reload.at_s:.1f}: a {'broken' if reload.broken else 'sound'} folder {word}"
        if reload.broken and reload.before != reload.after:
            yield f"at {reload.at_s:.1f}: a broken folder changed the jobs"


def outcome(known: Known) -> Faults:
    """C12: a run ended otherwise than the same does where there is no trouble. What may differ: a
    run is lost of which that was destroyed which alone knew its end, or was never bound."""
    for run, calm in compared(known):
        if calm is None:
            yield f"{run.run_id}: {run.job} {run.key} was not asked for without trouble"
        elif run.outcome != calm and not excused(known, run):
            yield f"{run.run_id}: {run.outcome}, without trouble {calm}"


def stores(known: Known) -> Faults:
    """C13: a database, backup or archive is not sound."""
    for name, wrong in known.history.stores.items():
        if wrong:
            yield f"{name}: {wrong}"


def given_up(known: Known, reload: Reload) -> bool:
    """Whether the binder died as often as it may while it read a sound folder: it is then thought
    that the folder kills it, which is said."""
    deaths = known.binder_deaths(reload.at_s, reload.until_s)
    return not reload.broken and TOO_MUCH in reload.why and deaths >= READINGS


CHECKS: dict[str, Callable[[Known], Faults]] = {
    "C1 missed": missed,
    "C2 duplicate": duplicate,
    "C3 truth": truth,
    "C4 history": legal,
    "C5 stuck": stuck,
    "C6 orphan": orphan,
    "C7 late": late,
    "C8 exclusion": exclusion,
    "C9 stream": stream,
    "C10 vacuity": vacuity,
    "C11 reloads": reloads,
    "C12 outcome": outcome,
    "C13 stores": stores,
}


def judge(history: History) -> dict[str, list[str]]:
    """Return what is wrong, by check; each check has its list, empty where nothing is."""
    known = Known(history)
    return {name: list(check(known)) for name, check in CHECKS.items()}
