"""Spools as an agentd finds them: read by its own code, taken up by its core, told to a server.

A batch of claims lies in one spool, and each batch is read by a process of its own, so that one
that dies or stands still is found. What the agent then says has to be what servers read. Now and
then a whole agentd is started on such a spool.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import msgspec
import zmq
from odd_spools import KIND, Host, a_claim, journal, place, wound
from odd_values import TEXTS, Dice, wounded
from verdict import FOR_EVER, HANG_S, Verdict

from callsheet.agentd import procs
from callsheet.agentd.cgroups import NONE, Cgroups
from callsheet.agentd.core import AgentCore
from callsheet.agentd.host import Now
from callsheet.agentd.keepers import Keepers
from callsheet.agentd.local import LocalHost
from callsheet.agentd.secret_sources import Source
from callsheet.agentd.spool import Spool
from callsheet.messages.agents import (
    AgentHello,
    AgentWelcome,
    ForgetProcess,
    ListProcesses,
    OutputTaken,
    StartProcess,
    StopProcess,
)
from callsheet.messages.codec import RUNNER_READER, pack
from callsheet.messages.post import RUNNER

BATCH = 100
# A whole agentd is started for one batch of so many.
DAEMON_EVERY = 250
IDENTITY = AgentHello(
    agent_id="fuzz", group_id="default", incarnation="1", boot_id="b", version=4, software="fuzz"
)
MEMORY = Path("/dev/shm")
# Folders that somebody was at when they were to go.
LEFT: list[Path] = []


def fill(folder: Path, seed: int, numbers: range, verdict: Verdict) -> None:
    """Make the spool of a batch: one claim for each case."""
    dice = Dice(f"{KIND} batch", seed, numbers.start)
    (folder / "runs").mkdir(parents=True)
    names = []
    for number in numbers:
        name = f"r{number + 1}.1"
        ours = Dice(KIND, seed, number)
        state, made = a_claim(ours, Host(procs.boot_id(), str(folder)), name)
        how = wound(ours, made, state)
        verdict.seen[f"{place(ours, made, folder / 'runs' / name) or how}"] += 1
        names.append(name)
    if len(names) > 1 and dice.random() < 0.5:
        # Swapped between runs.
        one, other = (folder / "runs" / name / "record" for name in dice.sample(names, 2))
        if one.is_file() and other.is_file() and not one.is_symlink() and not other.is_symlink():
            data = one.read_bytes()
            one.write_bytes(other.read_bytes())
            other.write_bytes(data)
    (folder / "exits").write_bytes(journal(dice, names))
    if dice.random() < 0.3:
        (folder / "exits.failed").write_bytes(journal(dice, names))
    for name in ("epoch", "away", "id"):
        if dice.random() < 0.3:
            text = dice.choice([*TEXTS, "7", "0" * 20, "-5", "9" * 25, "1_000", "\u0661"])
            data = text.encode("utf-8", "surrogatepass")
            (folder / name).write_bytes(wounded(data, dice) if dice.random() < 0.3 else data)
    for name in ("r1.1.bak", ".free-x", ".free-1", "r0.0", "rx"):
        if dice.random() < 0.05:
            (folder / "runs" / name).mkdir()


def read(folder: Path, verdict: Verdict) -> None:
    """Be the agentd that finds a spool, from its begin to its end."""
    spool = Spool(str(folder))
    keepers = Keepers(spool.runs, spool.keepers, {})
    host = LocalHost(spool, keepers, Cgroups.find(NONE), Source(), take_whole=False)
    core = AgentCore(IDENTITY, host, _no_spec, epoch=spool.epoch.read(), away_us=spool.away.read())
    posts = core.begin(now())
    posts += core.meet(now())
    epoch = max(core.epoch, 1)
    posts += core.receive(RUNNER, AgentWelcome(epoch=epoch, server_id="s"), now())
    posts += core.receive(RUNNER, ListProcesses(epoch=epoch, request="1"), now())
    posts += core.settle(now())
    said = heard(posts)
    hello = next(message for message in said if isinstance(message, AgentHello))
    for claim in hello.claims:
        verdict.seen[f"then {claim.state}"] += 1
        about: dict[str, Any] = {
            "epoch": epoch, "run_id": claim.run_id, "attempt": claim.attempt
        }  # fmt: skip
        if claim.state == "running":
            continue
        for name in ("output", "order", "a.txt", "nothing"):
            posts = core.receive(RUNNER, OutputTaken(**about, name=name, upto=10**9), now())
            heard(posts)
        if claim.state in ("not_started", "unkept"):
            heard(core.receive(RUNNER, StopProcess(**about), now()))
    for fact in host.facts():
        heard(core.happened(fact, now()))
    heard(core.settle(now()))
    for claim in hello.claims:
        core.receive(
            RUNNER, ForgetProcess(epoch=epoch, run_id=claim.run_id, attempt=claim.attempt), now()
        )
    host.clean()
    spool.close()


def heard(posts: list[Any]) -> list[Any]:
    """Return what a server reads of what was said to it."""
    return [
        message
        for frame in pack(post.message for post in posts)
        for message in RUNNER_READER.unpack(frame)
    ]


def _no_spec(_: StartProcess) -> str:
    return "nothing is started here"


def now() -> Now:
    return Now(time.time_ns() // 1_000, time.monotonic_ns() // 1_000)


# --- a process for each batch ---------------------------------------------------------------------


def batch(seed: int, numbers: range, verdict: Verdict) -> None:
    """Read the spool of a batch in a process of its own; case by case if it raises or dies."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-spool", dir=MEMORY if MEMORY.is_dir() else None))
    began_s = time.monotonic()
    mine = Verdict(KIND, seed)
    try:
        fill(folder / "spool", seed, numbers, mine)
        fault = _in_a_child(folder / "spool", mine)
        if not fault and numbers.start // BATCH % DAEMON_EVERY == 7:
            # In another place: who collects artifacts of the first one may be at it still.
            fill(folder / "another" / "spool", seed, numbers, Verdict(KIND, seed))
            fault = a_daemon(folder / "another")
            mine.seen["a whole agentd"] += 1
    finally:
        # Whoever collects artifacts for an agentd that is gone may be at it still.
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            LEFT.append(folder)
    if fault and len(numbers) > 1:
        before = verdict.faulty
        for number in numbers:
            batch(seed, range(number, number + 1), verdict)
        if verdict.faulty == before:
            verdict.fault(f"{fault}\n(only all together)", numbers.start)
        return
    if fault:
        verdict.fault(fault, numbers.start)
    verdict.add(mine)
    verdict.played(len(numbers))
    verdict.waited(time.monotonic() - began_s, numbers.start)


def _in_a_child(folder: Path, verdict: Verdict) -> str:
    """Return what went wrong, empty: nothing."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        told = Verdict(KIND, 0)
        # Whoever stands still says where, and ends.
        faulthandler.dump_traceback_later(HANG_S, exit=True, file=theirs)
        try:
            logging.disable()
            read(folder, told)
            answer = msgspec.json.encode({"seen": told.seen})
        except BaseException:
            answer = msgspec.json.encode({"fault": traceback.format_exc(limit=-6)})
        os.write(theirs, answer[:60_000])
        os._exit(0)
    os.close(theirs)
    try:
        if not select.select([ours], [], [], 2 * HANG_S)[0]:
            os.kill(pid, signal.SIGKILL)
        data = b"".join(iter(lambda: os.read(ours, 65_536), b""))
    finally:
        os.close(ours)
        os.waitpid(pid, 0)
    if not data.startswith(b"{"):
        return data.decode() or "died without a word"
    answer = msgspec.json.decode(data)
    verdict.seen.update(answer.get("seen", {}))
    return answer.get("fault", "")


def a_daemon(folder: Path) -> str:
    """Start an agentd on a spool; return what went wrong with it."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.LINGER, 0)
    router.bind(f"ipc://{folder}/agents")
    command = [sys.executable, "-m", "callsheet.agentd.daemon", "--agent-id", "fuzz"]
    command += ["--server", f"ipc://{folder}/agents", "--spool", str(folder / "spool")]
    with (folder / "log").open("wb") as log:
        agentd = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        came = router.poll(int(HANG_S * 1e3))
        said = RUNNER_READER.unpack(router.recv_multipart()[1]) if came else []
        # Whoever cannot work says why, and ends in order.
        died = agentd.poll() not in (None, 75, 78)
    finally:
        agentd.terminate()
        agentd.wait(HANG_S)
        router.close()
        context.term()
        _end_keepers(folder / "spool")
    text = (folder / "log").read_text(errors="replace")
    if "Traceback" in text or died or not (said or "expected" in text):
        return f"agentd: {text[-3_000:]}"
    return ""


def _end_keepers(spool: Path) -> None:
    """End the keepers of a spool, which say in their locks who they are, and wait for their end."""
    for path in (spool / "keepers").glob("*.lock"):
        for word in path.read_text().replace(".", " ").split():
            cmdline = Path(f"/proc/{word}/cmdline")
            if word.isdigit() and cmdline.exists() and str(spool).encode() in cmdline.read_bytes():
                os.kill(int(word), signal.SIGKILL)


def fuzz(seed: int, numbers: range, until_s: float = FOR_EVER) -> Verdict:
    """Read the claims of these cases; all that was seen."""
    verdict = Verdict(KIND, seed)
    for first in range(numbers.start, numbers.stop, BATCH):
        if time.monotonic() > until_s:
            break
        batch(seed, range(first, min(first + BATCH, numbers.stop)), verdict)
    while LEFT:
        shutil.rmtree(LEFT.pop(), ignore_errors=True)
    verdict.end()
    return verdict


def show(seed: int, number: int) -> None:
    """Print one case."""
    dice = Dice(KIND, seed, number)
    state, made = a_claim(dice, Host(procs.boot_id(), "FOLDER"), f"r{number + 1}.1")
    how = wound(dice, made, state)
    print(f"{state}, {how}: {bytes(made.record).rstrip(bytes(1))!r}\n{made.files}")
