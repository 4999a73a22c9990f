"""A whole server from its command: ready, refused, stopped, orphaned, inline."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live_server import ROLES

from callsheet.store.sqlite import SqliteReader, create_database

pytestmark = pytest.mark.slow

DEADLINE_S = 60.0
KEPT = {"supervisor", *ROLES}
COMMAND = "from callsheet.cli.serve_command import serve_command; serve_command()"


class Server:
    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.log = folder / f"log-{time.monotonic_ns()}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    COMMAND,
                    "--config",
                    str(folder / "callsheet.yaml"),
                    "--bind",
                    "127.0.0.1:0",
                    *options,
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def ready(self) -> str:
        """Return the console's address, once the server says it is ready."""
        until_s = time.monotonic() + DEADLINE_S
        while True:
            found = re.search(r"^callsheet: console at (\S+)$", self.log.read_text(), re.MULTILINE)
            if found:
                return found.group(1)
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until_s, self.log.read_text()
            time.sleep(0.01)

    def until(self, words: str, times: int = 1) -> None:
        """Wait until its log says this so many times."""
        until_s = time.monotonic() + DEADLINE_S
        while self.log.read_text().count(words) < times:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until_s, self.log.read_text()
            time.sleep(0.01)

    def pids(self) -> dict[str, int]:
        path = self.folder / "callsheet.db.state" / "processes.json"
        pids: dict[str, int] = json.loads(path.read_text())
        return pids

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def status(self) -> int:
        return self.process.wait(DEADLINE_S)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "callsheet.yaml").write_text("job_dir: jobs\ndatabase: callsheet.db\n")
    create_database(tmp_path / "callsheet.db")
    servers: list[Server] = []

    def start(*options: str) -> Server:
        servers.append(Server(tmp_path, *options))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()
    _end_keepers(tmp_path)


def _end_keepers(folder: Path) -> None:
    """Keepers outlive a server on purpose; those of the test's folder end with it."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if b"keeper.py" in arguments and str(folder).encode() in arguments:
            import os

            os.kill(int(entry.name), signal.SIGKILL)


def gone(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def answers(address: str) -> bool:
    with urllib.request.urlopen(f"{address}healthz", timeout=DEADLINE_S) as answer:
        status: int = answer.status
    return status == 200


def epoch(folder: Path) -> int:
    reader = SqliteReader(folder / "callsheet.db")
    try:
        return reader.head()[0]
    finally:
        reader.close()


def test_a_server_is_ready_answers_and_stops_with_all_its_processes(
    serve: Callable[..., Server],
) -> None:
    server = serve()
    assert answers(server.ready())
    pids = server.pids()
    assert set(pids) == KEPT
    assert server.stop() == 0
    assert all(gone(pid) for pid in pids.values())
    assert "Traceback" not in server.log.read_text()
    warned = "the server runs as root" in server.log.read_text()
    assert warned is (os.geteuid() == 0)


def test_a_second_server_on_a_database_is_refused_in_one_sentence(
    serve: Callable[..., Server],
) -> None:
    first = serve()
    address = first.ready()
    second = serve()
    assert second.status() == 2
    (line,) = second.log.read_text().splitlines()
    assert "in use" in line
    assert answers(address)
    assert epoch(first.folder) == 1


@pytest.mark.parametrize("options", [[], ["--inline"]])
def test_a_missing_database_is_one_sentence_and_none_is_made(
    serve: Callable[..., Server], tmp_path: Path, options: list[str]
) -> None:
    (tmp_path / "callsheet.db").unlink()
    server = serve(*options)
    assert server.status() == 1
    text = server.log.read_text()
    assert "there is no such file" in text
    assert "Traceback" not in text
    assert not (tmp_path / "callsheet.db").exists()


@pytest.mark.parametrize("options", [[], ["--inline"]])
def test_an_address_that_is_taken_is_one_sentence(
    serve: Callable[..., Server], options: list[str]
) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = serve("--bind", f"127.0.0.1:{taken.getsockname()[1]}", *options)
        assert server.status() == 1
    text = server.log.read_text()
    assert "expected a free address" in text
    assert "Traceback" not in text


def test_after_its_supervisor_was_killed_a_server_can_be_started_at_once(
    serve: Callable[..., Server],
) -> None:
    first = serve()
    first.ready()
    pids = first.pids()
    first.stop(signal.SIGKILL)
    second = serve()
    assert answers(second.ready())
    assert all(gone(pid) for pid in pids.values())
    assert epoch(first.folder) == 2


def test_a_hang_up_begins_anew_in_the_same_process(serve: Callable[..., Server]) -> None:
    server = serve()
    server.ready()
    server.process.send_signal(signal.SIGHUP)
    server.until("console at", 2)
    assert epoch(server.folder) == 2
    assert server.pids()["supervisor"] == server.process.pid
    assert server.stop() == 0


@pytest.mark.parametrize("options", [(), ("--inline",)])
def test_a_hang_up_leaves_the_server_when_it_could_not_begin_anew(
    serve: Callable[..., Server], options: tuple[str, ...]
) -> None:
    server = serve(*options)
    address = server.ready()
    settings = server.folder / "callsheet.yaml"
    good = settings.read_text()
    settings.write_text(good + "log: {level: loud}\n")
    server.process.send_signal(signal.SIGHUP)
    server.until("could not begin anew")
    assert "callsheet.yaml:3:" in server.log.read_text()
    assert "'loud'" in server.log.read_text()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{address}api/control/shut_down?restart", b"", DEADLINE_S)
    assert refused.value.code == 400
    assert "could not begin anew: " in json.loads(refused.value.read())["error"]
    assert answers(address)
    assert epoch(server.folder) == 1
    settings.write_text(good)
    server.process.send_signal(signal.SIGHUP)
    server.until("console at", 2)
    assert epoch(server.folder) == 2
    assert server.stop() == 0
    assert "told to end by SIGTERM" in server.log.read_text()


def test_whether_a_server_could_begin_is_said_beside_one(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve()
    server.ready()

    def tried(*options: str) -> tuple[int, str, str]:
        config = str(tmp_path / "callsheet.yaml")
        command = [sys.executable, "-c", COMMAND, "--config", config, *options, "--dry-run"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
        return done.returncode, done.stdout, done.stderr

    assert tried() == (0, f"{tmp_path / 'callsheet.yaml'}: a server could begin\n", "")
    status, said, wrong = tried("--bind", "0.0.0.0:5000", "-o", f"database={tmp_path / 'no.db'}")
    assert (status, said) == (1, "")
    assert "callsheet: bind: 0.0.0.0:5000: others than this machine can reach it" in wrong
    assert tried("--bind", "unix:")[2].startswith("callsheet: bind: 'unix:': not an address: ")
    assert server.stop() == 0


def test_settings_that_are_not_named_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "callsheet.yaml").write_text("job_dir: jobs\n")
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "--bind", "127.0.0.1:0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 1
    assert "callsheet.yaml is not read: expected --config callsheet.yaml" in done.stderr


def test_all_roles_may_share_one_process(serve: Callable[..., Server]) -> None:
    server = serve("--inline")
    assert answers(server.ready())
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


def test_no_role_carries_what_only_others_need() -> None:
    code = (
        "import sys, callsheet.cli.serve; early = 'tornado' in sys.modules;"
        "import callsheet.cli.web_role, callsheet.cli.inline;"
        "banned = {'sqlalchemy', 'fabric', 'apprise', 'rich'} & set(sys.modules);"
        "print(early, sorted(banned))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False []"


def test_what_roles_do_first_imports_nothing_that_was_not_there(tmp_path: Path) -> None:
    path = str(tmp_path / "callsheet.db")
    code = (
        "import sys, callsheet.cli.serve as serve; serve.do_first_times();"
        "from callsheet.store.sqlite import SqliteReader, SqliteWriter;"
        "from callsheet.store.migrate import create_database;"
        "known = set(sys.modules);"
        f"create_database({path!r}, 0);"
        f"SqliteWriter({path!r}).close(); SqliteReader({path!r}).close();"
        "from callsheet.agentd.procs import boot_id; boot_id();"
        "print(sorted(set(sys.modules) - known))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
