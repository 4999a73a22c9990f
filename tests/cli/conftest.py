"""The command line against a real web server with a real ledger behind it, in this process."""

import pytest
from web_stand import WebStand, a_job

from callsheet.cli import administrators, people
from callsheet.cli.lazy import guarded

JOBS = (
    a_job("backup", metadata={"labels": ["nightly"], "description": "Saves everything."}),
    a_job("reports/daily sales", params=("date",), metadata={"labels": ["sales"]}),
    a_job("reports/daily stock", params=("date",), metadata={"labels": []}),
)


@pytest.fixture
def stand(tmp_path):
    stand = WebStand(tmp_path, jobs=JOBS)
    yield stand
    stand.close()


class Result:
    """How a command ended: `status`, and what it printed to `out` and `err`."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    @property
    def lines(self):
        return self.out.splitlines()


@pytest.fixture
def command(capsys):
    """Run a command line to its end in this process: `command("people", "runs", …)`."""

    groups = {"people": people.group, "administrators": administrators.group}

    def run(program, *args):
        with pytest.raises(SystemExit) as ended:
            guarded(lambda: groups[program](args=list(args)))
        printed = capsys.readouterr()
        code = ended.value.code
        return Result(0 if code is None else code, printed.out, printed.err)

    return run


@pytest.fixture
def callsheet(stand, command):
    """Run `callsheet` against the stand."""

    def run(*args):
        return command("people", "--host", f"127.0.0.1:{stand.port}", *args)

    return run


@pytest.fixture
def callsheetctl(stand, command):
    """Run `callsheetctl` against the stand."""

    def run(*args):
        return command("administrators", "--host", f"127.0.0.1:{stand.port}", *args)

    return run
