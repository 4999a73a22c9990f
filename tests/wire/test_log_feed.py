"""Lines of the log come to the web server when it takes them, and hold up nobody when not."""

import logging
import os

import pytest

from callsheet.wire.log_feed import LogSender, LogSocket
from callsheet.wire.log_lines import LINE_CHARACTERS, TextFormatter


@pytest.fixture
def logger(tmp_path):
    found = logging.getLogger("callsheet.test")
    found.setLevel(logging.INFO)
    sender = LogSender(str(tmp_path / "log"), "waiter")
    found.addHandler(sender)
    yield found
    found.removeHandler(sender)
    sender.close()


@pytest.fixture
def listen(tmp_path):
    opened = []

    def made():
        opened.append(LogSocket(str(tmp_path / "log")))
        return opened[-1]

    yield made
    for one in opened:
        one.close()


def test_a_line_arrives_with_whose_it_is(logger, listen):
    log = listen()
    logger.handlers[0].setFormatter(TextFormatter())
    logger.warning("a %s", "pool")
    [line] = log.take(10)
    names = ("part", "level", "logger", "message")
    assert [line.fields[name] for name in names] == [
        "waiter", "warning", "callsheet.test", "a pool",
    ]  # fmt: skip
    assert (line.level, line.lost) == ("warning", 0)


def test_an_error_arrives_with_its_traceback_cut_at_a_limit(logger, listen):
    log = listen()
    try:
        raise ValueError("x" * 2 * LINE_CHARACTERS)
    except ValueError:
        logger.exception("it failed")
    [line] = log.take(10)
    assert line.fields["message"] == "it failed"
    assert line.fields["exception"].startswith("Traceback")
    assert line.size < 2 * LINE_CHARACTERS


def test_what_nobody_takes_is_left_out_and_counted(logger, listen):
    logger.info("before there is anybody")
    log = listen()
    for n in range(5_000):
        logger.info("%d", n)
    taken = log.take(10_000)
    logger.info("after")
    [last] = log.take(10)
    assert taken[0].lost == 1
    assert 0 < len(taken) < 5_000
    assert len(taken) + last.lost == 5_000


def test_the_next_web_server_takes_the_place_of_one_that_was_killed(logger, tmp_path, listen):
    listen()
    log = listen()
    logger.info("here")
    assert [line.fields["message"] for line in log.take(10)] == ["here"]


def test_what_is_no_line_is_left_out(logger, tmp_path, listen):
    log = listen()
    sender = logger.handlers[0]
    logger.info("one")
    for junk in (b"", b"\xff", os.urandom(100), b"\x80"):
        sender._socket.sendto(junk, str(tmp_path / "log"))
    logger.info("two")
    assert [line.fields["message"] for line in log.take(10)] == ["one", "two"]
