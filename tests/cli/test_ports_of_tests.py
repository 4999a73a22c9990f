"""The ports of servers that tests start are nobody else's."""

import subprocess
import sys
from pathlib import Path

import ports

TAKE_THEM = """
import sys
sys.path.insert(0, sys.argv[1])
import ports
print([port for port in map(int, sys.argv[2:]) if ports.claim(port)])
"""


def test_a_port_of_a_test_is_given_to_no_other_process_and_by_no_kernel():
    pair = ports.free_port(2)
    mine = [ports.free_port(), pair, pair + 1]
    assert not any(ports.claim(port) for port in mine)
    support = str(Path(ports.__file__).parent)
    command = [sys.executable, "-c", TAKE_THEM, support, *map(str, mine)]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"[]\n"
    kernels = ports.kernels_lowest()
    assert kernels < ports.LOWEST + 1_000 or max(mine) <= kernels
