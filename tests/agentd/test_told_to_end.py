"""A signal that comes while agentd looks whether it is through is not lost."""

import signal

from noting_host import NOW

from callsheet.agentd.daemon import Daemon


class Core:
    """A core that is not through, and while it is asked somebody tells agentd to end."""

    def __init__(self, daemon):
        self._daemon = daemon

    def is_closed(self, now):
        self._daemon._on_signal(signal.SIGTERM, None)
        return False


def test_being_told_to_end_while_it_looks_whether_it_is_through_ends_it():
    daemon = object.__new__(Daemon)
    daemon._over = daemon._stop_asked = False
    daemon._on_stop = "leave"
    daemon._core = Core(daemon)
    daemon._end_if_closed(NOW)
    assert daemon._over
