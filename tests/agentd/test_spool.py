"""What the spool keeps of its own, besides claims."""

from __future__ import annotations

import fcntl
import os
import subprocess

import pytest

from callsheet.agentd.exits import BadRecord
from callsheet.agentd.host import Key, Spec
from callsheet.agentd.keeper_record import EXIT, PID, STARTED, write
from callsheet.agentd.kept_number import BYTES
from callsheet.agentd.spool import OF_ONE_RUN, Spool
from callsheet.agentd.spool_lock import SpoolTaken, take
from callsheet.jobs.programs import BoundProcess

PROGRAM = BoundProcess(argv=("true",))
SPEC = Spec(program=PROGRAM, argv=PROGRAM.argv, env={})
KEY = Key("r1", 1)


@pytest.fixture
def spool(tmp_path):
    spool = Spool(str(tmp_path))
    yield spool
    spool.close()


def ensured(spool, *, alive=None):
    found = spool.ensure(KEY, lambda *_: alive, 0)
    return found.state, found.sentence


def test_the_highest_epoch_is_kept_in_the_room_taken_at_the_start(tmp_path):
    spool = Spool(str(tmp_path))
    assert spool.epoch.read() == 0
    for epoch in (1, 7, 2**62):
        spool.epoch.write(epoch)
        assert spool.epoch.read() == epoch
        assert os.stat(tmp_path / "epoch").st_size == BYTES
    spool.close()
    again = Spool(str(tmp_path))
    assert again.epoch.read() == 2**62
    again.close()


def test_an_epoch_file_of_nonsense_is_an_epoch_of_none(tmp_path):
    (tmp_path / "epoch").write_text("soon\n")
    spool = Spool(str(tmp_path))
    assert spool.epoch.read() == 0
    spool.close()


# --- one agentd at a time -------------------------------------------------------------------------


def left_locked(folder, said):
    """Lock a spool as a process does that has not closed what it was born with."""
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.write(fd, said)
    return fd


def test_a_spool_is_waited_for_while_what_a_killed_agentd_has_forked_begins(tmp_path):
    with subprocess.Popen(["true"]) as killed:
        killed.wait()
    fds = [left_locked(tmp_path, b"%d\n" % killed.pid)]
    os.close(take(str(tmp_path), pause=lambda _: os.close(fds.pop())))
    assert fds == []


@pytest.mark.parametrize("said", [b"", b"soon\n"])
def test_a_spool_that_stays_locked_is_another_agentd_s_in_the_end(tmp_path, said):
    fd = left_locked(tmp_path, said)
    pauses = []
    with pytest.raises(SpoolTaken):
        take(str(tmp_path), pause=pauses.append)
    os.close(fd)
    assert 5 < sum(pauses) < 60


def test_a_spool_of_an_agentd_that_lives_is_not_waited_for(tmp_path):
    fd = left_locked(tmp_path, b"%d\n" % os.getppid())
    with pytest.raises(SpoolTaken):
        take(str(tmp_path), pause=lambda _: pytest.fail("it waits"))
    os.close(fd)


# --- a host that was started anew -----------------------------------------------------------------


def test_a_claim_of_this_boot_that_was_not_started_may_be_started(spool):
    spool.claim(KEY, SPEC)
    assert ensured(spool) == ("not_started", "")


def test_a_claim_of_another_boot_may_have_been_started_and_is_lost(spool):
    spool.claim(KEY, SPEC)
    spool.boot_id = "another"
    assert ensured(spool) == (
        "lost",
        "lost: the host was rebooted, so whether it began is not known",
    )


def test_a_process_that_had_begun_before_the_reboot_is_lost(spool):
    spool.claim(KEY, SPEC)
    write(f"{spool.runs}/{KEY}/record", STARTED, f"k.1 {spool.boot_id} 1 1 1")
    spool.boot_id = "another"
    assert ensured(spool, alive=7) == ("lost", "lost: the host was rebooted")


def test_an_exit_on_record_is_an_exit_whatever_became_of_the_host(spool):
    spool.claim(KEY, SPEC)
    write(f"{spool.runs}/{KEY}/record", STARTED, f"k.1 {spool.boot_id} 1 1 1")
    write(f"{spool.runs}/{KEY}/record", EXIT, "E 5 no such program")
    spool.boot_id = "another"
    assert ensured(spool) == ("done", "")


def test_a_claim_of_an_agentd_that_noted_no_boot_is_taken_as_before(spool):
    spool.claim(KEY, SPEC)
    with open(f"{spool.runs}/{KEY}/record", "r+b") as file:
        file.seek(24)
        file.write(bytes(40))
    assert ensured(spool) == ("not_started", "")


# --- what else lies there -------------------------------------------------------------------------

ODD = [
    "r1", "r01.1", "r1.0", "r1.01", "r1.1.bak", "r1.1\n", "R1.1", "r\u0661.1", "r-1.1", "..r1.1",
    "r" + "9" * 20 + ".1", "r1." + "1" * 10, "r1." + "1" * 200, ".free-\u00b2",
]  # fmt: skip


def test_only_folders_with_the_exact_name_of_a_claim_are_claims(tmp_path):
    spool = Spool(str(tmp_path))
    spool.claim(KEY, SPEC)
    spool.close()
    (tmp_path / "elsewhere" / "r9.1").mkdir(parents=True)
    (tmp_path / "runs" / "r2.1").symlink_to(tmp_path / "runs" / "r1.1")
    (tmp_path / "runs" / "r3.1").write_text("")
    for name in ODD:
        (tmp_path / "runs" / name).mkdir()
    again = Spool(str(tmp_path))
    assert again.keys == [KEY]
    assert all((tmp_path / "runs" / name).exists() for name in ODD)
    again.close()


def test_what_a_record_was_made_to_point_to_is_neither_read_nor_written(spool, tmp_path):
    spool.claim(KEY, SPEC)
    record = tmp_path / "runs" / str(KEY) / "record"
    record.rename(tmp_path / "theirs")
    record.symlink_to(tmp_path / "theirs")
    before = (tmp_path / "theirs").read_bytes()
    with pytest.raises(BadRecord):
        spool.read(KEY)
    for act in (lambda: spool.note(KEY, ["stop"]), lambda: write(str(record), EXIT, "E 1 x")):
        with pytest.raises(OSError, match="Too many levels"):
            act()
    assert (tmp_path / "theirs").read_bytes() == before


# --- what was spoilt ----------------------------------------------------------------------------


@pytest.mark.parametrize("spoilt", [b"", b"\xff\xfe", b"../x\n", b"a b\n", b"x" * 99])
def test_a_spoilt_id_is_made_anew_and_kept(tmp_path, spoilt, caplog):
    (tmp_path / "id").write_bytes(spoilt)
    spool = Spool(str(tmp_path))
    cookie = spool.cookie(KEY)
    spool.close()
    assert "is no id of a spool" in caplog.text
    again = Spool(str(tmp_path))
    assert again.cookie(KEY) == cookie
    again.close()


@pytest.mark.parametrize(
    ("slot", "text"),
    [
        (EXIT, "X 1790000000000000 99999999999 0 1 1" + " 0" * 10),
        (EXIT, "X " + "9" * 30 + " 0 0 1 1" + " 0" * 10),
        (EXIT, "X 1_0 0 0 1 1" + " 0" * 10),
        (EXIT, "E -5 no such file"),
        (STARTED, "k.1 BOOT " + "9" * 30 + " 1 1"),
        (PID, "x y"),
        (PID, "1"),
    ],
)
def test_numbers_that_could_not_be_told_are_no_record(spool, slot, text):
    spool.claim(KEY, SPEC)
    path = f"{spool.runs}/{KEY}/record"
    write(path, STARTED, f"k.1 {spool.boot_id} 1 1 1")
    write(path, slot, text.replace("BOOT", spool.boot_id))
    with pytest.raises(BadRecord):
        ensured(spool)


def test_a_claim_without_arguments_is_no_record(spool):
    spool.claim(KEY, Spec(program=BoundProcess(argv=()), argv=(), env={}))
    with pytest.raises(BadRecord, match="no arguments"):
        ensured(spool)


def test_of_acts_only_those_that_can_be_read_are_taken(spool):
    spool.claim(KEY, SPEC)
    spool.note(
        KEY, ["stop 1 SIGTERM", "kill", "stop x SIGTERM", "kill 2 SIGKILL", "", "signal 3 15 a"]
    )
    assert spool.read(KEY).acts == ("stop 1 SIGTERM", "kill 2 SIGKILL", "signal 3 15 a")


@pytest.mark.parametrize("text", ["9" * 21, "-7"])
def test_an_epoch_that_none_can_be_is_an_epoch_of_none(tmp_path, text):
    (tmp_path / "epoch").write_text(text)
    spool = Spool(str(tmp_path))
    assert spool.epoch.read() == 0
    spool.close()


# --- what is used again ---------------------------------------------------------------------------


def a_claim(spool, run_id, text=""):
    """Claim, and return where the output of it goes, with the text written."""
    key = Key(run_id, 1)
    spool.claim(key, SPEC)
    path = f"{spool.runs}/{key}/out"
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)
    return key, path


def test_the_files_of_a_forgotten_claim_are_used_again(spool):
    key, out = a_claim(spool, "r1")
    inodes = {os.stat(path).st_ino for path in (out, f"{spool.runs}/{key}/record")}
    spool.forget(key)
    key, out = a_claim(spool, "r2")
    assert {os.stat(path).st_ino for path in (out, f"{spool.runs}/{key}/record")} == inodes


def test_whoever_writes_on_after_its_run_is_forgotten_writes_into_no_other(spool):
    key, out = a_claim(spool, "r1")
    with open(out, "a", encoding="utf-8") as stray:
        spool.forget(key)
        _, other = a_claim(spool, "r2")
        stray.write("late")
    with open(other, encoding="utf-8") as file:
        assert not file.read()


@pytest.mark.parametrize("name", ["out", *sorted(OF_ONE_RUN)])
def test_what_is_left_of_a_claim_is_not_there_for_the_next(spool, name):
    key, out = a_claim(spool, "r1", "text" if name == "out" else "")
    if name != "out":
        with open(f"{spool.runs}/{key}/{name}", "w", encoding="utf-8") as file:
            file.write("text")
    spool.forget(key)
    key, out = a_claim(spool, "r2")
    assert os.stat(out).st_size == 0
    assert sorted(os.listdir(f"{spool.runs}/{key}")) == ["out", "record"]
