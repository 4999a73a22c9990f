"""Where sockets may be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import zmq
from cleaner import can_be_cleaned

from callsheet.jobs.errors import UserError
from callsheet.wire import sockets
from callsheet.wire.place import (
    AGENTS,
    LEDGER,
    NAMES,
    PATH_BYTES,
    PUBLIC,
    Place,
    UnsafeDirectory,
    address,
    begin_life,
    end_life,
    lead_here,
    run_directory,
)


def test_the_run_directory_is_private(tmp_path: Path) -> None:
    directory = run_directory(tmp_path / "state" / "run")
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_an_open_directory_of_ours_is_closed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    assert stat.S_IMODE(run_directory(tmp_path / "run").stat().st_mode) == 0o700


def test_a_path_too_long_for_a_socket_gets_a_short_one_each_time_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / "r"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    wanted = tmp_path / ("x" * PATH_BYTES) / "run"
    directory = run_directory(wanted)
    assert len(os.fsencode(directory / "scheduler")) <= PATH_BYTES
    assert run_directory(wanted) == directory
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    directory.rmdir()  # It is not below the folder of this test, whose path is too long as well.


def test_where_sockets_are_is_not_cleaned_while_the_server_lives(tmp_path: Path) -> None:
    run = run_directory(tmp_path / "run")
    assert can_be_cleaned(run)
    begin_life(run)
    assert not can_be_cleaned(run)


def test_a_link_to_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "other")
    with pytest.raises(UnsafeDirectory, match="not a directory"):
        run_directory(tmp_path / "run")


def test_inside_one_process_only_agents_come_from_outside(tmp_path: Path) -> None:
    place = Place(tmp_path, inside=True)
    assert place.bind("ledger") == ["inproc://callsheet-ledger"]
    assert place.bind("agents") == ["inproc://callsheet-agents", f"ipc://{tmp_path}/agents"]
    assert Place(tmp_path).bind("agents") == [f"ipc://{tmp_path}/agents"]


def test_two_lives_of_a_server_have_no_endpoint_in_common(tmp_path: Path) -> None:
    run = run_directory(tmp_path / "run")
    first, second = Place(begin_life(run)), Place(begin_life(run))
    assert stat.S_IMODE(first.directory.stat().st_mode) == 0o700
    for name in NAMES:
        assert {first.connect(name), first.path(name)}.isdisjoint(
            {second.connect(name), second.path(name)}
        )


def test_a_socket_of_a_life_that_is_over_takes_no_address_in_the_next(tmp_path: Path) -> None:
    """In one folder it would: what connects last has the address, and who had it is not told."""
    run = run_directory(tmp_path / "run")
    first, second = Place(begin_life(run)), Place(begin_life(run))
    tried = (zmq.EVENT_CONNECT_RETRIED, zmq.EVENT_HANDSHAKE_SUCCEEDED)
    with zmq.Context() as context:
        ended = sockets.router(context, first.bind(LEDGER))
        orphan, monitor = sockets.dealer(context, first.connect(LEDGER), "web/0", sum(tried))
        assert monitor is not None
        assert sockets.event_of(monitor.recv_multipart()) == zmq.EVENT_HANDSHAKE_SUCCEEDED
        ended.close()
        ledger = sockets.router(context, second.bind(LEDGER))
        web, _ = sockets.dealer(context, second.connect(LEDGER), "web/0")
        for socket in (monitor, ledger, web):
            socket.rcvtimeo = 60_000
        web.send(b"before")
        assert ledger.recv_multipart() == [b"web/0", b"before"]
        # It tries again and again, and is never let in.
        for _ in range(3):
            assert sockets.event_of(monitor.recv_multipart()) == zmq.EVENT_CONNECT_RETRIED
        web.send(b"after")
        assert ledger.recv_multipart() == [b"web/0", b"after"]
        ledger.send_multipart([b"web/0", b"answer"])
        assert web.recv() == b"answer"
        orphan.disable_monitor()
        for socket in (orphan, monitor, ledger, web):
            socket.close()


def test_the_longest_path_of_a_run_directory_leaves_room_for_sockets(tmp_path: Path) -> None:
    room = PATH_BYTES - len("/12345678/scheduler") - len(os.fsencode(tmp_path)) - 1
    wanted = tmp_path / ("x" * room)
    run = run_directory(wanted)
    assert run == wanted
    assert run_directory(tmp_path / ("x" * (room + 1))).parent != tmp_path
    place = Place(begin_life(run))
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.bind(*place.bind("scheduler"))


def test_who_comes_from_outside_finds_the_life_that_is(tmp_path: Path) -> None:
    run = run_directory(tmp_path / "run")
    with zmq.Context() as context:
        for told in (b"first", b"second"):
            life = begin_life(run)
            router, dealer = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
            for socket in (router, dealer):
                socket.linger, socket.rcvtimeo = 0, 60_000
            router.bind(*Place(life).bind(AGENTS))
            lead_here(life)
            dealer.connect(address(run, AGENTS))
            dealer.send(told)
            assert router.recv_multipart()[1] == told
            router.close()
            dealer.close()


def test_what_killed_lives_left_is_removed_once_the_next_server_has_the_database(
    tmp_path: Path,
) -> None:
    run = run_directory(tmp_path / "run")
    killed, other = begin_life(run), begin_life(run)
    for name in NAMES:
        (killed / name).touch()
    (other / "notes").touch()
    (run / "somebody's").mkdir()
    life = begin_life(run)
    (life / LEDGER).touch()
    assert killed.exists()
    lead_here(life)
    assert {entry.name for entry in run.iterdir()} == {
        *PUBLIC, life.name, other.name, "somebody's",
    }  # fmt: skip
    assert (life / LEDGER).exists()
    end_life(life)
    assert not life.exists()


def test_a_folder_that_takes_no_life_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(UserError, match=r"/run: Not a directory: expected a folder to make"):
        begin_life(tmp_path / "run")
