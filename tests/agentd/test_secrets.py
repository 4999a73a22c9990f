"""Secrets of jobs: from a host's own files or command to a process, and out of all it writes."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from agent_stand import AgentStand, a_shell, until

from callsheet.agentd.secret_sources import NoSecret, Source
from callsheet.jobs.programs import Artifact, Launch, OutputSpec
from callsheet.messages.agents import (
    OutputChunk,
    OutputTaken,
    ProcessEnded,
    ProcessLost,
    ProcessRefused,
    StopProcess,
)

CANARY = "cänary-7f/3+a b'c"
OTHER = "second-canary-value"
# What processes themselves have written.
OF_JOBS = ("out", "err", "result")
STARRED = "*" * len(CANARY.encode())


@pytest.fixture
def stand(tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir(0o700)
    put(folder / "db", CANARY + "\n")
    stand = AgentStand(tmp_path)
    stand.options = ["--secrets", str(folder)]
    yield stand
    stand.close()
    # Nobody comes back for what a killed agentd has left in memory.
    if (stand.spool / "id").exists():
        spool_id = (stand.spool / "id").read_text().strip()
        for path in memory_of(stand, "r").parent.glob(f"{spool_id}.*"):
            path.unlink()


def put(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)


def given(command, *, env_mode="inherit", output=None, cwd=None, secrets=None):
    more = {} if output is None else {"output": output}
    launch = Launch(env_mode=env_mode, secrets=secrets or {"TOKEN": "db"})
    return a_shell(command, launch=launch, cwd=cwd, **more)


def took(stand, run_id):
    """Wait for the end of a run, and take all it hands over; return both, outputs by name."""
    outputs: dict[str, bytes] = {}
    kinds = (ProcessEnded, ProcessLost, ProcessRefused, OutputChunk)
    while True:
        message = stand.wait(kinds, lambda m: m.run_id == run_id)
        if not isinstance(message, OutputChunk):
            return message, outputs
        take(stand, message, outputs)


def take(stand, chunk, outputs):
    data = outputs.get(chunk.name, b"")
    if chunk.offset == len(data):
        outputs[chunk.name] = data + chunk.data
    upto = len(outputs[chunk.name])
    stand.send(
        OutputTaken(epoch=stand.epoch, run_id=chunk.run_id, attempt=1, name=chunk.name, upto=upto)
    )


def holders(stand):
    """Files below the stand's folder that hold a secret, but for its source and what jobs wrote."""
    found = []
    for path in stand.folder.rglob("*"):
        if path.is_file() and path.parent.name != "secrets" and path.name not in OF_JOBS:
            data = path.read_bytes()
            found += [path] if CANARY.encode() in data or OTHER.encode() in data else []
    return found


def memory_of(stand, run_id):
    folder = Path(f"/dev/shm/callsheet-secrets-{os.geteuid()}")
    return folder / f"{(stand.spool / 'id').read_text().strip()}.{run_id}.1"


def test_a_process_has_a_secret_and_nobody_else_also_after_the_death_of_agentd(stand, tmp_path):
    stand.start()
    go = tmp_path / "go"
    stand.run(
        "r1",
        given(
            "echo begin; printf 'got %s' \"${TOKEN%??????}\"; "
            f"until [ -e {go} ]; do sleep 0.05; done; "
            'printf \'%s.\\n\' "${TOKEN#"${TOKEN%??????}"}"; '
            'echo "last=$TOKEN" > "$CALLSHEET_RESULT"; exit 3'
        ),
    )
    pid = stand.started("r1").pid
    outputs: dict[str, bytes] = {}
    while not outputs.get("output", b"").endswith(b"got "):
        take(stand, stand.wait(OutputChunk), outputs)
    # The beginning of a secret is not told before it is known what becomes of it.
    assert outputs == {"output": b"begin\ngot "}
    assert CANARY.encode() in Path(f"/proc/{pid}/environ").read_bytes()
    assert CANARY.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    kept = memory_of(stand, "r1")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert holders(stand) == []
    stand.kill()
    put(tmp_path / "secrets" / "db", "another value by now")
    stand.start()
    go.touch()
    ended, outputs = took(stand, "r1")
    assert outputs["output"].decode() == f"begin\ngot {STARRED}.\n"
    assert (ended.status, ended.spool_path) == (3, None)
    assert ended.results == {"last": "***"}
    assert holders(stand) == []
    stand.forget("r1")
    until(lambda: not kept.exists(), "the secrets of a forgotten run to go")


def test_split_streams_and_artifacts_have_none_either(stand, tmp_path):
    put(tmp_path / "secrets" / "other", OTHER)
    stand.start()
    work = tmp_path / "work"
    work.mkdir()
    output = OutputSpec(streams="split", artifacts=(Artifact(path="*"),))
    both = {"TOKEN": "db", "LC_OTHER": "other"}
    stand.run(
        "r1",
        given(
            'echo "out $TOKEN"; echo "err $LC_OTHER" >&2; printf %s "$TOKEN" > a.bin; '
            'echo no > "$LC_OTHER"; env | grep -c nary',
            env_mode="clean",
            output=output,
            cwd=str(work),
            secrets=both,
        ),
    )
    ended, outputs = took(stand, "r1")
    said = outputs["output"].decode()
    assert set(said.splitlines()) == {f"out {STARRED}", f"err {'*' * len(OTHER)}", "2"}
    assert outputs["a.bin"].decode() == STARRED
    assert ended.artifacts == {"a.bin": "a.bin"}
    assert "artifacts with a secret in their names are left out" in ended.remarks
    assert OTHER not in repr(ended)


def test_a_secret_that_cannot_be_had_is_an_error_that_names_it_and_the_host(stand, tmp_path):
    put(tmp_path / "secrets" / "open", "for everybody", 0o644)
    stand.start()
    for number, (name, expected) in enumerate(
        (("none", "there is none"), ("open", "mode is 0644"))
    ):
        refused = stand.result(f"r{number}", given("true", secrets={"T": name, "U": "db"}))
        assert isinstance(refused, ProcessRefused)
        assert not refused.retry
        assert refused.sentence.startswith(f"secret {name}: on {socket.gethostname()}: ")
        assert expected in refused.sentence
    assert list(memory_of(stand, "r").parent.glob(f"{memory_of(stand, 'r').name[:16]}*")) == []


def test_a_command_is_asked_for_what_no_file_has(stand, tmp_path):
    script = tmp_path / "vault"
    put(script, '#!/bin/sh\n[ "$2" = bad ] && exit 4\necho "$1-for-$2"\n', 0o755)
    stand.options += ["--secrets-command", f"{script} 'a word'"]
    stand.start()
    for number in (1, 2):
        stand.run(f"r{number}", given('[ "$A" = "a word-for-x" ] && echo "$B"',
                                      secrets={"A": "x", "B": "db"}))  # fmt: skip
    for number in (1, 2):
        ended, outputs = took(stand, f"r{number}")
        assert (ended.status, outputs["output"].decode()) == (0, f"{STARRED}\n")
    refused = stand.result("r3", given("true", secrets={"A": "bad"}))
    assert "has failed with status 4" in refused.sentence


def test_an_output_is_kept_back_when_its_secrets_are_known_no_more(stand):
    stand.start()
    stand.run("r1", given('echo "$TOKEN"; echo "x=$TOKEN" > "$CALLSHEET_RESULT"; sleep 600'))
    stand.started("r1")
    stand.kill()
    memory_of(stand, "r1").unlink()
    stand.start()
    stand.send(StopProcess(epoch=1, run_id="r1", attempt=1, kill=True))
    ended, outputs = took(stand, "r1")
    assert (outputs, ended.output_bytes, ended.results) == ({}, {}, {})
    assert any("its output is kept back" in remark for remark in ended.remarks)


# --- sources --------------------------------------------------------------------------------------


def test_a_file_has_a_secret_a_line(tmp_path):
    path = tmp_path / "all"
    put(
        path,
        "# those of this host\ndb = open=sesame \nshort=abc\n\nbin=\udcff\n".replace("\udcff", ""),
    )
    source = Source.of(str(path), None)
    assert source.read("db") == "open=sesame"
    for name, why in (("short", "4 characters"), ("none", "a line none=…")):
        with pytest.raises(NoSecret, match=why):
            source.read(name)
    path.chmod(0o640)
    with pytest.raises(NoSecret, match="mode is 0640"):
        source.read("db")


def test_a_host_without_secrets_says_so_and_a_folder_of_others_is_refused(tmp_path):
    with pytest.raises(NoSecret, match="this agent has no secrets: expected the option --secrets"):
        Source().read("db")
    assert Source.of(None, "vault get").read("db") is None
    put(tmp_path / "db", "sesame")
    tmp_path.chmod(0o777)
    with pytest.raises(NoSecret, match="others may put files there"):
        Source.of(str(tmp_path), None).read("db")
