"""P3: 1,000 no-op runs due at one instant: how late are they?

P3 is the 99th percentile of the time from the instant they were due until they were a success,
P3_all that of the last one, both as the server wrote them down.
"""

from __future__ import annotations

from burst import late_ms
from figures import benchmark, emit, percentile


def main() -> None:
    """Measure once."""
    late = late_ms("{type: no-op}", 1_000, until="success", ahead_s=4.0, timeout_s=60.0)
    emit("P3", percentile(late, 99), "ms")
    emit("P3_p50", percentile(late, 50), "ms")
    emit("P3_all", max(late), "ms")


if __name__ == "__main__":
    benchmark(main)
