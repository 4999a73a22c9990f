"""P4: 10,000 no-op runs due at one instant: how late are they?

As P3, with ten times as many.
"""

from __future__ import annotations

from burst import late_ms
from figures import benchmark, emit, percentile


def main() -> None:
    """Measure once."""
    late = late_ms("{type: no-op}", 10_000, until="success", ahead_s=15.0, timeout_s=120.0)
    emit("P4", percentile(late, 99) / 1e3, "s")
    emit("P4_p50", percentile(late, 50) / 1e3, "s")
    emit("P4_all", max(late) / 1e3, "s")


if __name__ == "__main__":
    benchmark(main)
