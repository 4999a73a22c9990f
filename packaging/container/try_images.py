"""Whether the images of server and agent do what they are for: run, stop, and lose nothing.

`make image` runs it with what it has built. Containers run with a read-only root, as the images'
users; everything that is kept is in two volumes. It starts a server, lets an agent of another
container in, runs a job on each, kills the server within its container, stops both, and starts
them over the same volumes: the history is there, and the agent comes back by its key.

    export ENGINE="podman" ENGINE_OPTIONS="--runtime runc" RUN_OPTIONS="--network host"
    python packaging/container/try_images.py
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

ENGINE = [
    os.environ.get("ENGINE") or "podman",
    *shlex.split(os.environ.get("ENGINE_OPTIONS", "")),
]
RUN_OPTIONS = shlex.split(os.environ.get("RUN_OPTIONS", ""))
# For whatever is waited for; a container that stops has as long before it is killed.
PATIENCE_S = 120
STATE = "/var/lib/callsheet"
SPOOL = "/var/lib/callsheet-agentd"
SETTINGS = """\
job_dir: /etc/callsheet/jobs
state_dir: /var/lib/callsheet
database: {path: /var/lib/callsheet/callsheet.db}
bind: ["127.0.0.1:%(web)d"]
agents: {listen: "tcp://127.0.0.1:%(agents)d", start_timeout: 120}
"""
JOBS = {
    "here.yaml": "program: {type: shell, command: 'echo by the server as $(id -un)'}\n",
    "there.yaml": (
        "program: {type: shell, command: 'echo by the agent as $(id -un)', group_id: other}\n"
    ),
    "orphan.yaml": "program: {type: shell, command: 'setsid sleep 1 & echo an orphan is left'}\n",
}


class NotSo(Exception):
    """The images do not do what they are for."""


def engine(*words: str, check: bool = True) -> str:
    """Run the engine; return what it printed.

    Raises:
        NotSo: it failed, with what it said.
    """
    done = subprocess.run([*ENGINE, *words], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise NotSo(f"{shlex.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def last_words(name: str) -> str:
    """Return the end of what a container has printed, to whatever it was."""
    done = subprocess.run(
        [*ENGINE, "logs", name],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout[-2000:].strip()


def until(look: Callable[[], T], what: str) -> T:
    """Look until there is something; return it."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.2)
    raise NotSo(f"{what}: not within {PATIENCE_S} s")


def say(sentence: str) -> None:
    """Tell what has been seen."""
    print(f"  {sentence}", flush=True)


class Trial:
    """Two containers, their volumes, and the folder with settings, jobs and token."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mark = f"callsheet-trial-{os.getpid()}"
        self.server, self.agent = f"{self._mark}-server", f"{self._mark}-agent"
        self._web, self._agents = free_ports(2)
        (folder / "jobs").mkdir()
        for name, text in JOBS.items():
            (folder / "jobs" / name).write_text(text)
        ports = {"web": self._web, "agents": self._agents}
        (folder / "callsheet.yaml").write_text(SETTINGS % ports)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def run(self, name: str, image: str, *options: str) -> None:
        """Start a container in the background, with a read-only root."""
        engine("run", "--detach", "--read-only", "--tmpfs", "/tmp", "--name", name,  # noqa: S108
               "--stop-timeout", str(PATIENCE_S), *RUN_OPTIONS, *options, image)  # fmt: skip

    def start_server(self) -> None:
        """Start the server over its volume, and wait until it is ready."""
        self.run(
            self.server, "localhost/callsheet",
            *("--volume", f"{self._mark}-state:{STATE}"),
            *("--volume", f"{self._folder}/callsheet.yaml:/etc/callsheet/callsheet.yaml:ro"),
            *("--volume", f"{self._folder}/jobs:/etc/callsheet/jobs:ro"),
        )  # fmt: skip
        self.wait_ready()

    def start_agent(self, *options: str) -> None:
        """Start the agent over its volume."""
        self.run(
            self.agent, "localhost/callsheet-agentd",
            *("--env", f"CALLSHEET_SERVER=tcp://127.0.0.1:{self._agents}"),
            *("--volume", f"{self._mark}-spool:{SPOOL}"), *options,
        )  # fmt: skip

    def wait_ready(self) -> None:
        """Wait for `/healthz/ready`; while the container is there at all."""

        def ready() -> bool:
            if "running" not in self.state(self.server):
                raise NotSo(f"the server's container ended: {last_words(self.server)}")
            address = f"http://127.0.0.1:{self._web}/healthz/ready"
            try:
                with urllib.request.urlopen(address, timeout=10) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        until(ready, "the server to be ready")

    def state(self, name: str) -> str:
        """Return the state of a container, empty when there is none."""
        return engine("inspect", "--format", "{{.State.Status}}", name, check=False)

    def ask(self, *words: str) -> str:
        """Run a command of callsheet in the server's container."""
        address = f"CALLSHEET_HOST=127.0.0.1:{self._web}"
        return engine("exec", "--env", address, self.server, *words)

    def job(self, job: str) -> str:
        """Run a job to its end; return its output."""
        run = json.loads(self.ask("callsheet", "schedule", "--format", "json", "now", job))
        run_id = found_id(run)

        def over() -> Any:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self._web}/api/v2/runs/{run_id}", timeout=30
            ) as answer:
                state = json.load(answer)["run"]["state"]
            return state if state in ("success", "failure", "error", "skipped") else None

        state = until(over, f"{job} to end")
        if state != "success":
            raise NotSo(f"{job}: {state}: {self.ask('callsheet', 'run', run_id)}")
        return self.ask("callsheet", "output", run_id).strip()

    def stop(self, name: str) -> None:
        """Stop a container in order, and remove it.

        Raises:
            NotSo: it had to be killed, or ended with another status than 0.
        """
        engine("stop", "--time", str(PATIENCE_S), name)
        status = engine("inspect", "--format", "{{.State.ExitCode}}", name).strip()
        if status != "0":
            raise NotSo(f"{name}: ended with {status}: {last_words(name)}")
        engine("rm", name)

    def token(self) -> Path:
        """Have the server make a token; return the file with it."""
        path = self._folder / "token"
        path.write_text(self.ask("callsheetctl", "agent", "token", "--group", "other"))
        return path

    def remove(self) -> None:
        """Leave nothing of this trial behind."""
        for name in (self.server, self.agent):
            engine("rm", "--force", name, check=False)
        for name in ("state", "spool"):
            engine("volume", "rm", "--force", f"{self._mark}-{name}", check=False)


def found_id(answer: Any) -> str:
    """Return the run's id in what `schedule` printed."""
    while isinstance(answer, list):
        (answer,) = answer
    return str(answer["run_id"])


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens at just now, each with a free one behind it."""
    with contextlib.ExitStack() as held:
        found = []
        while len(found) < count:
            one = held.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = one.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                held.enter_context(socket.create_server(("127.0.0.1", port + 1)))
                found.append(port)
        return found


@contextlib.contextmanager
def trial() -> Iterator[Trial]:
    """A trial whose containers and volumes go with it."""
    with tempfile.TemporaryDirectory() as folder:
        there = Trial(Path(folder))
        try:
            yield there
        except NotSo as error:
            error.add_note(f"server:\n{last_words(there.server)}")
            error.add_note(f"agent:\n{last_words(there.agent)}")
            raise
        finally:
            there.remove()


def processes(there: Trial) -> list[tuple[str, str, str]]:
    """Return (pid, state, command) of all processes of the server's container."""
    program = (
        "import os\n"
        "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
        "    try: stat = open(f'/proc/{pid}/stat').read(); "
        "line = open(f'/proc/{pid}/cmdline').read()\n"
        "    except OSError: continue\n"
        "    print(pid, stat.rpartition(')')[2].split()[0], line.replace(chr(0), ' '))\n"
    )
    lines = there.ask("python", "-c", program).splitlines()
    found = [line.split(" ", 2) for line in lines]
    return [(words[0], words[1], " ".join(words[2:])) for words in found]


def the_rest_is_read_only(there: Trial) -> None:
    """Write where nobody may, as the image's user."""
    written = there.ask("sh", "-c", "id -un; touch /opt/x /etc/x /usr/x 2>/dev/null; ls /opt/x; :")
    if written.strip() != "callsheet":
        raise NotSo(f"its root file system can be written: {written}")
    say("it runs as callsheet, over a root file system that cannot be written")


def a_killed_server_comes_again(there: Trial) -> None:
    """Kill the supervisor of the server, which is not the first process of its container."""
    supervisors = [
        pid for pid, _, line in processes(there) if "callsheet.cli.administrators serve" in line
    ]
    before = min(supervisors, key=int)
    there.ask("sh", "-c", f"kill -KILL {before}")
    until(
        lambda: before not in {pid for pid, _, _ in processes(there)},
        "the killed server to be gone",
    )
    there.wait_ready()
    until(lambda: "Z" not in {state for _, state, _ in processes(there)}, "the dead to be buried")
    say("a server that is killed comes again in its container, and the dead are buried")


def main() -> int:
    """Try the images; return the exit status."""
    try:
        with trial() as there:
            there.start_server()
            the_rest_is_read_only(there)
            say(there.job("here"))
            token = there.token()
            token.chmod(0o600)
            os.chown(token, 5001, 5001)
            there.start_agent(
                *("--env", "CALLSHEET_TOKEN_FILE=/run/secrets/token"),
                *("--volume", f"{token}:/run/secrets/token:ro"),
            )
            say(there.job("there"))
            there.job("orphan")
            a_killed_server_comes_again(there)
            said = there.ask("callsheet", "runs", "--format", "json")
            there.stop(there.server)
            there.stop(there.agent)
            say("both are stopped by SIGTERM, and end with 0")
            there.start_server()
            if json.loads(there.ask("callsheet", "runs", "--format", "json")) != json.loads(said):
                raise NotSo("the runs are others than before, over the same volume")
            there.ask("callsheetctl", "verify", "--config", "/etc/callsheet/callsheet.yaml")
            there.start_agent()
            say(there.job("there") + ", back by its key")
            there.stop(there.server)
            there.stop(there.agent)
            say("over the same volumes all runs are there, and the agent is known")
    except NotSo as error:
        print(error, *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
