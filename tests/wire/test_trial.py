"""Whether a server could begin, asked of a process of its own."""

import os
import sys
import time

from callsheet.wire import trial as trials
from callsheet.wire.trial import Trial


def saying(code: str) -> Trial:
    return Trial((sys.executable, "-c", code))


def test_what_is_wrong_is_one_sentence_without_the_name_of_a_command():
    code = "import sys; sys.exit('Error: a.yaml:1:2: wrong\\ncallsheet: and more')"
    assert saying(code).wait() == "a.yaml:1:2: wrong; and more"
    assert saying("raise SystemExit(3)").wait() == "the try ended with status 3"


def test_nothing_wrong_and_nothing_to_try_are_empty():
    assert saying("print('could')").wait() == ""
    assert Trial(()).wait() == ""


def test_a_command_that_is_not_there_is_what_is_wrong():
    assert "No such file" in Trial(("/no/such/command",)).wait()


def test_a_try_that_does_not_end_is_given_up_and_leaves_nothing(monkeypatch):
    monkeypatch.setattr(trials, "TRIAL_S", 0.05)
    before = len(os.listdir("/proc/self/fd"))
    assert saying("import time; time.sleep(600)").wait() == "the settings were not read in 0 s"
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_outcome_is_told_once_and_a_new_try_takes_the_place_of_one_under_way():
    trial = saying("import sys; sys.stdin.read()")
    trial.begin()
    trial.begin()
    until_s = time.monotonic() + 60
    while (outcome := trial.outcome()) is None:
        assert time.monotonic() < until_s
        time.sleep(0.005)
    assert outcome == ""
    assert trial.outcome() is None
