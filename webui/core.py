"""The web's core: follows the feed, brings wishes to those who decide, tells the loop what changed.

Hosted by a stage on the actor's thread, behind `bridge.BridgedCore`. Pure like every core: no
socket, clock, thread or file. Posts to `LOOP` are for the loop's thread, see `seam`. It never
answers a request by itself and never reads the store: after a loss that the ledger cannot repeat,
it tells everybody to read again.
"""

from __future__ import annotations

from typing import Any

from ..messages.agents import AgentsAnswer, AskAgents, OutputGrew
from ..messages.hello import Hello, Refuse, Welcome
from ..messages.post import LEDGER, RUNNER, SCHEDULER, WEB, Post
from ..messages.published import AskEvents, AskRuns, Wanted
from ..messages.standing import AskStanding, FolderStanding
from ..messages.told import ToldRun
from ..messages.transitions import Beat, FeedFrame, Replay, Replayed
from ..messages.wishes import Done, Refused
from ..wire.feed import FeedFollower, Then
from .changes import KEPT_ALONE, KEPT_CHANGES, Changes
from .publishing import Publishing
from .seam import (
    LOOP,
    AskWho,
    AskWish,
    Follow,
    Followed,
    OutputCame,
    ProgramAnswer,
    ProgramAsks,
    Resync,
    RunsRead,
    Status,
    Unfollow,
    Watched,
    WhoCame,
)
from .wishes import Wishes

# Changes wait for others to share their frame, so long as telling the last ones is worth: by each
# record, and by each socket. A hundred moves a second are seen by a few at once, with no
# more work than they are worth; a thousand, or hundreds of consoles, share a frame in 50 ms. So
# many records are told at once: more of them would only take room that is seldom given back.
TICK_US = 50_000
LEAST_TICK_US = 5_000
TICK_RECORDS = 250
RECORD_US = 4_000
SOCKET_US = 250
# Greetings, probes and replays are repeated after these times.
HELLO_US = 1_000_000
REPLAY_US = 500_000
PROBE_US = 250_000
PROBE_WHEN_READY_US = 10_000_000
BEAT_US = 1_000_000
# While nobody waits for a beat it comes with the ledger's, which it is not to come before.
REST_BEAT_US = 2_500_000
AGENTS_US = 2_000_000
# Whoever has lost its socket comes back sooner, or has to read again.
RESUME_US = 300_000_000
# A single step of the wall clock counts at most so much: a clock set forward ends no wait.
STEP_US = 5_000_000


class WebCore:
    """See the module. Its own time `_time` only ever goes forward, whatever the wall clock does."""

    def __init__(self, incarnation: str, address: str = WEB) -> None:
        self.address = address
        self._incarnation = incarnation
        self._follower = FeedFollower[ToldRun]()
        self._changes = Changes()
        self._wishes = Wishes()
        self._publishing = Publishing()
        self._followed: set[tuple[str, str]] = set()
        self._left_at = -RESUME_US
        # Who asked before any ledger had said where it stands.
        self._entering: list[Follow] = []
        self._wall_us: int | None = None
        self._time = 0
        self._welcome_epoch = 0
        self._hello_at = 0
        self._probe_at = 0
        # From when on a turn makes a beat, and when there is one without a turn.
        self._beat_from = 0
        self._beat_at = 0
        # How many sockets there are.
        self._watched = 0
        self._agents_at = 0
        self._replay_at = 0
        self._hole = False
        self._lost = False
        self._ticked = -2 * TICK_US
        self._tick_us = LEAST_TICK_US
        self._heard: dict[str, int] = {}
        self._counts = {"frames": 0, "events": 0, "holes": 0, "resyncs": 0}
        self._refused = ""
        self._standing: FolderStanding | None = None
        self._said: tuple[Any, ...] = ()

    # --- what the stage calls ---------------------------------------------------------------------

    def begin(self, now_us: int) -> list[Post]:
        """Greet the ledger."""
        self._wall_us = now_us
        self._hello_at = HELLO_US
        return [self._hello()]

    def receive(self, sender: str, message: Any, now_us: int) -> list[Post]:
        """Take one message of a peer, the feed, or the loop."""
        self._advance(now_us)
        match message:
            case FeedFrame() | Beat():
                return self._feed(message)
            case Done() | Refused():
                self._heard[sender] = self._time
                return self._wishes.answered(message)
            case FolderStanding():
                self._heard[SCHEDULER] = self._time
                self._standing = message
            case AskWish():
                return self._wishes.ask(message, self._time)
            case Follow():
                return self._follow(message)
            case Unfollow():
                self._unfollow(message)
            case AskWho():
                return self._wishes.ask_who(message, self._time)
            case Watched():
                if bool(message.by) != bool(self._watched):
                    self._beat_at = self._beat_from
                self._watched = message.by
            case RunsRead():
                self._changes.read(message)
            case AgentsAnswer():
                return self._who_came(message)
            case Wanted():
                self._publishing.want(sender, message.topic, on=message.on)
                self._beat_at = self._beat_from
            case AskEvents() | AskRuns():
                return [Post(LOOP, ProgramAsks(peer=sender, asked=message))]
            case ProgramAnswer():
                return [Post(message.to, message.answer)]
            case OutputGrew():
                self._heard[RUNNER] = self._time
                if ("output", message.run_id) in self._followed:
                    return [Post(LOOP, OutputCame(grew=message))]
            case Welcome():
                return self._welcomed(message)
            case Replayed():
                return self._replayed(message)
            case Refuse():
                self._refused = message.sentence
            case _:
                raise AssertionError(f"web: {type(message).__name__} from {sender}")
        return []

    def settle(self, now_us: int) -> list[Post]:
        """Say what is due: a tick, repetitions, giving up, greetings, probes, the beat."""
        self._advance(now_us)
        posts = self._wishes.repeat(self._time)
        posts += self._greet_and_probe()
        records, waited_us = self._changes.records, self._time - self._ticked
        if self._changes.pending and (waited_us >= self._tick_us or records >= TICK_RECORDS):
            worth_us = records * RECORD_US + self._watched * SOCKET_US
            self._tick_us = min(max(worth_us, LEAST_TICK_US), TICK_US)
            self._ticked = self._time
            resumes = self._followed or self._time - self._left_at < RESUME_US
            kept = KEPT_CHANGES if resumes else KEPT_ALONE
            at = self._follower
            posts.append(Post(LOOP, self._changes.tick(at.epoch, at.seq, kept)))
        posts += self._status()
        return posts

    def wakes_at(self) -> int | None:
        """Return the wall time of the next thing due."""
        if self._wall_us is None:
            return None
        due = [self._probe_at, self._beat_at]
        if not self._known:
            due.append(self._hello_at)
        if self._hole:
            due.append(self._replay_at)
        if self._polls_agents:
            due.append(self._agents_at)
        if self._changes.pending:
            due.append(self._ticked + self._tick_us)
        waits = self._wishes.wakes_at()
        if waits is not None:
            due.append(waits)
        return self._wall_us + max(0, min(due) - self._time)

    # --- time -------------------------------------------------------------------------------------

    def _advance(self, now_us: int) -> None:
        """Move the core's own time by what the wall clock moved, bounded to one step."""
        if self._wall_us is not None:
            self._time += min(max(now_us - self._wall_us, 0), STEP_US)
        self._wall_us = now_us

    # --- the ledger and its feed ------------------------------------------------------------------

    @property
    def _known(self) -> bool:
        """Whether the ledger in force has welcomed us."""
        return self._welcome_epoch != 0 and self._welcome_epoch == self._follower.epoch

    def _hello(self) -> Post:
        return Post(LEDGER, Hello(role=self.address, incarnation=self._incarnation))

    def _welcomed(self, welcome: Welcome) -> list[Post]:
        """The ledger knows us; what was said since the last event we know is asked for."""
        self._heard[LEDGER] = self._time
        follower = self._follower
        if welcome.epoch < follower.epoch:
            return []
        self._welcome_epoch = welcome.epoch
        self._hello_at = self._time
        if follower.epoch == 0:
            self._stand(welcome)
            entering, self._entering = self._entering, []
            return [self._followed_from(follow) for follow in entering]
        if self._lost or welcome.seq < follower.seq:
            # The ledger cannot repeat what we miss, or its store is an older one, restored.
            self._stand(welcome)
            return [self._resync()]
        # Everything published was durable first, so what we know is true in a new epoch too.
        follower.stand(welcome.epoch, follower.seq)
        return self._ask_replay() if welcome.seq > follower.seq else []

    def _stand(self, welcome: Welcome) -> None:
        self._hole = self._lost = False
        self._follower.stand(welcome.epoch, welcome.seq)
        self._changes.begin(welcome.seq)

    def _resync(self) -> Post:
        self._counts["resyncs"] += 1
        return Post(LOOP, Resync(epoch=self._follower.epoch, seq=self._follower.seq))

    def _feed(self, message: FeedFrame[ToldRun] | Beat) -> list[Post]:
        self._heard[LEDGER] = self._time
        step = self._follower.take(message)
        match step.then:
            case Then.APPLY:
                self._hole = False
                self._counts["frames"] += 1
                self._counts["events"] += len(step.events)
                self._changes.take(step.events, step.runs)
                return self._publishing.events(
                    step.epoch, step.events[0].seq - 1, step.events, step.runs
                )
            case Then.HOLE:
                if not self._hole:
                    self._counts["holes"] += 1
                    return self._ask_replay()
            case Then.NEW_EPOCH:
                self._welcome_epoch = 0
                if self._time >= self._hello_at:
                    self._hello_at = self._time + HELLO_US
                    return [self._hello()]
            case Then.NOTHING:
                pass
        return []

    def _ask_replay(self) -> list[Post]:
        self._hole = True
        self._replay_at = self._time + REPLAY_US
        return [Post(LEDGER, Replay(after_seq=self._follower.seq))]

    def _replayed(self, message: Replayed) -> list[Post]:
        self._heard[LEDGER] = self._time
        if message.frame is not None:
            frame = message.frame
            told = FeedFrame(
                epoch=frame.epoch,
                after_seq=frame.after_seq,
                events=frame.events,
                runs=list(map(ToldRun.of, frame.runs)),
            )
            posts = self._feed(told)
            self._hole = not message.complete
            return posts if message.complete else [*posts, *self._ask_replay()]
        # Too far back: a welcome will say where the ledger stands, and all followers read again.
        self._lost = True
        self._welcome_epoch = 0
        self._hello_at = self._time + HELLO_US
        return [self._hello()]

    # --- agents and readiness ---------------------------------------------------------------------

    def _who_came(self, answer: AgentsAnswer) -> list[Post]:
        self._heard[RUNNER] = self._time
        asked = self._wishes.who_came(answer.request)
        if asked or (answer.request == "poll" and self._polls_agents):
            return [Post(LOOP, WhoCame(request=answer.request, answer=answer))]
        return []

    @property
    def _polls_agents(self) -> bool:
        return ("agents", "") in self._followed

    @property
    def _ready(self) -> bool:
        """Whether ledger, scheduler and runner have all answered since we began."""
        return {LEDGER, SCHEDULER, RUNNER} <= self._heard.keys() and self._welcome_epoch != 0

    def _greet_and_probe(self) -> list[Post]:
        posts = []
        if not self._known and self._time >= self._hello_at:
            self._hello_at = self._time + HELLO_US
            posts.append(self._hello())
        if self._hole and self._known and self._time >= self._replay_at:
            posts += self._ask_replay()
        if self._polls_agents and self._time >= self._agents_at:
            self._agents_at = self._time + AGENTS_US
            posts.append(Post(RUNNER, AskAgents(request="poll")))
        if self._time >= self._probe_at:
            wait = PROBE_WHEN_READY_US if self._ready else PROBE_US
            self._probe_at = self._time + wait
            posts.append(Post(RUNNER, AskAgents(request="probe")))
            # Answered by a scheduler that knows its jobs.
            posts.append(Post(SCHEDULER, AskStanding()))
        return posts

    def _status(self) -> list[Post]:
        """The status, once a second and when something that people wait for has changed."""
        follower = self._follower
        beat = self._time >= self._beat_from
        said = (follower.epoch, self._ready, self._refused, self._welcome_epoch, self._standing)
        if not beat and said == self._said:
            return []
        if beat:
            rests = self._ready and self._time - self._heard[LEDGER] < REST_BEAT_US
            rests = rests and not self._watched and not self._publishing.beats
            self._beat_from = self._time + BEAT_US
            self._beat_at = self._time + (REST_BEAT_US if rests else BEAT_US)
        self._said = said
        status = Status(
            epoch=follower.epoch,
            seq=follower.seq,
            ready=self._ready,
            ledger_age_s=self._age_s(LEDGER),
            scheduler_age_s=self._age_s(SCHEDULER),
            runner_age_s=self._age_s(RUNNER),
            refused=self._refused,
            timeouts=self._wishes.timeouts,
            beat=beat,
            standing=self._standing,
            **self._counts,
        )
        posts = [Post(LOOP, status)]
        if beat and self._wall_us is not None:
            posts += self._publishing.beat(follower.epoch, follower.seq, self._wall_us)
        return posts

    def _age_s(self, role: str) -> float | None:
        heard = self._heard.get(role)
        return None if heard is None else (self._time - heard) / 1e6

    # --- followers --------------------------------------------------------------------------------

    def _follow(self, follow: Follow) -> list[Post]:
        self._followed.add((follow.topic, follow.key))
        self._changes.follow(follow.topic, follow.key, follow.filter)
        if follow.topic == "agents":
            self._agents_at = self._time
        if self._follower.epoch == 0:
            # Nobody knows yet from where on changes will be heard of. To say so now would bid them
            # read what they have, and what changes from then until the welcome would reach nobody.
            self._entering.append(follow)
            return []
        return [self._followed_from(follow)]

    def _followed_from(self, follow: Follow) -> Post:
        """Say from where on a topic is followed, and what has changed since its `resume`."""
        resync, body = False, b""
        follower = self._follower
        if follow.resume is not None:
            epoch, seq = follow.resume
            known = epoch <= follower.epoch and self._changes.knows(seq)
            # A reader of the store may be a little ahead of the feed, but only of this epoch.
            resync = not known or (seq > follower.seq and epoch != follower.epoch)
            if not resync and follow.topic == "jobs":
                resync = self._changes.jobs_seq > seq
            elif not resync and follow.topic == "runs" and follow.filter is not None:
                body = self._changes.since(seq, follow.filter, follower.epoch, follower.seq)
        elif follow.topic == "runs":
            body = self._changes.nothing(follower.epoch, follower.seq)
        followed = Followed(
            token=follow.token, epoch=follower.epoch, seq=follower.seq, resync=resync, body=body
        )
        return Post(LOOP, followed)

    def _unfollow(self, message: Unfollow) -> None:
        place = (message.topic, message.key)
        self._followed.discard(place)
        self._left_at = self._time
        self._entering = [one for one in self._entering if (one.topic, one.key) != place]
        self._changes.unfollow(message.topic, message.key)
