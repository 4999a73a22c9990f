"""Stores to be tested: every one that claims to be one, behind the same few handles."""

import pytest

from callsheet.store.memory import MemoryDisk, MemoryReader, MemoryWriter
from callsheet.store.sqlite import SqliteReader, SqliteWriter, create_database

SINCE_US = 1_700_000_000 * 1_000_000


class SqliteStore:
    """A database file of its own."""

    def __init__(self, folder):
        self.path = folder / "callsheet.db"
        self._open = []
        create_database(self.path, SINCE_US)

    def new_writer(self):
        return self._kept(SqliteWriter(self.path))

    def new_reader(self):
        return self._kept(SqliteReader(self.path))

    def close(self):
        for one in self._open:
            one.close()

    def _kept(self, one):
        self._open.append(one)
        return one


class MemoryStore:
    """A disk in memory."""

    def __init__(self, folder):
        self.disk = MemoryDisk(SINCE_US)

    def new_writer(self):
        return MemoryWriter(self.disk)

    def new_reader(self):
        return MemoryReader(self.disk)

    def close(self):
        self.disk.crash()


@pytest.fixture(params=[SqliteStore, MemoryStore], ids=["sqlite", "memory"])
def store(request, tmp_path):
    one = request.param(tmp_path)
    yield one
    one.close()


@pytest.fixture
def writer(store):
    writer = store.new_writer()
    writer.open(0)
    return writer


@pytest.fixture
def reader(store):
    return store.new_reader()
