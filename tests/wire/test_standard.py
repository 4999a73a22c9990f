"""A process without standard output, or the others, writes into no file of its own."""

import subprocess
import sys

CODE = (
    "import os, sys\n"
    "from callsheet.wire.standard import open_standard\n"
    "open_standard()\n"
    "print('said', flush=True); print('wrong', file=sys.stderr); sys.stdin.read()\n"
    "sys.stdout.buffer.write(b'bytes'); sys.stdout.flush(); sys.stderr.flush()\n"
    "held = open(sys.argv[1], 'wb')\n"
    "held.write(b'0' if held.fileno() > 2 else b'1')\n"
)


def test_what_is_closed_leads_to_nowhere(tmp_path):
    for closed in (">&-", "<&-", "2>&-", "<&- >&- 2>&-"):
        kept = tmp_path / f"{len(closed)}"
        shell = ["/bin/sh", "-c", f'exec "$0" -c "$1" "$2" {closed}', sys.executable, CODE, kept]
        done = subprocess.run(shell, stdin=subprocess.DEVNULL, check=False, capture_output=True)
        assert (done.returncode, kept.read_bytes()) == (0, b"0"), (closed, done.stderr)


def test_what_is_open_stays():
    done = subprocess.run(
        [sys.executable, "-c", CODE.rpartition("held = ")[0]],
        input="",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("said\nbytes", "wrong\n")
