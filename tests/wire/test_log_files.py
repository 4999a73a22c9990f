"""Log files lose no line: rolled over, taken away, their writer killed, their disk full."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from callsheet.wire.log_files import LogPlan, RollingFile, begin_logs
from callsheet.wire.log_lines import TextFormatter

MINUTE_US = 60 * 10**6


class Clock:
    def __init__(self):
        self.now_us = 1_795_000_000 * 10**6

    def __call__(self):
        return self.now_us


@pytest.fixture
def log_to(tmp_path):
    """Make handlers of a file; `(handler, say)`, where `say(text)` logs a line."""
    handlers = []

    def made(**options):
        handler = RollingFile(str(tmp_path / "a.log"), **options)
        handlers.append(handler)

        def say(text):
            handler.handle(logging.makeLogRecord({"msg": text, "levelno": logging.INFO}))

        return handler, say

    yield made
    for handler in handlers:
        handler.close()


def lines_of(handler):
    """All lines, of the files before this one too, in order."""
    paths = [Path(path) for path in (*handler.rolled(), handler.path)]
    return [line for path in paths if path.exists() for line in path.read_text().splitlines()]


def test_rolling_over_by_size_loses_and_doubles_no_line(log_to):
    handler, say = log_to(size_bytes=200, keep=1_000)
    for number in range(500):
        say(f"line {number}")
    assert lines_of(handler) == [f"line {number}" for number in range(500)]
    assert all(os.path.getsize(path) <= 200 for path in handler.rolled())


def test_as_many_files_are_kept_as_was_said_and_the_oldest_go(log_to):
    handler, say = log_to(size_bytes=20, keep=3)
    for number in range(40):
        say(f"line {number:03d} {'x' * 10}")
    assert len(handler.rolled()) == 3
    assert [line.split()[1] for line in lines_of(handler)] == ["036", "037", "038", "039"]


def test_after_the_clock_was_put_back_the_order_of_the_files_is_still_that_of_their_lines(log_to):
    clock = Clock()
    handler, say = log_to(size_bytes=10, keep=100, now_us=clock)
    for number in range(10):
        say(f"line {number}")
        clock.now_us -= 3 * MINUTE_US
    assert lines_of(handler) == [f"line {number}" for number in range(10)]


def test_a_file_of_another_day_is_rolled_over_also_by_a_process_that_did_not_begin_it(
    log_to, tmp_path
):
    clock = Clock()
    handler, say = log_to(every_us=60 * MINUTE_US, now_us=clock)
    say("before")
    os.utime(tmp_path / "a.log", ns=(clock.now_us * 1_000, clock.now_us * 1_000))
    handler.close()
    clock.now_us += 61 * MINUTE_US
    later, say = log_to(every_us=60 * MINUTE_US, now_us=clock)
    say("after")
    (rolled,) = later.rolled()
    assert Path(rolled).read_text() == "before\n"
    assert (tmp_path / "a.log").read_text() == "after\n"


def test_a_file_that_is_moved_away_is_left_and_a_new_one_begun_without_a_word(log_to, tmp_path):
    _handler, say = log_to()
    say("one")
    os.rename(tmp_path / "a.log", tmp_path / "moved")
    say("two")
    (tmp_path / "a.log").unlink()
    say("three")
    assert (tmp_path / "moved").read_text() == "one\n"
    assert (tmp_path / "a.log").read_text() == "three\n"


def test_two_writers_of_one_file_lose_no_line_while_both_roll_it_over(log_to):
    (one, say_one), (_two, say_two) = (log_to(size_bytes=100, keep=1_000) for _ in range(2))
    for number in range(200):
        say_one(f"one {number}")
        say_two(f"two {number}")
    said = lines_of(one)
    assert sorted(said) == sorted(f"{who} {n}" for who in ("one", "two") for n in range(200))


def test_a_disk_that_is_full_stops_nobody_and_how_much_is_missing_is_said(log_to, tmp_path):
    (tmp_path / "a.log").symlink_to("/dev/full")
    handler, say = log_to()
    for number in range(3):
        say(f"line {number}")
    assert handler.left_out == 3
    (tmp_path / "a.log").unlink()
    say("line 3")
    assert (tmp_path / "a.log").read_text().splitlines() == [
        "3 lines were left out here: they could not be written",
        "line 3",
    ]


def test_a_folder_that_is_gone_stops_nobody(tmp_path):
    handler = RollingFile(str(tmp_path / "gone" / "a.log"))
    handler.handle(logging.makeLogRecord({"msg": "a"}))
    assert handler.left_out == 1
    (tmp_path / "gone").mkdir()
    handler.handle(logging.makeLogRecord({"msg": "b"}))
    handler.close()
    assert "1 lines were left out" in (tmp_path / "gone" / "a.log").read_text()


def test_after_a_line_that_was_cut_off_the_next_one_is_a_line_of_its_own(log_to, tmp_path):
    (tmp_path / "a.log").write_text("whole\nhal")
    _handler, say = log_to()
    say("next")
    assert (tmp_path / "a.log").read_text() == "whole\nhal\nnext\n"


# Says after each line that it is written; rolls over all the time.
WRITER = """
import logging, sys
from callsheet.wire.log_files import RollingFile
handler = RollingFile(sys.argv[1], size_bytes=300, keep=100_000)
number = int(sys.argv[2])
while True:
    handler.handle(logging.makeLogRecord({"msg": f"line {number}"}))
    print(number, flush=True)
    number += 1
"""


def test_kill_9_of_a_writer_in_the_midst_of_rolling_over_loses_no_line(tmp_path):
    path = tmp_path / "a.log"
    upto = 0
    for _ in range(5):
        command = [sys.executable, "-c", WRITER, str(path), str(upto)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            for line in writer.stdout:
                if int(line) == upto + 60:
                    break
            writer.kill()
            rest = writer.stdout.read().split("\n")
        upto = max([upto + 60, *(int(one) for one in rest if one)]) + 1
        handler = RollingFile(str(path))
        said = [line for line in lines_of(handler) if line]
        # One more may have been written before its writer could say so.
        if said[-1] == f"line {upto}":
            upto += 1
        assert said == [f"line {number}" for number in range(upto)]


@pytest.fixture
def root_logger():
    """The logging of this process as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    yield root
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("callsheet.runs", "callsheet.requests"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_each_part_has_its_level_and_its_file(root_logger, tmp_path, capfd):
    plan = LogPlan(
        folder=str(tmp_path), level="warning", levels={"web": "debug", "runs": "info"}, style="text"
    )
    for part in ("web", "ledger"):
        begin_logs(plan, part)
        for name in ("callsheet.x", "callsheet.runs", "callsheet.requests"):
            logging.getLogger(name).info("%s says", name)
        logging.getLogger("callsheet.x").warning("a warning")
    web, ledger = ((tmp_path / f"{part}.log").read_text() for part in ("web", "ledger"))
    assert "callsheet.x says" in web
    assert "callsheet.requests says" in web, "who says all says this too"
    assert "callsheet.runs says" in web
    assert "callsheet.x says" not in ledger
    assert "callsheet.requests says" not in ledger
    assert "callsheet.runs says" in ledger
    assert [line.split(" ", 1)[1] for line in capfd.readouterr().err.splitlines()] == [
        "callsheet.x W a warning"
    ] * 2


def test_standard_error_may_be_silent(root_logger, tmp_path, capfd):
    begin_logs(LogPlan(folder=str(tmp_path), stderr="off"), "web")
    logging.getLogger("callsheet.x").critical("all is lost")
    assert capfd.readouterr().err == ""
    assert "all is lost" in (tmp_path / "web.log").read_text()


def test_a_line_that_cannot_be_made_stops_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    handler = RollingFile(str(tmp_path / "a.log"))
    handler.setFormatter(TextFormatter())
    handler.handle(logging.makeLogRecord({"msg": "%d", "args": ("no number",)}))
    handler.handle(logging.makeLogRecord({"msg": "next", "name": "x"}))
    handler.close()
    assert (tmp_path / "a.log").read_text().count("\n") == 1
