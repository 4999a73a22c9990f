"""What the waiter's core keeps of polled conditions: who waits for which, and when to check again.

Runs that wait for the same thing share one check; each goes only by a check that was begun after
it came to wait. So many checks are under way at once and no more. A check of which nothing is
heard in time counts as one that found nothing. Nothing here makes a check.
"""

from __future__ import annotations

import heapq
from itertools import count

from ..jobs.judging import Verdict
from ..jobs.polled import BoundPolled
from ..messages.post import Post
from .probe_seam import PROBER, CancelProbe, Probe, Probed
from .requests import earliest

# Checks under way at once: threads and child processes of the prober.
AT_ONCE = 32
# A check is to keep its timeout itself; so long after it nothing more is expected of it.
GRACE_US = 5_000_000


class _Poll:
    """One thing that is checked again and again. `members`: run ids with the instant since which
    each waits. `due_us` None: under way, begun at `begun_us` as `probe_id`."""

    __slots__ = ("begun_us", "cond", "due_us", "found", "found_us", "members", "probe_id")

    def __init__(self, cond: BoundPolled, now_us: int) -> None:
        self.cond = cond
        self.members: dict[str, int] = {}
        self.due_us: int | None = now_us
        self.begun_us = 0
        self.probe_id = 0
        self.found: Verdict | None = None
        self.found_us = 0


class Polls:
    """All that is polled."""

    def __init__(self) -> None:
        self._polls: dict[BoundPolled, _Poll] = {}
        self._under_way: dict[int, _Poll] = {}
        self._due: list[tuple[int, int, _Poll]] = []
        self._count = count(1)
        self._posts: list[Post] = []

    # --- runs -----------------------------------------------------------------------------------

    def join(self, cond: BoundPolled, run_id: str, now_us: int) -> None:
        """A run waits for the condition; known already, nothing changes."""
        poll = self._polls.get(cond)
        if poll is None:
            poll = self._polls[cond] = _Poll(cond, now_us)
            self._push(poll, now_us)
        if run_id not in poll.members:
            poll.members[run_id] = now_us
            if poll.due_us is not None and poll.due_us > now_us:
                self._push(poll, now_us)

    def part(self, cond: BoundPolled, run_id: str) -> None:
        """A run waits for it no more."""
        poll = self._polls.get(cond)
        if poll is None or poll.members.pop(run_id, None) is None or poll.members:
            return
        del self._polls[cond]
        if poll.due_us is None:
            del self._under_way[poll.probe_id]
            self._posts.append(Post(PROBER, CancelProbe(probe_id=poll.probe_id)))
        poll.due_us = None

    def checked(self, cond: BoundPolled, run_id: str) -> Verdict | None:
        """Return what a check found that was begun after the run came to wait, None: none yet."""
        poll = self._polls.get(cond)
        since_us = poll.members.get(run_id) if poll is not None else None
        if poll is None or since_us is None or poll.found_us < since_us:
            return None
        return poll.found

    # --- checks ---------------------------------------------------------------------------------

    def probed(self, message: Probed, now_us: int) -> list[str]:
        """A check was made: return the runs to look at."""
        poll = self._under_way.pop(message.probe_id, None)
        if poll is None:
            return []  # Nobody waits for it any more.
        return self._found(poll, message.met, message.reason, now_us)

    def settle(self, now_us: int) -> list[str]:
        """Give up what has not been heard of, begin what is due; return the runs to look at."""
        late = [poll for poll in self._under_way.values() if self._gives_up_us(poll) <= now_us]
        look: list[str] = []
        for poll in late:
            del self._under_way[poll.probe_id]
            self._posts.append(Post(PROBER, CancelProbe(probe_id=poll.probe_id)))
            reason = f"no answer of the check within {poll.cond.timeout_us / 1e6:g} s"
            look += self._found(poll, False, reason, now_us)
        while self._due and len(self._under_way) < AT_ONCE and self._due[0][0] <= now_us:
            due_us, _, poll = heapq.heappop(self._due)
            if poll.due_us == due_us:
                self._begin(poll, now_us)
        return look

    def take_posts(self) -> list[Post]:
        """Return what is to be sent to the prober."""
        posts, self._posts = self._posts, []
        return posts

    def wakes_at(self) -> int | None:
        """Return when a check is due, or given up."""
        give_up_us = min(map(self._gives_up_us, self._under_way.values()), default=None)
        room = self._due and len(self._under_way) < AT_ONCE
        return earliest(self._due[0][0] if room else None, give_up_us)

    # --- inside ---------------------------------------------------------------------------------

    def _begin(self, poll: _Poll, now_us: int) -> None:
        poll.probe_id = next(self._count)
        poll.begun_us, poll.due_us = now_us, None
        self._under_way[poll.probe_id] = poll
        self._posts.append(Post(PROBER, Probe(probe_id=poll.probe_id, cond=poll.cond)))

    def _found(self, poll: _Poll, met: bool, reason: str, now_us: int) -> list[str]:
        poll.found = Verdict(met=met, reason=reason)
        poll.found_us = poll.begun_us
        later = any(since_us > poll.begun_us for since_us in poll.members.values())
        self._push(poll, now_us if later else now_us + poll.cond.poll_us)
        return list(poll.members)

    def _push(self, poll: _Poll, due_us: int) -> None:
        poll.due_us = due_us
        heapq.heappush(self._due, (due_us, next(self._count), poll))

    def _gives_up_us(self, poll: _Poll) -> int:
        return poll.begun_us + poll.cond.timeout_us + GRACE_US
