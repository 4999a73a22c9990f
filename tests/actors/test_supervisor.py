"""The supervisor's decisions, on virtual time."""

from __future__ import annotations

from itertools import pairwise

from callsheet.actors.supervisor import (
    INTENSITY,
    SILENCE_S,
    START_S,
    STOP_WAVE_S,
    WINDOW_S,
    Act,
    Announce,
    AskStop,
    Kill,
    Quit,
    RoleSpec,
    Spawn,
    Supervisor,
    Warn,
)

SPECS = [
    RoleSpec(role="ledger/0", start_wave=0, stop_wave=3),
    RoleSpec(role="waiter/0", stop_wave=1),
    RoleSpec(role="web/0", stop_wave=0),
    RoleSpec(role="agent", stop_wave=2, silence_s=None),
]


class World:
    """Carries out acts on processes that are only numbers."""

    def __init__(self, specs: list[RoleSpec] | None = None) -> None:
        self.core = Supervisor(SPECS if specs is None else specs)
        self.now_s = 1_000.0
        self.acts: list[Act] = []
        self.starts: list[tuple[str, float]] = []
        self._pid = 0

    def do(self, acts: list[Act]) -> list[Act]:
        for act in acts:
            self.acts.append(act)
            if isinstance(act, Spawn):
                assert self.core.kept[act.role].pid is None, "two processes of one role"
                self._pid += 1
                self.starts.append((act.role, self.now_s))
                self.core.spawned(act.role, self._pid, self.now_s)
        return acts

    def ready(self, *roles: str) -> list[Act]:
        return [act for r in roles for act in self.do(self.core.ready(r, "", self.now_s))]

    def die(self, role: str, how: str = "signal 9") -> list[Act]:
        return self.do(self.core.exited(role, how, self.now_s))

    def pass_s(self, seconds: float) -> list[Act]:
        """Let time pass, waking whenever the core wants to; nobody beats."""
        acts: list[Act] = []
        until_s = self.now_s + seconds
        while True:
            wakes_at_s = self.core.wakes_at_s()
            if wakes_at_s is None or wakes_at_s > until_s:
                self.now_s = until_s
                return acts
            self.now_s = max(self.now_s, wakes_at_s)
            acts += self.do(self.core.tick(self.now_s))

    def until_spawned(self, role: str) -> None:
        """Let time pass, with the others beating, until the role's process is there again."""
        while self.core.kept[role].pid is None:
            wakes_at_s = self.core.wakes_at_s()
            assert wakes_at_s is not None
            self.now_s = max(self.now_s, wakes_at_s)
            for other in self.core.kept:
                self.core.heard(other, self.now_s)
            self.do(self.core.tick(self.now_s))

    def up(self) -> World:
        self.do(self.core.begin(self.now_s))
        self.ready("ledger/0", "waiter/0", "web/0", "agent")
        self.acts.clear()
        return self


def spawns(acts: list[Act]) -> list[str]:
    return [act.role for act in acts if isinstance(act, Spawn)]


def test_the_ledger_starts_first_and_the_rest_when_it_is_ready() -> None:
    world = World()
    assert spawns(world.do(world.core.begin(0.0))) == ["ledger/0"]
    assert spawns(world.ready("ledger/0")) == ["waiter/0", "web/0", "agent"]
    assert world.ready("waiter/0", "web/0") == []
    assert world.ready("agent") == [Announce()]


def test_it_is_announced_once() -> None:
    world = World().up()
    world.die("web/0")
    assert Announce() not in world.ready("web/0")


def test_a_role_that_worked_is_started_again_at_once() -> None:
    world = World().up()
    assert spawns(world.die("waiter/0")) == ["waiter/0"]


def test_deaths_beyond_the_intensity_wait_longer_each_time_and_degrade() -> None:
    world = World().up()
    for _ in range(INTENSITY):
        assert spawns(world.die("waiter/0")) == ["waiter/0"]
        world.ready("waiter/0")
        assert world.core.degraded == {}
    waits = []
    for _ in range(8):
        assert spawns(world.die("waiter/0")) == []
        assert "waiter/0" in world.core.degraded
        before_s = world.now_s
        world.until_spawned("waiter/0")
        waits.append(world.now_s - before_s)
        world.ready("waiter/0")
    assert waits[:6] == sorted(waits[:6])
    assert waits[5] == 30.0
    assert world.core.degraded == {}


def test_an_hour_of_peace_forgives() -> None:
    world = World().up()
    for _ in range(INTENSITY + 3):
        world.die("waiter/0")
        world.do(world.core.tick(world.now_s + 31))
        world.ready("waiter/0")
    world.now_s += 3_600
    assert spawns(world.die("waiter/0")) == ["waiter/0"]


def test_a_role_that_dies_at_start_is_tried_at_most_twelve_times_in_five_minutes() -> None:
    world = World()
    world.do(world.core.begin(world.now_s))
    world.ready("ledger/0", "web/0", "agent")
    end_s = world.now_s + 300
    world.starts.clear()
    world.starts.append(("waiter/0", world.now_s))
    while True:
        world.die("waiter/0", "exit status 70")
        assert "waiter/0" in world.core.degraded
        world.until_spawned("waiter/0")
        if world.now_s >= end_s:
            break
    starts = [at_s for role, at_s in world.starts if role == "waiter/0" and at_s < end_s]
    assert 5 <= len(starts) <= 12
    gaps = [b - a for a, b in pairwise(starts)]
    assert max(gaps) <= 30.0


def test_one_role_in_a_crash_loop_touches_no_other() -> None:
    world = World().up()
    for _ in range(20):
        world.die("waiter/0")
        world.now_s += 0.1
        world.do(world.core.tick(world.now_s))
    assert {role for role, _ in world.starts[4:]} <= {"waiter/0"}


def test_a_silent_role_is_killed_once_and_started_again() -> None:
    world = World().up()
    for _ in range(3):
        world.now_s += SILENCE_S - 1
        for role in ("ledger/0", "web/0"):
            world.core.heard(role, world.now_s)
        acts = world.do(world.core.tick(world.now_s))
        if acts:
            break
    kills = [act for act in acts if isinstance(act, Kill)]
    assert [kill.role for kill in kills] == ["waiter/0"]
    assert world.do(world.core.tick(world.now_s)) == []
    assert spawns(world.die("waiter/0")) == ["waiter/0"]


def test_silence_of_a_role_that_never_speaks_means_nothing() -> None:
    world = World([RoleSpec(role="agent", silence_s=None)])
    world.do(world.core.begin(world.now_s))
    world.ready("agent")
    assert world.pass_s(10 * SILENCE_S) == []


def test_a_role_that_is_never_ready_is_killed() -> None:
    world = World()
    world.do(world.core.begin(world.now_s))
    acts = world.pass_s(START_S)
    assert [act.role for act in acts if isinstance(act, Kill)] == ["ledger/0"]


def test_the_stop_goes_wave_by_wave_and_ends_with_the_ledger() -> None:
    world = World().up()
    assert world.do(world.core.stop(world.now_s)) == [AskStop("web/0")]
    assert world.die("web/0", "exit status 0") == [AskStop("waiter/0")]
    assert world.die("waiter/0", "exit status 0") == [AskStop("agent")]
    assert world.die("agent", "exit status 0") == [AskStop("ledger/0")]
    assert world.die("ledger/0", "exit status 0") == [Quit(0)]


def test_who_does_not_stop_is_killed_and_the_stop_stays_under_its_time() -> None:
    world = World().up()
    world.do(world.core.stop(world.now_s))
    acts = world.pass_s(STOP_WAVE_S)
    assert [act.role for act in acts if isinstance(act, Kill)] == ["web/0"]
    assert world.die("web/0") == [AskStop("waiter/0")]


def test_a_second_wish_to_stop_kills_all() -> None:
    world = World().up()
    world.do(world.core.stop(world.now_s))
    killed = {act.role for act in world.do(world.core.stop(world.now_s)) if isinstance(act, Kill)}
    assert killed == {spec.role for spec in SPECS}


def test_nothing_is_started_while_stopping() -> None:
    world = World().up()
    world.do(world.core.stop(world.now_s))
    world.die("waiter/0")
    world.die("web/0")
    assert spawns(world.pass_s(WINDOW_S)) == []


def test_a_role_that_cannot_work_at_the_first_start_ends_the_server_with_its_sentence() -> None:
    world = World()
    world.do(world.core.begin(world.now_s))
    world.do(world.core.unusable("ledger/0", "db: is missing", world.now_s))
    assert world.die("ledger/0", "exit status 78") == [Quit(1, "db: is missing")]


def test_later_the_same_only_degrades() -> None:
    world = World().up()
    world.die("ledger/0")
    world.do(world.core.unusable("ledger/0", "db: is corrupt", world.now_s))
    acts = world.die("ledger/0", "exit status 78")
    assert not any(isinstance(act, Quit | AskStop) for act in acts)
    assert world.core.degraded["ledger/0"] == "db: is corrupt"


def test_an_unwell_role_degrades_until_it_is_well() -> None:
    world = World().up()
    assert world.do(world.core.health("ledger/0", "disk full")) == [Warn("ledger/0: disk full")]
    assert world.core.degraded == {"ledger/0": "disk full"}
    assert world.do(world.core.health("ledger/0", "disk full")) == []
    world.do(world.core.health("ledger/0", ""))
    assert world.core.degraded == {}


def test_a_stop_before_all_is_ready_ends_what_there_is() -> None:
    world = World()
    world.do(world.core.begin(world.now_s))
    assert world.do(world.core.stop(world.now_s)) == [AskStop("ledger/0")]
    assert world.die("ledger/0", "exit status 0") == [Quit(0)]
