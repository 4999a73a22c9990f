"""The scheduler's core: which jobs are in force, what runs they make, and when each is due.

It learns from the ledger what is in force and how far each schedule is written, has the binder load
the job folder, and then keeps three things going: the change of the set of jobs (`reload`), the
window of expected runs (`planner`), and the docket of what is due (`docket`). Wishes for runs pass
through it to be bound. It never decides a run's state, and renders no template itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..jobs.actions import Action
from ..jobs.condition_rules import ConditionRules
from ..jobs.programs import TimeoutSpec
from ..messages.binding import BinderReady, BoundRuns, FolderLoaded, FolderProblem
from ..messages.commands import (
    DueTaken,
    IdsLeased,
    JobsApplied,
    JobsRefused,
    RunsDocketed,
    RunsExpected,
)
from ..messages.hello import Hello, Refuse, SchedulerWelcome
from ..messages.post import LEDGER, SCHEDULER, Post
from ..messages.standing import AskStanding, FolderStanding
from ..messages.transitions import Beat, FeedFrame
from ..messages.wishes import Done, Refused, ReloadJobs, SchedulerWish
from ..store.interface import Reader
from .binding_desk import BindingDesk
from .definitions import Definitions
from .docket import Docket
from .job_set import rows_of
from .planner import Planner
from .reload import Reload
from .requests import OpenRequests, earliest
from .rescans import Watch
from .run_numbers import RunNumbers
from .scheduler_wishes import WishDesk
from .window import Window

HELLO = ("hello",)


class Stirred:
    """Told by a thread of this process: something may have changed in the job folder."""


class Scheduler:
    """Plans. `folder` is the job folder's path as the binder sees it."""

    def __init__(
        self,
        reader: Reader,
        folder: str,
        *,
        window: Window | None = None,
        default_timeout: TimeoutSpec | None = None,
        actions: tuple[Action, ...] = (),
        rules: ConditionRules | None = None,
        watch: Watch = "off",
        incarnation: str = "",
        address: str = SCHEDULER,
        began_us: int = 0,
    ) -> None:
        """Make a scheduler that has not begun.

        Args:
            window: how far ahead runs are written, and the calendars of files.
            default_timeout: for programs that name none; the binder is given the same.
            actions: those of every run besides its job's own; the binder is given the same.
            rules: what the settings say of conditions; the binder is given the same.
            watch: whether it looks at the folder by itself, and what it then does; see `Stirred`.
            began_us: the time of its making, from which it numbers its requests, so that an answer
                meant for an earlier scheduler is not taken for one of its own.
        """
        self.address = address
        self.refused: str = ""
        self._incarnation = incarnation
        self._reader = reader
        self._definitions = Definitions(reader)
        self._numbers = RunNumbers(began_us)
        self._desk = BindingDesk(self._definitions, began_us, default_timeout, actions, rules)
        self._docket = Docket(reader)
        self._planner = Planner(
            self._definitions,
            self._numbers,
            self._desk,
            self._docket.add,
            window if window is not None else Window(),
            began_us,
        )
        self._wishes = WishDesk(
            self._definitions,
            self._numbers,
            self._desk,
            lambda job, hash_, now_us: rows_of(job, hash_, self._planner.window.calendars, now_us),
            self._planner.put,
            reader,
            self._planner.is_written,
            lambda: self._planner.window.calendars,
        )
        self._reload = Reload(
            folder,
            self._definitions,
            self._planner,
            self._wishes.answer,
            self._docket.drop,
            began_us,
            watch,
        )
        self._askers: dict[str, FolderStanding | None] = {}
        self._epoch = 0
        self._parts: dict[int, SchedulerWelcome] = {}
        self._welcomed = False
        self._binder_seen = False
        self._greetings = OpenRequests()
        self._handlers: dict[type, Callable[[str, Any, int], list[Post] | None]] = {
            SchedulerWelcome: self._welcome,
            JobsApplied: lambda _, message, now_us: self._reload.applied(message, now_us),
            JobsRefused: lambda _, message, __: self._reload.not_applied(message),
            RunsExpected: lambda _, message, now_us: self._planner.expected(message, now_us),
            DueTaken: lambda _, message, __: self._docket.taken(message.run_ids),
            IdsLeased: lambda _, message, __: self._numbers.leased(message),
            RunsDocketed: self._docketed,
            BoundRuns: lambda _, message, __: self._desk.bound(message),
            BinderReady: self._binder_ready,
            FolderLoaded: lambda _, message, now_us: self._reload.part(message, now_us),
            SchedulerWish: self._wish,
            AskStanding: self._ask_standing,
            Stirred: lambda _, __, now_us: self._reload.stirred(now_us),
            Done: lambda _, message, __: self._wishes.answer(message.command_id, message),
            Refused: lambda _, message, __: self._wishes.answer(message.command_id, message),
            Beat: self._hear,
            FeedFrame: self._hear,
            Refuse: self._refuse,
        }

    # --- what others may ask --------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether the docket is loaded and the job folder has been looked at, well or not."""
        return self._welcomed and self._reload.loaded and not self._reload.applying

    def idle(self, now_us: int) -> bool:
        """Whether it is ready and all runs of the near future are written."""
        return self.ready and self._planner.idle(now_us)

    @property
    def problems(self) -> list[FolderProblem]:
        """The mistakes that keep the job folder from coming into force, empty when all is well."""
        return self._reload.problems

    @property
    def health(self) -> str:
        """Return what is wrong, empty when all is well."""
        if self.refused:
            return self.refused
        if not self.problems:
            (job_id, _), sentence = next(iter(self._planner.stuck.items()), (("", ""), ""))
            return f"job {job_id}: its schedule makes no runs: {sentence}" if sentence else ""
        first = self.problems[0]
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        return f"jobs: {first.path}:{first.line}:{first.column}: {first.sentence}{more}"

    # --- what the stage calls -------------------------------------------------------------------

    def figures(self) -> dict[str, float]:
        """Return how much it has in hand."""
        return {"docket_runs": len(self._docket), "folder_problems": len(self.problems)}

    def begin(self, now_us: int) -> list[Post]:
        """Greet the ledger and have the folder loaded; what the store has need not be sent."""
        known = self._reader.jobs()
        return [*self._greet(now_us), *self._reload.start(known, now_us)]

    def receive(self, sender: str, message: Any, now_us: int) -> list[Post]:
        """Take one message."""
        handler = self._handlers.get(type(message))
        return (handler(sender, message, now_us) or []) if handler is not None else []

    def settle(self, now_us: int) -> list[Post]:
        """Say what is due first, then answer wishes, then plan on."""
        posts = self._greetings.repeat(now_us)
        posts += self._docket.settle(now_us, self._planner.left_out)
        posts += self._wishes.settle(now_us, ready=self.ready)
        posts += self._reload.settle(now_us)
        posts += self._planner.settle(now_us, paused=self._paused)
        posts += self._desk.settle(now_us, paused=self._reload.struggling)
        posts += self._numbers.settle(now_us) if self._welcomed else []
        # What was bound or answered in this turn leaves in this turn.
        posts += self._wishes.settle(now_us, ready=False)
        posts += self._tell_standing()
        if self._planner.reread:
            self._planner.reread = False
            self._docket.reread()
        if (self._planner.out_of_step or self._reload.refused) and HELLO not in self._greetings:
            posts += self._greet(now_us)
        return posts

    def wakes_at(self) -> int | None:
        """Return when something is due, to be planned or to be repeated."""
        return earliest(
            self._greetings.wakes_at(),
            self._docket.wakes_at(),
            self._wishes.wakes_at(),
            self._reload.wakes_at(),
            self._planner.wakes_at(paused=self._paused),
            self._desk.wakes_at(),
            self._numbers.wakes_at(),
        )

    # --- inside ---------------------------------------------------------------------------------

    @property
    def _paused(self) -> bool:
        """No planning before the folder is known, and none by a set of jobs that is going."""
        return not self.ready or HELLO in self._greetings

    def _greet(self, now_us: int) -> list[Post]:
        self._parts = {}
        hello = Hello(role=self.address, incarnation=self._incarnation)
        return [self._greetings.send(HELLO, Post(LEDGER, hello), now_us)]

    def _welcome(self, sender: str, message: SchedulerWelcome, now_us: int) -> None:
        """Gather the parts of a welcome; parts of another one replace an incomplete set."""
        ours = message.incarnation == self._incarnation
        if HELLO not in self._greetings or message.epoch < self._epoch or not ours:
            return
        one = next(iter(self._parts.values()), None)
        if one is not None and (one.epoch, one.seq) != (message.epoch, message.seq):
            if (one.epoch, one.seq) > (message.epoch, message.seq):
                return
            self._parts = {}
        self._parts[message.part] = message
        last = next((part.part for part in self._parts.values() if part.last), None)
        if last is None or len(self._parts) <= last:
            # More is on its way: the greeting is not repeated yet.
            hello = Hello(role=self.address, incarnation=self._incarnation)
            self._greetings.send(HELLO, Post(LEDGER, hello), now_us)
            return
        parts = [self._parts[number] for number in range(last + 1)]
        self._parts = {}
        self._greetings.answered(HELLO)
        self._open(parts, now_us)

    def _open(self, parts: list[SchedulerWelcome], now_us: int) -> None:
        """Work by what the ledger says is in force and due."""
        self._epoch = parts[0].epoch
        self.refused = ""
        self._definitions.in_force.clear()
        for part in parts:
            self._definitions.in_force.update(part.jobs)
        rows = [row for part in parts for row in part.schedules]
        self._planner.use_calendars(self._reader.calendars())
        self._planner.begin(rows, parts[0].jobs_version, parts[0].since_us)
        self._docket.begin([row for part in parts for row in part.due])
        self._welcomed = True
        self._reload.welcome(now_us)

    def _docketed(self, sender: str, message: RunsDocketed, now_us: int) -> None:
        self._docket.drop(message.dropped)
        self._docket.add(message.due)

    def _binder_ready(self, sender: str, message: BinderReady, now_us: int) -> list[Post]:
        posts = []
        if self._desk.is_new(message.incarnation):
            posts = self._reload.binder_died(now_us)
        elif not self._binder_seen:
            posts = self._reload.binder_here(now_us)
        self._binder_seen = True
        self._desk.ready(message.incarnation)
        return posts

    def _wish(self, sender: str, message: SchedulerWish, now_us: int) -> list[Post]:
        new = self._wishes.take(sender, message)
        if new and isinstance(message.instruction, ReloadJobs):
            self._reload.wish(message.command_id, message.instruction)
        return []

    def _ask_standing(self, sender: str, message: AskStanding, now_us: int) -> None:
        """Whoever asks is told at the end of the turn, once the jobs in force are known."""
        self._askers[sender] = None

    def _tell_standing(self) -> list[Post]:
        if not self.ready:
            return []
        standing = self._reload.standing
        untold = [asker for asker, told in self._askers.items() if told is not standing]
        self._askers.update(dict.fromkeys(untold, standing))
        return [Post(asker, standing) for asker in untold]

    def _hear(self, sender: str, message: Beat | FeedFrame[Any], now_us: int) -> list[Post]:
        """Another ledger speaks: learn from it what is in force."""
        if message.epoch <= self._epoch or not self._welcomed or HELLO in self._greetings:
            return []
        return self._greet(now_us)

    def _refuse(self, sender: str, message: Refuse, now_us: int) -> None:
        self.refused = message.sentence
