"""What the spool keeps of its own, besides claims."""

from __future__ import annotations

import os

from callsheet.agentd.spool import EPOCH_BYTES, Spool


def test_the_highest_epoch_is_kept_in_the_room_taken_at_the_start(tmp_path):
    spool = Spool(str(tmp_path))
    assert spool.epoch() == 0
    for epoch in (1, 7, 2**62):
        spool.remember_epoch(epoch)
        assert spool.epoch() == epoch
        assert os.stat(tmp_path / "epoch").st_size == EPOCH_BYTES
    spool.close()
    again = Spool(str(tmp_path))
    assert again.epoch() == 2**62
    again.close()


def test_an_epoch_file_of_nonsense_is_an_epoch_of_none(tmp_path):
    (tmp_path / "epoch").write_text("soon\n")
    spool = Spool(str(tmp_path))
    assert spool.epoch() == 0
    spool.close()
