"""How long somebody who guesses has to wait. Pure: time is an argument.

Tries are counted by the name tried and by the address they come from, before the password is looked
at, so that many at once gain nothing. A name waits only a little: else anybody could lock it out.
"""

from __future__ import annotations

from collections import OrderedDict

# So many tries are free.
FREE = 5
NAME_WAITS_S = 30.0
ADDRESS_WAITS_S = 900.0
# Without a try for so long, all is forgotten.
FORGOTTEN_S = 3_600.0
# Names and addresses remembered; the oldest is forgotten first.
REMEMBERED = 10_000


class Throttle:
    """See the module."""

    def __init__(self) -> None:
        self._tries: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def try_now(self, name: str, address: str, now_s: float) -> float:
        """Count a try; return 0, or how many seconds to wait before one is looked at (then it is
        not counted)."""
        keys = ((("name", name), NAME_WAITS_S), (("address", address), ADDRESS_WAITS_S))
        wait_s = max(self._wait_s(key, most_s, now_s) for key, most_s in keys)
        if wait_s <= 0:
            for key, _ in keys:
                count, _last_s = self._known(key, now_s)
                self._tries.pop(key, None)
                self._tries[key] = (count + 1, now_s)
            while len(self._tries) > REMEMBERED:
                self._tries.popitem(last=False)
        return max(0.0, wait_s)

    def succeeded(self, name: str, address: str) -> None:
        """Forget the tries: it was the right person."""
        self._tries.pop(("name", name), None)
        self._tries.pop(("address", address), None)

    def _known(self, key: tuple[str, str], now_s: float) -> tuple[int, float]:
        count, last_s = self._tries.get(key, (0, now_s))
        return (0, now_s) if now_s - last_s >= FORGOTTEN_S else (count, last_s)

    def _wait_s(self, key: tuple[str, str], most_s: float, now_s: float) -> float:
        count, last_s = self._known(key, now_s)
        if count < FREE:
            return 0.0
        return last_s + min(2.0 ** min(count - FREE, 20), most_s) - now_s
