"""The event stream and the sockets of the contract, against a real ledger core."""

import asyncio
import base64
import logging

import pytest
from live_server import until
from web_stand import WebStand, a_job, now_us
from websockets.exceptions import ConnectionClosed

from callsheet.client import Client
from callsheet.jobs.states import State
from callsheet.messages.agents import AgentInfo
from callsheet.messages.instructions import OutputRecord
from callsheet.wire.log_feed import LogSender

STREAM = "/api/v2/stream"
WAIT_S = 60.0


def position(stand):
    """Where the list stands, as a client says it to resume."""
    _, body = stand.ask("GET", "/api/v2/runs")
    return f"{body['epoch']}:{body['seq']}"


def test_the_stream_begins_with_a_beat_and_beats_on(stand, open_socket):
    socket = open_socket(STREAM)
    first = socket.next()["beat"]
    second = socket.until(lambda message: "beat" in message)["beat"]
    assert {"epoch", "seq", "time"} <= set(first)
    assert second["time"] > first["time"]


def test_a_run_that_moves_is_sent_to_who_follows_its_query(stand, open_socket):
    socket = open_socket(STREAM)
    socket.send(op="subscribe", id="all", topic="runs")
    socket.send(op="subscribe", id="others", topic="runs", job="grp")
    socket.send(op="subscribe", id="owned", topic="runs", owner=["ada", "grace"])
    assert socket.about("all")["runs"] == []
    assert socket.about("others")["runs"] == []
    assert socket.about("owned")["runs"] == []
    run_id = stand.a_run(args={"k": "v"})
    message = socket.about("all")
    [record] = message["runs"]
    assert (record["run_id"], record["state"], record["args"]) == (run_id, "scheduled", {"k": "v"})
    assert message["seq"] >= record["version"]
    other = stand.a_run("grp/with params")
    assert [run["run_id"] for run in socket.about("others")["runs"]] == [other]


def test_a_run_that_leaves_a_query_is_sent_once_more(stand, open_socket):
    socket = open_socket(STREAM)
    socket.send(op="subscribe", id="q", topic="runs", state="scheduled")
    socket.about("q")
    run_id = stand.a_run()
    # The tick of its making is over then, and that of its skip another.
    assert [run["state"] for run in socket.about("q")["runs"]] == ["scheduled"]
    stand.ask("POST", f"/api/v1/runs/{run_id}/skip")
    assert [run["state"] for run in socket.about("q")["runs"]] == ["skipped"]


def test_several_moves_of_one_tick_give_one_record(stand, open_socket):
    socket = open_socket(STREAM)
    socket.send(op="subscribe", id="q", topic="runs")
    socket.about("q")
    stand.a_run(schedule_us=now_us())
    message = socket.until(
        lambda m: m.get("id") == "q" and m["runs"] and m["runs"][0]["state"] == "success"
    )
    assert len(message["runs"]) == 1


def test_resuming_brings_what_changed_since(stand, open_socket):
    stand.a_run()
    since = position(stand)
    changed = stand.a_run()
    stand.ask("POST", f"/api/v1/runs/{changed}/skip")
    socket = open_socket(STREAM)
    socket.send(op="subscribe", id="q", topic="runs", resume=since)
    assert [run["run_id"] for run in socket.about("q")["runs"]] == [changed]


def test_resuming_from_what_is_not_known_asks_to_read_again(open_socket):
    socket = open_socket(STREAM)
    socket.send(op="subscribe", id="q", topic="runs", resume="9:1")
    assert socket.about("q")["resync"] is True


def test_a_new_ledger_is_followed_without_a_resync(stand, open_socket):
    socket = open_socket(STREAM)
    socket.send(op="subscribe", id="q", topic="runs")
    socket.about("q")
    stand.restart_ledger()
    run_id = stand.a_run()
    message = socket.about("q")
    assert [run["run_id"] for run in message["runs"]] == [run_id]
    assert message["epoch"] == 2


def test_frames_lost_on_the_feed_are_made_up(stand, open_socket):
    socket = open_socket(STREAM)
    socket.send(op="subscribe", id="q", topic="runs")
    socket.about("q")
    stand.lost.add("feed")
    first = stand.a_run()
    # It is over by the time it is asked for, so that the ledger does not remember it.
    over = stand.a_run(schedule_us=now_us())
    stand.lost.discard("feed")
    found = {}
    while not (first in found and found.get(over) == "success"):
        found.update((run["run_id"], run["state"]) for run in socket.about("q")["runs"])


def test_a_run_topic_has_the_log_first_and_then_its_new_lines(stand, open_socket):
    run_id = stand.a_run()
    socket = open_socket(STREAM)
    socket.send(op="subscribe", id="r", topic="run", run_id=run_id)
    first = socket.about("r")
    assert first["run"]["run_id"] == run_id
    assert [line["state"] for line in first["log"]] == ["scheduled"]
    stand.ask("POST", f"/api/v2/runs/{run_id}/skip", {"reason": "not today"})
    second = socket.about("r")
    assert second["run"]["state"] == "skipped"
    assert [line["message"] for line in second["log"]] == ["skipped: not today"]


def test_a_run_topic_of_an_unknown_run_is_refused(open_socket):
    socket = open_socket(STREAM)
    socket.send(op="subscribe", id="r", topic="run", run_id="r999")
    message = socket.about("r")
    assert (message["status"], message["error"]) == (404, "unknown run r999")


@pytest.mark.parametrize(
    "op",
    [
        {"op": "subscribe", "id": "x", "topic": "odd"},
        {"op": "odd", "id": "x"},
        {"op": "subscribe", "id": "x", "topic": "runs", "state": "odd"},
        {"op": "subscribe", "id": "x", "topic": "runs", "resume": "now"},
        {"op": "subscribe", "id": "x" * 101, "topic": "runs"},
        {"op": "subscribe", "topic": "runs"},
        {"op": "subscribe", "id": "x", "topic": "runs", "state": 7},
    ],
)
def test_a_bad_op_is_answered_and_the_socket_goes_on(open_socket, op):
    socket = open_socket(STREAM)
    socket.send(**op)
    assert socket.until(lambda message: "error" in message)["status"] == 400
    socket.send(op="subscribe", id="good", topic="runs")
    assert socket.about("good")["runs"] == []


def test_a_mistyped_term_is_no_subscription_to_all_runs(stand, open_socket):
    socket = open_socket(STREAM)
    socket.send(op="subscribe", id="a", topic="runs", lable="nightly")
    refused = socket.about("a")
    assert refused["status"] == 400
    assert "unknown field `lable`: expected op, id, topic, " in refused["error"]
    socket.send(op="subscribe", id="b", topic="runs", agent="a1")
    assert socket.about("b")["runs"] == []
    stand.a_run()
    socket.send(op="subscribe", id="c", topic="runs")
    assert socket.until(lambda message: "id" in message)["id"] == "c"


def test_what_is_not_json_is_answered(open_socket):
    socket = open_socket(STREAM)
    for junk in ("", "{", "[" * 10_000, b"\xff\x00"):
        socket.socket.send(junk)
        assert socket.until(lambda message: "error" in message)["status"] == 400


def test_after_unsubscribing_nothing_more_comes(stand, open_socket):
    socket = open_socket(STREAM)
    socket.send(op="subscribe", id="a", topic="runs")
    socket.about("a")
    socket.send(op="unsubscribe", id="a")
    socket.send(op="subscribe", id="b", topic="runs")
    socket.about("b")
    stand.a_run()
    assert socket.until(lambda message: "id" in message)["id"] == "b"


def test_changes_of_jobs_are_named(stand, open_socket):
    socket = open_socket(STREAM)
    socket.send(op="subscribe", id="j", topic="jobs")
    socket.about("j")
    stand.apply(a_job("new one"))
    changed = socket.about("j")["jobs_changed"]
    assert changed == {"added": ["new one"], "changed": [], "removed": []}


def test_agents_are_sent_when_they_change(stand, open_socket):
    socket = open_socket(STREAM)
    socket.send(op="subscribe", id="g", topic="agents")
    assert socket.until(lambda m: m.get("id") == "g" and "agents" in m)["agents"] == []
    stand.agents = [an_agent()]
    [agent] = socket.until(lambda m: m.get("id") == "g" and m.get("agents"))["agents"]
    assert (agent["agent_id"], agent["connected"]) == ("one", True)


def test_findings_are_sent_first_as_they_are(open_socket):
    socket = open_socket(STREAM)
    socket.send(op="subscribe", id="c", topic="checks")
    assert socket.about("c")["checks"] == {"checked_at": None, "findings": []}


def test_output_of_a_finished_run_comes_whole_and_ends(stand, open_socket):
    run_id = stand.a_running_run()
    data = "grüße\n".encode() * 100_000
    stand.end_run(run_id, outputs=[OutputRecord(run_id=run_id, length=len(data), data=data)])
    socket = open_socket(STREAM)
    socket.send(op="subscribe", id="o", topic="output", run_id=run_id, start=0)
    got, start = b"", 0
    while True:
        message = socket.about("o")
        assert message["start"] == start
        part = message["data"].encode()
        got, start = got + part, start + len(part)
        if message["ended"]:
            break
    assert got == data


def test_output_that_is_not_text_comes_as_base64(stand, open_socket):
    run_id = stand.a_running_run()
    stand.end_run(run_id, outputs=[OutputRecord(run_id=run_id, length=3, data=b"a\xff\x80")])
    socket = open_socket(STREAM)
    socket.send(op="subscribe", id="o", topic="output", run_id=run_id, start=-2)
    message = socket.about("o")
    assert (message["start"], base64.b64decode(message["b64"])) == (1, b"\xff\x80")


def test_output_of_a_run_without_any_ends_at_once(stand, open_socket):
    run_id = stand.a_run(schedule_us=now_us())
    socket = open_socket(STREAM)
    socket.send(op="subscribe", id="o", topic="output", run_id=run_id, start=0)
    message = socket.about("o")
    assert (message["data"], message["ended"]) == ("", True)


# --- the contract's sockets -----------------------------------------------------------------------


def an_agent():
    return AgentInfo(
        agent_id="one", group_id="default", connected=True, first_seen_us=1, last_seen_us=2
    )


def test_summary_begins_with_jobs_agents_and_runs(stand, open_socket):
    stand.agents = [an_agent()]
    expected, over = stand.a_run(), stand.a_run(schedule_us=now_us())
    socket = open_socket("/api/v1/summary?init")
    messages = []
    while sum(message["type"] == "run_summary" for message in messages) < 2:
        messages += socket.next()
    kinds = [message["type"] for message in messages]
    assert kinds == ["job"] * 4 + ["agent_conn"] + ["run_summary"] * 2
    ids = [m["run_summary"]["run_id"] for m in messages if m["type"] == "run_summary"]
    assert ids == [expected, over]
    assert messages[4]["conn"]["info"]["conn"]["conn_id"] == "one"


def test_summary_without_init_has_what_happens_from_now_on(stand, open_socket):
    stand.a_run()
    socket = open_socket("/api/v1/summary")
    # It follows as soon as it is open, but only the server knows when; so until it is heard.
    heard = []
    while "grp/with params" not in heard:
        stand.a_run("grp/with params")
        try:
            messages = socket.next(0.2)
        except TimeoutError:
            continue
        assert {message["type"] for message in messages} == {"run_transition"}
        heard += [message["run_summary"]["job_id"] for message in messages]


def test_run_updates_begin_whole_and_go_on(stand, open_socket):
    run_id = stand.a_run()
    socket = open_socket(f"/api/v1/runs/{run_id}/updates?init")
    first = socket.next()
    assert set(first) == {"run", "meta", "run_log", "outputs"}
    stand.ask("POST", f"/api/v1/runs/{run_id}/skip")
    assert socket.next()["run_log_append"]["message"] == "skipped"
    assert socket.next()["run"]["state"] == "skipped"


def test_run_updates_name_outputs_before_the_final_state(stand, open_socket):
    run_id = stand.a_running_run()
    socket = open_socket(f"/api/v1/runs/{run_id}/updates?init")
    socket.next()
    record = OutputRecord(run_id=run_id, length=2, data=b"hi")
    stand.end_run(run_id, State.SUCCESS, outputs=[record], meta={"elapsed": 1.5})
    kinds = []
    while not kinds or "run" not in kinds[-1]:
        kinds.append(socket.next())
    assert [next(iter(kind)) for kind in kinds] == ["run_log_append", "outputs", "run"]
    assert kinds[1]["outputs"]["output"]["length"] == 2
    assert "meta" in kinds[2]


@pytest.mark.parametrize("path", ["updates", "updates?init", "output/output/updates?start=0"])
def test_a_socket_of_an_unknown_run_is_closed_at_once(open_socket, path):
    socket = open_socket(f"/api/v1/runs/r999/{path}")
    with pytest.raises(ConnectionClosed) as closed:
        socket.next()
    assert closed.value.rcvd.code == 1000


def test_output_frames_have_headers_and_are_contiguous(stand, open_socket):
    run_id = stand.a_running_run()
    data = bytes(range(256)) * 4000
    stand.end_run(run_id, outputs=[OutputRecord(run_id=run_id, length=len(data), data=data)])
    socket = open_socket(f"/api/v1/runs/{run_id}/output/output/updates?start=5").socket
    head, _, part = socket.recv(timeout=WAIT_S).partition(b"\r\n\r\n")
    assert part == data[5 : 5 + len(part)]
    assert head.split(b"\r\n") == [
        b"Content-Type: application/octet-stream",
        b"Content-Range: bytes=5-%d/%d" % (4 + len(part), len(data)),
        b"Content-Length: %d" % len(part),
    ]


def test_the_client_follows_an_output_to_its_end(stand):
    run_id = stand.a_running_run()
    data = b"line\n" * 200_000

    async def follow():
        got = b""
        async for part in client.get_output_data_updates(run_id, "output", start=0):
            got += part
        return got

    stand.end_run(run_id, outputs=[OutputRecord(run_id=run_id, length=len(data), data=data)])
    with Client("127.0.0.1", stand.port) as client:
        assert asyncio.run(asyncio.wait_for(follow(), WAIT_S)) == data


# --- about the server -----------------------------------------------------------------------------


def test_pauses_are_sent_as_they_are_and_when_they_change(stand, open_socket):
    first, second = open_socket(STREAM), open_socket(STREAM)
    for socket in (first, second):
        socket.send(op="subscribe", id="p", topic="pauses")
        assert socket.about("p") == {"id": "p", "pauses": []}
    stand.ask("POST", "/api/v2/pause", {"kind": "job", "name": "a", "reason": "repairs"})
    for socket in (first, second):
        [pause] = socket.about("p")["pauses"]
        assert (pause["kind"], pause["name"], pause["reason"]) == ("job", "a", "repairs")
    stand.ask("POST", "/api/v2/resume", {"kind": "job", "name": "a"})
    assert first.about("p")["pauses"] == []


def test_a_second_follower_of_findings_gets_what_is_known(open_socket):
    for socket in (open_socket(STREAM), open_socket(STREAM)):
        socket.send(op="subscribe", id="c", topic="checks")
        assert socket.about("c")["checks"] == {"checked_at": None, "findings": []}


@pytest.fixture
def logged(tmp_path):
    """A server that takes lines of the log, and who writes them."""
    path = str(tmp_path / "log")
    stand = WebStand(tmp_path, log_socket=path)
    logger = logging.getLogger("callsheet.test")
    logger.setLevel(logging.INFO)
    sender = LogSender(path, "waiter")
    logger.addHandler(sender)
    until((tmp_path / "log").exists, "the socket of the log")
    yield stand, logger
    logger.removeHandler(sender)
    sender.close()
    stand.close()


@pytest.fixture
def follow_log(logged, socket_at):
    def followed(**terms):
        socket = socket_at(logged[0].port, STREAM)
        socket.send(op="subscribe", id="l", topic="log", **terms)
        return socket

    return followed


def test_the_server_log_is_sent_line_by_line_and_resumed(logged, follow_log):
    _, logger = logged
    logger.warning("one")
    socket = follow_log()
    lines = []
    while len(lines) < 1:
        lines += socket.about("l")["log"]
    logger.error("two")
    message = socket.about("l")
    lines += message["log"]
    assert [(one["level"], one["message"]) for one in lines] == [
        ("warning", "one"),
        ("error", "two"),
    ]
    socket.socket.close()
    logger.info("three")
    logger.error("four")
    again = follow_log(resume=f"{message['epoch']}:{message['seq']}", level="warning")
    lines = []
    while not lines:
        lines += again.about("l")["log"]
    assert [one["message"] for one in lines] == ["four"]


def test_log_lines_that_are_not_kept_any_more_are_said_to_be_missing(follow_log):
    socket = follow_log(resume="1:1")
    assert socket.about("l")["resync"] is True
    assert socket.about("l")["log"] == []
    socket.send(op="subscribe", id="m", topic="log", level="loud")
    assert socket.about("m")["status"] == 400
