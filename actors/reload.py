"""Loading the job folder and putting what changed in force.

The binder reads and checks the folder, when somebody wishes it or something stirs in it; all of it
is taken or nothing. The difference to what is in force goes to the ledger, and only when that is
durable does the scheduler plan by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from ..jobs.calendar_days import CalendarDays, calendars_by_name
from ..jobs.job import Job
from ..jobs.plan import plan_id, staleness
from ..messages.binding import FolderLoaded, FolderProblem, LoadFolder
from ..messages.codec import encode
from ..messages.commands import JobsApplied, JobsRefused
from ..messages.instructions import ApplyJobs
from ..messages.post import BINDER, LEDGER, Post
from ..messages.standing import MOST_NAMED, FolderStanding
from ..messages.wishes import Done, Refused, ReloadJobs
from .definitions import Definitions
from .job_set import JobDiff, changed_calendars, compare, portions, with_calendars
from .planner import Planner
from .requests import OpenRequests, earliest
from .rescans import Rescans, Watch

# A folder of many jobs takes seconds to read, and each of its parts shows that the binder is at it.
LOAD_AGAIN_US = 10_000_000
DEATHS = 3
KNOWN_A_PART = 20_000
# The jobs that the answer to a dry run may carry.
BODIES_BYTES = 2 * 2**20

Answer = Callable[[str, Done | Refused], None]


class Reload:
    """`answer` takes the outcome of a wish by its command id; `dropped` ids withdrawn.

    `standing`: how the folder was found last. `problems`: the mistakes of the last load. `loaded`:
    a first load is over, well or not. `refused`: the ledger's set of jobs is another one.
    """

    def __init__(
        self,
        path: str,
        definitions: Definitions,
        planner: Planner,
        answer: Answer,
        dropped: Callable[[list[str]], None],
        first_request: int,
        watch: Watch = "off",
    ) -> None:
        self.problems: list[FolderProblem] = []
        self.loaded = False
        self.refused = False
        self.standing = FolderStanding(watch=watch)
        self._rescans = Rescans(watch)
        self._path = path
        self._definitions = definitions
        self._planner = planner
        self._answer = answer
        self._dropped = dropped
        self._request = first_request
        self._welcomed = False
        self._wanted: dict[str, str] | None = None
        self._wanted_calendars: dict[str, CalendarDays] | None = None
        self._parts: dict[int, FolderLoaded] = {}
        self._deaths = 0
        self._looked_us: int | None = None
        self._commit: str | None = None
        self._auto = False
        self._load_posts: list[Post] = []
        # Wishes: for the load after this one, for this load, for what is being applied.
        self._next: dict[str, ReloadJobs] = {}
        self._loading: dict[str, ReloadJobs] = {}
        self._asking: dict[str, None] = {}
        self._outcomes: dict[str, tuple[JobDiff, str]] = {}
        self._fresh: dict[str, Job] = {}
        self._portion: ApplyJobs | None = None
        self._rest: Iterator[ApplyJobs] = iter(())
        self._loads = OpenRequests(LOAD_AGAIN_US)
        self._applies = OpenRequests()

    @property
    def applying(self) -> bool:
        """Whether a change is on its way into force."""
        return self._portion is not None

    @property
    def struggling(self) -> bool:
        """Whether a binder has died while it had the folder to load."""
        return bool(self._loads) and self._deaths > 0

    def start(self, known: dict[str, str], now_us: int) -> list[Post]:
        """Load the folder for the first time."""
        self._auto = True
        return self._load(known, now_us)

    def wish(self, command_id: str, wish: ReloadJobs) -> None:
        """Load the folder for a wish; one that comes during a load gets a load of its own."""
        self._next[command_id] = wish

    def stirred(self, now_us: int) -> None:
        """Something may have changed in the folder."""
        self._rescans.stirred(now_us)

    def welcome(self, now_us: int) -> None:
        """What is in force has been learnt anew: see again what differs."""
        self._welcomed = True
        self.refused = False
        self._portion = None
        self._applies.clear()
        if self._wanted is not None:
            self._apply(self._difference(self._wanted, self._wanted_calendars), now_us)

    def part(self, message: FolderLoaded, now_us: int) -> None:
        """Take one part of the folder; with the last missing one the load is over."""
        if message.request != self._request or not self._loads:
            return
        self._parts[message.part] = message
        for number, post in enumerate(self._load_posts):
            self._loads.send(number, post, now_us)
        last = next((part.part for part in self._parts.values() if part.last), None)
        if last is not None and len(self._parts) == last + 1:
            self._loads.clear()
            self._over([self._parts[number] for number in range(last + 1)], now_us)

    def binder_here(self, now_us: int) -> list[Post]:
        """The first binder is there: what was asked of nobody is asked again, now."""
        return self._send_load(now_us) if self._loads else []

    def binder_died(self, now_us: int) -> list[Post]:
        """Another binder is there: it has to begin again, unless loading is what kills it."""
        if not self._loads:
            return []
        self._deaths += 1
        self._parts = {}
        if self._deaths < DEATHS:
            return self._send_load(now_us)
        self._loads.clear()
        sentence = "loading the folder took longer or more memory than allowed"
        problem = FolderProblem(path=self._path, line=1, column=1, sentence=sentence)
        self._over([FolderLoaded(request=0, part=0, last=True, problems=[problem])], now_us)
        return []

    def applied(self, message: JobsApplied, now_us: int) -> None:
        """A portion is durable and in force: plan by it."""
        portion = self._portion
        if portion is None or not self._applies.answered(("apply", message.based_on)):
            return
        in_force = self._definitions.in_force
        in_force.update(portion.set_jobs)
        for job_id in portion.removed_jobs:
            in_force.pop(job_id, None)
        self._planner.jobs_version = message.jobs_version
        if portion.calendars is not None:
            self._planner.use_calendars(portion.calendars)
        for key in portion.closed:
            self._planner.remove(key)
        for kept in portion.kept:
            self._planner.keep((kept.job_id, kept.fingerprint), kept.definition)
        for row in portion.opened:
            self._planner.put(row)
        self._planner.misplaced.difference_update(portion.set_jobs)
        self._dropped(message.withdrawn)
        self._next_portion()

    def not_applied(self, message: JobsRefused) -> None:
        """Another set of jobs is in force than we knew."""
        if self._applies.answered(("apply", message.based_on)):
            self._portion = None
            self.refused = True

    def settle(self, now_us: int) -> list[Post]:
        """Begin what waits its turn, repeat what is open."""
        posts = self._loads.repeat(now_us) + self._applies.repeat(now_us)
        unasked = self._rescans.due(now_us)
        if (self._next or unasked) and self._idle:
            self._loading, self._next = self._next, {}
            self._auto = unasked and self._rescans.watch == "auto"
            posts += self._load(dict(self._definitions.in_force), now_us)
        again = self._planner.misplaced
        if again and self._idle:
            diff = self._difference(dict(self._definitions.in_force))
            again.clear()
            self._apply(diff, now_us)
        if self._portion is not None and not self._applies:
            version = self._planner.jobs_version
            self._portion = replace(self._portion, based_on=version)
            post = Post(LEDGER, self._portion)
            posts.append(self._applies.send(("apply", version), post, now_us))
        return posts

    def wakes_at(self) -> int | None:
        """Return when something is to be repeated."""
        rescan_us = self._rescans.wakes_at() if self._idle else None
        return earliest(self._loads.wakes_at(), self._applies.wakes_at(), rescan_us)

    # --- inside ---------------------------------------------------------------------------------

    @property
    def _idle(self) -> bool:
        """Whether a load may begin."""
        return self._welcomed and not self.applying and not self._loads

    def _load(self, known: dict[str, str], now_us: int) -> list[Post]:
        self._request += 1
        self._parts, self._deaths = {}, 0
        self._rescans.looks(now_us)
        self._looked_us = now_us
        items = list(known.items())
        count = max(1, -(-len(items) // KNOWN_A_PART))
        self._load_posts = [
            Post(
                BINDER,
                LoadFolder(
                    request=self._request,
                    path=self._path,
                    now_us=now_us,
                    known=dict(items[part * KNOWN_A_PART : (part + 1) * KNOWN_A_PART]),
                    part=part,
                    last=part == count - 1,
                ),
            )
            for part in range(count)
        ]
        return self._send_load(now_us)

    def _send_load(self, now_us: int) -> list[Post]:
        return [
            self._loads.send(number, post, now_us) for number, post in enumerate(self._load_posts)
        ]

    def _over(self, parts: list[FolderLoaded], now_us: int) -> None:
        """The load is over: take all of it, or nothing."""
        self._parts = {}
        self.loaded = True
        self.problems = [problem for part in parts for problem in part.problems]
        if self.problems:
            self._refuse()
            return
        self._commit = parts[-1].commit
        wanted = {}
        for part in parts:
            for loaded in part.jobs:
                wanted[loaded.job_id] = loaded.hash
                if loaded.job is not None:
                    self._fresh[loaded.hash] = loaded.job
        calendars = {days.name: days for days in parts[-1].calendars}
        if not self._welcomed:
            self._wanted, self._wanted_calendars = wanted, calendars
            return
        diff = self._difference(wanted, calendars)
        plan = plan_id(self._definitions.in_force, wanted) if self._loading else ""
        self._answer_loading(diff, wanted, plan)
        self._stands(diff)
        if self._asking or self._auto:
            self._wanted, self._wanted_calendars = wanted, calendars
            self._apply(diff, now_us, plan)
        else:
            self._fresh = {}

    def _answer_loading(self, diff: JobDiff, wanted: dict[str, str], plan: str) -> None:
        """Answer the wishes that this load settles; the others ask for its being put in force."""
        loading, self._loading = self._loading, {}
        for command_id, wish in loading.items():
            stale = wish.plan and staleness(wish.plan, self._definitions.in_force, wanted)
            if stale:
                refused = Refused(command_id=command_id, reason="wrong_state", sentence=stale)
                self._answer(command_id, refused)
            elif wish.dry_run:
                done = _done(command_id, diff, plan, dry_run=True)
                if wish.bodies:
                    done.result["jobs"] = self._bodies(diff, wanted)
                self._answer(command_id, done)
            else:
                self._asking[command_id] = None

    def _bodies(self, diff: JobDiff, wanted: dict[str, str]) -> dict[str, bytes] | None:
        """Return the jobs added and changed, encoded; None when they are too many."""
        found: dict[str, bytes] = {}
        size = 0
        for job_id in [*diff.added, *diff.changed]:
            hash_ = wanted[job_id]
            job = self._fresh.get(hash_) or self._definitions.body(hash_)
            assert job is not None, f"job {job_id}: its body came with the folder"
            found[job_id] = encode(job)
            size += len(found[job_id])
            if size > BODIES_BYTES:
                return None
        return found

    def _stands(self, diff: JobDiff) -> None:
        """Say how the folder was found."""
        self.standing = FolderStanding(
            watch=self._rescans.watch,
            looked_us=self._looked_us,
            problems=self.problems[:MOST_NAMED],
            problem_count=len(self.problems),
            added=diff.added[:MOST_NAMED],
            changed=diff.changed[:MOST_NAMED],
            removed=diff.removed[:MOST_NAMED],
            different=len(diff.added) + len(diff.changed) + len(diff.removed),
        )

    def _difference(
        self, wanted: dict[str, str], calendars: dict[str, CalendarDays] | None = None
    ) -> JobDiff:
        """Compare a set of jobs, and calendars if any are given, with what is in force."""
        changed = changed_calendars(self._planner.calendars, calendars)
        again = self._planner.misplaced | self._definitions.using(changed)
        return compare(self._definitions.in_force, wanted, again, changed)

    def _apply(self, diff: JobDiff, now_us: int, plan: str = "") -> None:
        for command_id in self._asking:
            self._outcomes.setdefault(command_id, (diff, plan))
        self._rest = iter(())
        if diff:
            rows: dict[str, dict[str, int]] = {}
            for one in self._planner.plans.values():
                rows.setdefault(one.job_id, {})[one.fingerprint] = one.written_us
            wanted = dict(self._definitions.in_force) if self._wanted is None else self._wanted
            asked = self._wanted_calendars if diff.calendars else None
            calendars = self._planner.calendars if asked is None else asked
            named = calendars_by_name(calendars.values())
            sets = (diff, wanted, self._body, self._before, rows, named)
            rest = portions(*sets, now_us, commit=self._commit)
            self._rest = with_calendars(rest, asked, now_us)
        self._next_portion()

    def _next_portion(self) -> None:
        self._portion = next(self._rest, None)
        if self._portion is None:
            self._done()

    def _body(self, hash_: str) -> Job:
        """Return a body just loaded, or one that is stored."""
        job = self._fresh.pop(hash_, None)
        if job is None:
            return self._definitions.certain_body(hash_)
        self._definitions.keep(hash_, job)
        return job

    def _before(self, job_id: str) -> Job | None:
        """Return a job as it is in force."""
        hash_ = self._definitions.in_force.get(job_id)
        return None if hash_ is None else self._definitions.body(hash_)

    def _done(self) -> None:
        """Everything is in force: answer those who asked for it."""
        self._auto = False
        self._fresh = {}
        self._stands(JobDiff())
        asking, self._asking = self._asking, {}
        for command_id in asking:
            diff, plan = self._outcomes.pop(command_id)
            self._answer(command_id, _done(command_id, diff, plan, dry_run=False))

    def _refuse(self) -> None:
        """The folder has mistakes: everything stays as it is."""
        self._auto = False
        self._fresh = {}
        self._stands(JobDiff())
        details = [
            [p.job_id or p.path, f"{p.path}:{p.line}:{p.column}: {p.sentence}"]
            for p in self.problems
        ]
        # Where the folder lies is nothing for those who ask over the network.
        folder = self._path.rstrip("/").rpartition("/")[2]
        loading, self._loading = self._loading, {}
        for command_id in loading:
            refused = Refused(
                command_id=command_id,
                reason="bad_request",
                sentence=f"errors loading jobs in {folder}",
                details=details,
            )
            self._answer(command_id, refused)


def _done(command_id: str, diff: JobDiff, plan: str, *, dry_run: bool) -> Done:
    result = {
        "added": diff.added,
        "changed": diff.changed,
        "removed": diff.removed,
        "dry_run": dry_run,
        "plan": plan,
    }
    return Done(command_id=command_id, seq=0, result=result)
