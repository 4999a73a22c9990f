"""The judge is judged: a good history passes, and each of many that were tampered with does not."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import history as h
import pytest
from checker import CHECKS, judge

MUTATIONS = 500


def good(seed: int) -> h.History:
    """A history of a server that did all it should, under blows, made up without one."""
    chance = random.Random(seed)
    plan = h.Plan(
        cut_s=1_100.0, most={"few": 1}, retries={"again": 2}, stopped=["r6"],
        blows={"kill ledger/0": 1, "keeper": 1}, starting=1, runs=40, late_s=2.0, full=10,
        own=["chaff"], equal=30, stores=["callsheet.db"],
    )  # fmt: skip
    made = h.History(plan)
    made.blows = [h.Blow("kill", "ledger/0", 1_010.05, 1_011.0)]
    made.reloads = [h.Reload(1_020.0 + n, n % 3 == 0, n % 3 != 0, ["a"], ["a"]) for n in range(9)]
    seq = 0
    for n in range(1, 43):
        name = ("tick", "work", "few", "again")[n % 4]
        due_s = 1_000.0 + n
        run_id, key = f"r{n}", f"k{n}"
        made.targets.append(h.Target(name, key, due_s, True, None if name == "tick" else run_id))
        codes = [7, 0] if name == "again" else [chance.randrange(3)]
        run = h.Run(run_id, name, key, due_s, "", 0)
        at_s = due_s

        def said(state: str, run: h.Run = run) -> None:
            nonlocal seq, at_s
            seq += 1
            at_s += 0.1
            run.log.append(h.Said(seq, at_s, state, "moved"))
            run.state, run.version = state, seq

        said("scheduled")
        if n == 40:
            said("skipped")
            run.reason = "a run of it is there already"
        for attempt, code in enumerate(codes if n != 40 else [], 1):
            said("starting")
            made.words.append(h.Word("start", run_id, attempt, at_s, name, key, pid=100 + n))
            said("running")
            lost = n == 13
            if run_id in plan.stopped:
                said("stopping")
                run.code, run.signal = None, "SIGTERM"
                state = "failure"
            elif lost:
                state = "lost"
                made.blows.append(h.Blow("keeper", "", at_s, at_s, [f"{run_id}.{attempt}"]))
            else:
                made.words.append(h.Word("end", run_id, attempt, at_s, code=code))
                run.code = code
                state = "success" if code == 0 else "failure"
            told = run.code if state == "failure" and run.signal is None else None
            run.attempts.append((attempt, state, told))
            said("waiting" if attempt < len(codes) else state)
        run.output = f"{key} leaves {run.code}\n"
        made.runs.append(run)
        if name != "tick":
            made.calm[f"{name} {key}"] = (
                replace(run.outcome, state="success") if n == 13 else (run.outcome)
            )
        made.replica[run_id] = (run.version, run.state)
        made.heard.append(h.Heard(1 if n < 20 else 2, seq))
    made.stores["callsheet.db"] = ""
    for n in range(3):
        made.targets.append(h.Target("chaff", f"c{n}", 1_050.0 + n))
        made.archived[f"r{50 + n}"] = f"chaff c{n}"
    chaff = h.Run(
        "r60", "chaff", "c9", 1_060.0, "success", seq + 1, attempts=[(1, "success", None)]
    )
    chaff.log = [
        h.Said(seq + more, 1_060.0, state, "moved")
        for more, state in enumerate(("scheduled", "starting", "running", "success"), 1)
    ]
    chaff.version = seq + 4
    made.runs.append(chaff)
    made.replica["r60"] = (chaff.version, "success")
    made.targets.append(h.Target("chaff", "c9", 1_060.0))
    return made


# --- what may be done to a history ----------------------------------------------------------------
# Each takes a history and chance, changes one thing, and names the checks of which one has to tell.


def _word(made: h.History, chance: random.Random, what: str) -> h.Word:
    return chance.choice([word for word in made.words if word.what == what])


def _run(made: h.History, chance: random.Random, *states: str) -> h.Run:
    return chance.choice([run for run in made.runs if not states or run.state in states])


def lose_a_start(made, chance):
    # Of what was hit nobody knows whether it began.
    hit = {claim.partition(".")[0] for blow in made.blows for claim in blow.hit}
    words = [word for word in made.words if word.what == "start" and word.run_id not in hit]
    made.words.remove(chance.choice(words))
    return "C1 missed", "C3 truth"


def lose_an_end(made, chance):
    made.words.remove(_word(made, chance, "end"))
    return "C3 truth", "C2 duplicate"


def start_twice(made, chance):
    word = copy.copy(_word(made, chance, "start"))
    word.at_s += chance.uniform(-1, 5)
    made.words.append(word)
    return ("C2 duplicate",)


def end_twice(made, chance):
    last = {word.run_id: word for word in made.words if word.what == "end"}
    made.words.append(copy.copy(chance.choice(list(last.values()))))
    return ("C3 truth",)


def start_an_attempt_too_many(made, chance):
    word = copy.copy(_word(made, chance, "start"))
    word.attempt += 2
    made.words.append(word)
    return ("C2 duplicate",)


def run_unasked(made, chance):
    word = copy.copy(_word(made, chance, "start"))
    word.run_id = "r999"
    made.words.append(word)
    return ("C2 duplicate",)


def run_as_another(made, chance):
    word = _word(made, chance, "start")
    word.key = f"{word.key}x"
    return "C1 missed", "C2 duplicate"


def recode_an_end(made, chance):
    _word(made, chance, "end").code += chance.randrange(1, 5)
    return "C3 truth", "C2 duplicate"


def recode_a_run(made, chance):
    run = chance.choice([run for run in made.runs if run.code is not None])
    run.code += chance.randrange(1, 5)
    return ("C3 truth",)


def tell_another_end(made, chance):
    run = _run(made, chance, "success", "failure")
    other = "failure" if run.state == "success" else "success"
    run.log[-1].state = run.state = other
    made.replica[run.run_id] = (run.version, other)
    run.attempts[-1] = (run.attempts[-1][0], other, run.code)
    return ("C3 truth",)


def tell_an_end_of_what_is_lost(made, chance):
    run = _run(made, chance, "lost")
    run.state, run.code = "success", 0
    run.log[-1].state = "success"
    return ("C3 truth",)


def lose_without_a_blow(made, chance):
    for blow in made.blows:
        blow.hit.clear()
    return ("C3 truth",)


def skip_what_ran(made, chance):
    run = _run(made, chance, "success", "failure")
    run.state = "skipped"
    return ("C3 truth", "C4 history")


def skip_without_a_reason(made, chance):
    _run(made, chance, "skipped").reason = ""
    return ("C1 missed",)


def err(made, chance):
    run = _run(made, chance, "skipped")
    run.log[-1].state = run.state = "error"
    return "C3 truth", "C1 missed"


def forget_a_run(made, chance):
    made.runs.remove(_run(made, chance))
    return "C1 missed", "C2 duplicate", "C9 stream"


def know_a_run_twice(made, chance):
    made.runs.append(copy.deepcopy(_run(made, chance)))
    return ("C2 duplicate",)


def make_another_run(made, chance):
    run = copy.deepcopy(_run(made, chance))
    run.run_id = "r998"
    made.runs.append(run)
    return ("C2 duplicate",)


def drop_a_move(made, chance):
    run = _run(made, chance)
    run.log.remove(chance.choice([said for said in run.log if said.kind == "moved"]))
    return ("C4 history",)


def repeat_a_move(made, chance):
    run = _run(made, chance)
    place = chance.randrange(len(run.log))
    run.log.insert(place, copy.copy(run.log[place]))
    return ("C4 history",)


def swap_moves(made, chance):
    run = _run(made, chance, "success", "failure", "lost")
    place = chance.randrange(len(run.log) - 1)
    run.log[place : place + 2] = run.log[place : place + 2][::-1]
    return ("C4 history",)


def number_a_move_as_another(made, chance):
    first, second = chance.sample(made.runs, 2)
    first.log[0].seq = second.log[0].seq
    return ("C4 history",)


def go_back_in_the_stream(made, chance):
    place = chance.randrange(len(made.heard) - 1)
    made.heard[place : place + 2] = made.heard[place : place + 2][::-1]
    return ("C4 history",)


def be_stuck(made, chance):
    run = _run(made, chance)
    run.state = chance.choice(["scheduled", "waiting", "starting", "running"])
    return ("C5 stuck",)


def leave_a_process(made, chance):
    made.live.append(h.Live(4711, chance.choice([run.run_id for run in made.runs] + ["r997"])))
    return ("C6 orphan",)


def start_late(made, chance):
    words = [w for w in made.words if w.what == "start" and w.attempt == 1 and w.job != "few"]
    word = chance.choice([w for w in words if w.at_s > 1_030])
    word.at_s += chance.uniform(2, 50)
    return ("C7 late",)


def run_beside_another(made, chance):
    few = sorted((w for w in made.words if w.job == "few"), key=lambda w: w.at_s)
    ends = {word.run_id: word for word in made.words if word.what == "end"}
    place = chance.choice(
        [n for n in range(len(few) - 1) if {few[n].run_id, few[n + 1].run_id} <= ends.keys()]
    )
    end = ends[few[place].run_id]
    end.at_s = few[place + 1].at_s + 0.05
    return ("C8 exclusion",)


def never_need_all_places(made, chance):
    made.plan.most["few"] += chance.randrange(1, 3)
    return ("C10 vacuity",)


def mislead_a_subscriber(made, chance):
    run_id = chance.choice(list(made.replica))
    version, state = made.replica[run_id]
    made.replica[run_id] = (version - 1, state)
    return ("C9 stream",)


def show_a_subscriber_too_little(made, chance):
    del made.replica[chance.choice(list(made.replica))]
    return ("C9 stream",)


def show_a_subscriber_too_much(made, chance):
    made.replica["r996"] = (5, "success")
    return ("C9 stream",)


def strike_less(made, chance):
    made.blows.remove(chance.choice(made.blows))
    return ("C10 vacuity",)


def strike_when_nothing_starts(made, chance):
    for blow in made.blows:
        blow.at_s = 5_000.0
    return ("C10 vacuity",)


def take_a_broken_folder(made, chance):
    chance.choice([reload for reload in made.reloads if reload.broken]).taken = True
    return ("C11 reloads",)


def refuse_a_sound_folder(made, chance):
    chance.choice([reload for reload in made.reloads if not reload.broken]).taken = False
    return ("C11 reloads",)


def let_a_broken_folder_change_jobs(made, chance):
    chance.choice([reload for reload in made.reloads if reload.broken]).after = ["a", "b"]
    return ("C11 reloads",)


def end_otherwise_than_without_trouble(made, chance):
    run = chance.choice([run for run in made.runs if run.state in {"success", "failure"}])
    while f"{run.job} {run.key}" not in made.calm:
        run = chance.choice([run for run in made.runs if run.state in {"success", "failure"}])
    calm = made.calm[f"{run.job} {run.key}"]
    other = {"code": 9, "signal": "SIGKILL", "attempts": 7, "output": calm.output[:-1]}
    name = chance.choice(list(other))
    made.calm[f"{run.job} {run.key}"] = replace(calm, **{name: other[name]})
    return ("C12 outcome",)


def compare_with_nothing(made, chance):
    del made.calm[chance.choice(list(made.calm))]
    return ("C12 outcome",)


def compare_too_few(made, chance):
    made.calm.clear()
    return ("C10 vacuity",)


def lose_what_is_archived(made, chance):
    del made.archived[chance.choice(list(made.archived))]
    return ("C1 missed",)


def archive_unasked(made, chance):
    made.archived["r70"] = "chaff c70"
    return ("C2 duplicate",)


def archive_twice(made, chance):
    made.archived["r70"] = chance.choice(list(made.archived.values()))
    return ("C2 duplicate",)


def keep_what_is_archived(made, chance):
    made.archived["r60"] = "chaff c9"
    return ("C2 duplicate",)


def fail_at_ones_own_work(made, chance):
    run = next(run for run in made.runs if run.job == "chaff")
    run.log[-1].state = run.state = chance.choice(["failure", "error", "lost"])
    return ("C3 truth",)


def spoil_a_store(made, chance):
    made.stores["callsheet.db"] = "run r1: no such run"
    return ("C13 stores",)


def leave_a_store_unseen(made, chance):
    made.stores.clear()
    return ("C10 vacuity",)


TAMPERINGS: list[Callable[[h.History, random.Random], tuple[str, ...]]] = [
    lose_a_start, lose_an_end, start_twice, end_twice, start_an_attempt_too_many, run_unasked,
    run_as_another, recode_an_end, recode_a_run, tell_another_end, tell_an_end_of_what_is_lost,
    lose_without_a_blow, skip_what_ran, skip_without_a_reason, err, forget_a_run, know_a_run_twice,
    make_another_run, drop_a_move, repeat_a_move, swap_moves, number_a_move_as_another,
    go_back_in_the_stream, be_stuck, leave_a_process, start_late, run_beside_another,
    never_need_all_places, mislead_a_subscriber, show_a_subscriber_too_little,
    show_a_subscriber_too_much, strike_less, strike_when_nothing_starts, take_a_broken_folder,
    refuse_a_sound_folder, let_a_broken_folder_change_jobs, end_otherwise_than_without_trouble,
    compare_with_nothing, compare_too_few, lose_what_is_archived, archive_unasked, archive_twice,
    keep_what_is_archived, fail_at_ones_own_work, spoil_a_store, leave_a_store_unseen,
]  # fmt: skip


def faults(made: h.History) -> dict[str, list[str]]:
    return {name: found for name, found in judge(made).items() if found}


@pytest.mark.parametrize("seed", range(20))
def test_a_good_history_passes(seed):
    assert faults(good(seed)) == {}


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda one: one.__name__)
def test_what_was_tampered_with_is_found_out(tamper):
    each = MUTATIONS // len(TAMPERINGS)
    missed = []
    for seed in range(each):
        made = good(seed % 20)
        expected = tamper(made, random.Random(seed))
        if not faults(made).keys() & set(expected):
            missed.append((seed, faults(made)))
    assert missed == []


def test_each_check_has_somebody_who_tells_on_it():
    named = Counter()
    for tamper in TAMPERINGS:
        named.update(tamper(good(1), random.Random(1)))
    assert named.keys() == CHECKS.keys()


def three(*ends_s, hit=()):
    """Three runs that begin 0.1 s after each other where two may; None: it wrote no end."""
    made = h.History(h.Plan(cut_s=0.0, most={"few": 2}))
    for n, end_s in enumerate(ends_s):
        made.words.append(h.Word("start", f"r{n}", 1, n / 10, "few", f"k{n}"))
        if end_s is not None:
            made.words.append(h.Word("end", f"r{n}", 1, end_s))
    made.blows = [h.Blow("keeper", "", 0.0, 0.0, list(hit))]
    return made


def test_a_run_too_many_at_once_is_named_and_one_that_comes_after_is_not():
    assert judge(three(0.5, 0.5, 0.5))["C8 exclusion"] == [
        "few: 3 at once when r2 began at 0.200: 2 may"
    ]
    # The place of one that has ended is free, as is that of one whose end nobody can know.
    for made in (
        three(0.15, 0.5, 0.5), three(None, 0.5, 0.5), three(0.5, 0.5, 0.5, hit=["r1.1"])
    ):  # fmt: skip
        assert judge(made)["C8 exclusion"] == []
    made = three(0.05, 0.15, 0.5)
    made.plan.full = 1
    assert "0 runs began as the last that may at once: 1 were planned" in judge(made)["C10 vacuity"]


def test_a_sound_folder_is_refused_only_if_its_reader_died_as_often_as_it_may():
    made = h.History(h.Plan(cut_s=0.0))
    made.blows = [
        h.Blow("crash", "binder after it has said it", 1.0 + n, 1.5 + n) for n in range(3)
    ]
    why = "loading the folder took longer or more memory than allowed"
    made.reloads = [h.Reload(0.5, False, False, [], [], 3.2, why)]
    assert judge(made)["C11 reloads"] == []
    for other in (
        replace(made.reloads[0], why="a.yaml:1:1: ?"),
        replace(made.reloads[0], at_s=2.0),
    ):
        made.reloads = [other]
        assert len(judge(made)["C11 reloads"]) == 1


def test_a_run_is_an_error_only_if_its_binder_died_as_often_as_it_may():
    made = h.History(h.Plan(cut_s=0.0))
    made.blows = [
        h.Blow("crash", "binder after it has said it", 1.0 + n, 1.5 + n) for n in range(2)
    ]
    why = "binding job work: the binder died at it twice: it takes more memory than allowed"
    log = [h.Said(1, 2.6, "error", "moved")]
    run = h.Run("r1", "work", "k1", 0.9, "error", 1, reason=why, log=log)
    made.runs, made.targets = [run], [h.Target("work", "k1", 0.9, run_id="r1")]
    made.calm["work k1"] = h.Outcome("success", 0, None, 1, "")
    checks = ("C1 missed", "C3 truth", "C12 outcome")
    assert [judge(made)[check] for check in checks] == [[], [], []]
    for other in (replace(run, reason="?"), replace(run, due_s=1.8)):
        made.runs = [other]
        assert all(judge(made)[check] for check in checks)


def test_a_history_is_read_as_it_was_written(tmp_path):
    h.write(good(3), tmp_path / "history.json")
    assert h.read(tmp_path / "history.json") == good(3)
    (tmp_path / "evidence").write_text("start r1 1 5.5 work k1 7\nend r1 1 6.5 3\n")
    start, end = h.read_words(tmp_path / "evidence")
    assert (start.key, start.pid, end.code, end.at_s) == ("k1", 7, 3, 6.5)
    (tmp_path / "evidence").write_text("start r1 1 5.5 wo\n")
    with pytest.raises(ValueError, match="expected a start or an end"):
        h.read_words(tmp_path / "evidence")
