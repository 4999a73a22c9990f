"""What the spool keeps of its own, besides claims."""

from __future__ import annotations

import os

import pytest

from callsheet.agentd.host import Key, Spec
from callsheet.agentd.keeper_record import EXIT, STARTED, write
from callsheet.agentd.kept_number import BYTES
from callsheet.agentd.spool import Spool
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
