"""P5: 1,000 processes due at one instant: when has the last of them started?

Each sleeps for a while, so that all of them live at once; the instants are those at which the
keepers started them, as the server wrote them down. P5 is the second burst of a server, P5_first
the first one, for which the agent has no files that it could use again (see P2).
"""

from __future__ import annotations

from burst import late_ms
from figures import benchmark, emit, percentile


def main() -> None:
    """Measure once."""
    program = "{type: process, argv: [/bin/sleep, '5']}"
    for name, bursts in (("P5_first", 1), ("P5", 2)):
        late = late_ms(program, 1_000, until="running", ahead_s=9.0, timeout_s=120.0, bursts=bursts)
        emit(name, max(late) / 1e3, "s")
        emit(f"{name}_p50", percentile(late, 50) / 1e3, "s")


if __name__ == "__main__":
    benchmark(main)
