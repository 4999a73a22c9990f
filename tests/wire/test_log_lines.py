"""A line of a log: whole, structured, about a run and its cause, and without any secret."""

import base64
import json
import logging
import sys
from urllib.parse import quote

import pytest

from callsheet.jobs import masking
from callsheet.messages.access import Access, Role
from callsheet.messages.instructions import AttemptStarted
from callsheet.messages.wishes import LedgerWish, SkipRun
from callsheet.wire.log_lines import JsonFormatter, TextFormatter, about, now

CANARY = "canary/7f3a+Zz?9"
ALL = Access(role=Role.ADMIN)


@pytest.fixture(autouse=True)
def knows_nothing():
    masking.forget()
    yield
    masking.forget()
    now.at = None


def a_record(message, *args, **fields):
    made = {"msg": message, "args": args, "name": "callsheet.x", "levelno": 30}
    return logging.makeLogRecord(made | {"levelname": "WARNING"} | fields)


def as_json(record):
    text = JsonFormatter("ledger").format(record)
    assert "\n" not in text
    return json.loads(text)


def test_json_is_one_object_a_line_whatever_is_said():
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = a_record('a "quoted"\nmessage\x00 – %s', "ü\u2028", exc_info=sys.exc_info())
    found = as_json(record)
    assert found["message"] == 'a "quoted"\nmessage\x00 – ü\u2028'
    assert "ValueError: two\nlines" in found["exception"]
    assert (found["level"], found["part"], found["logger"]) == ("warning", "ledger", "callsheet.x")
    assert found["time"].endswith("Z")


def test_a_line_says_which_run_and_which_cause():
    found = as_json(a_record("it moved", **about(run_id="r7", cause="wish-1", seq=3)))
    assert (found["run_id"], found["cause"], found["seq"]) == ("r7", "wish-1", 3)


def test_while_a_message_is_played_lines_are_about_it():
    now.at = ("runner/0", AttemptStarted(run_id="r9", attempt=1, at_us=1))
    assert as_json(a_record("odd"))["run_id"] == "r9"
    assert as_json(a_record("odd"))["cause"] == "runner/0"
    wish = LedgerWish(
        command_id="c-1", principal="ann", instruction=SkipRun(run_id="r10"), access=ALL
    )
    now.at = ("web/0", wish)
    found = as_json(a_record("odd"))
    assert (found["run_id"], found["cause"]) == ("r10", "c-1")
    assert TextFormatter().format(a_record("odd")).endswith("W odd [run_id=r10 cause=c-1]")
    assert TextFormatter().format(a_record("run r10: odd")).endswith("W run r10: odd")


@pytest.mark.parametrize(
    "sentence", ["run r12: odd", "claim r12.3: odd", "output of r12: odd", "action r12/4/0: odd"]
)
def test_a_run_that_the_sentence_names_is_a_field(sentence):
    assert as_json(a_record(sentence))["run_id"] == "r12"


def test_a_line_beyond_all_measure_is_cut():
    assert len(JsonFormatter("web").format(a_record("x" * 10**6))) < 10**5
    assert len(TextFormatter().format(a_record("x" * 10**6))) < 10**5


FORMS = {
    "plain": CANARY,
    "in a sentence": f"the server said {CANARY}.",
    "in JSON": json.dumps({"key": CANARY}),
    "in a URL": f"https://example.org/?k={quote(CANARY, safe='')}",
    "base64": base64.b64encode(CANARY.encode()).decode(),
    "base64 of a URL": base64.urlsafe_b64encode(CANARY.encode()).decode(),
    "base64 after a user": base64.b64encode(f"ann:{CANARY}".encode()).decode(),
    "base64 after two": base64.b64encode(f"an:{CANARY}!".encode()).decode(),
    "repr": repr({"x": CANARY}),
}


def leaks(text):
    """Whether the secret, or most of it in base64, is there to be read."""
    core = [base64.b64encode(b"-" * n + CANARY.encode()).decode()[4:-4] for n in range(3)]
    core += [one.replace("+", "-").replace("/", "_") for one in core]
    return any(form in text for form in (CANARY, quote(CANARY, safe=""), *core))


@pytest.mark.parametrize("name", FORMS)
def test_a_secret_that_was_read_is_in_no_line(name):
    text = FORMS[name]
    assert leaks(text)
    masking.remember(CANARY)
    for formatter in (TextFormatter(), JsonFormatter("web")):
        assert not leaks(formatter.format(a_record("said: %s", text)))
        assert not leaks(formatter.format(a_record("about it", **about(cause=text))))
        try:
            raise RuntimeError(text)
        except RuntimeError:
            record = a_record("failed", exc_info=sys.exc_info())
        assert not leaks(formatter.format(record))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer ***"),
        ("Basic YW5uOnNlc2FtZQ==", "Basic ***"),
        ("token cst_abcdefghijklmnopqrstuv", "token ***"),
        ("postgres://ann:sesame@db/x", "postgres://***@db/x"),
        ("GET /x?api_key=abc&y=1", "GET /x?api_key=***&y=1"),
        ("SMTP_PASSWORD=sesame next", "SMTP_PASSWORD=*** next"),
        # What only sounds like one stays.
        ("secret: expected a text", "secret: expected a text"),
        ("token a1b2c3 was revoked", "token a1b2c3 was revoked"),
        ("http://127.0.0.1:5000/a@b", "http://127.0.0.1:5000/a@b"),
        ("the basic rules", "the basic rules"),
        ("bearer of news", "bearer of news"),
    ],
)
def test_what_looks_like_a_secret_is_masked_though_nobody_has_read_it(text, masked):
    assert masking.mask(text) == masked


def test_a_text_that_is_too_short_is_no_secret():
    masking.remember("abc")
    assert masking.mask("abc") == "abc"


def test_of_several_secrets_the_longest_is_masked_whole():
    masking.remember("sesame")
    masking.remember("sesame-open-now")
    assert masking.mask("say sesame-open-now or sesame") == "say *** or ***"
