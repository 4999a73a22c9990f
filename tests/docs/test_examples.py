"""Every YAML example of the docs is whole and true: jobs are loaded and bound, settings are read.

The first line of a block may say what it is: `# jobs/NAME.yaml`, `# jobs/…/_defaults.yaml`,
`# calendars/NAME.yaml`, or `# callsheet.yaml`; without it, it is a job.
"""

import functools
import re
import tempfile
from pathlib import Path

import jsonschema
import pytest

from callsheet.conf.calendars import load_calendars
from callsheet.conf.settings import load_settings
from callsheet.conf.yaml_reader import read_yaml
from callsheet.jobs.binding import bind, full_args, schedule_args
from callsheet.jobs.folder_defaults import read_defaults
from callsheet.jobs.job import Job
from callsheet.jobs.job_schema import job_schema
from callsheet.jobs.parse import job_from_data
from callsheet.jobs.programs import NoOp
from callsheet.jobs.schedules import next_fire

DOCS = Path(__file__).parents[2] / "docs"
NOW_US = 1_790_000_000_000_000
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)
# An arg of each type, for params that no schedule fills.
SAMPLES = {
    "int": "3", "float": "1.5", "bool": "true", "date": "2024-01-06", "daytime": "09:30:00",
    "time": "2024-01-06T09:30:00Z",
}  # fmt: skip
NAMED = {"date": "2024-01-06", "schedule_time": "2024-01-06T09:30:00+00:00"}


def examples():
    """Return (page and number, name, text) of every YAML block of the docs."""
    found = []
    for page in sorted(DOCS.glob("*.md")):
        for number, text in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")), 1):
            name = re.match(r"# (\S.*\.yaml)\n", text)
            found.append(pytest.param(name[1] if name else "", text, id=f"{page.stem}-{number}"))
    return found


def sample(job, param):
    spec = job.param_specs.get(param)
    if spec is None:
        return NAMED.get(param, "2024-01-06")
    if spec.choices:
        return spec.choices[0]
    return spec.min or SAMPLES.get(spec.type, "x")


@functools.cache
def calendars():
    """Return all calendars of the docs, and what comes with the package."""
    with tempfile.TemporaryDirectory() as folder:
        for example in examples():
            name, text = example.values
            if name.startswith("calendars/"):
                (Path(folder) / name.removeprefix("calendars/")).write_text(text, encoding="utf-8")
        found = load_calendars(folder, ["usa-federal-businessdays"])
    assert found.problems == []
    return found.by_name


def all_args(job):
    """Return the args of a run by each schedule, or of one by hand when there is none."""
    fires = [next_fire(schedule, NOW_US, calendars()) for schedule in job.schedules]
    found = [schedule_args(job, fire) for fire in fires if fire is not None]
    if not found:
        by_hand = {p: sample(job, p) for p in job.params if job.default_of(p) is None}
        found = [full_args(job, by_hand)]
    return found


def find_job(job_id):
    """Any job is there, and needs nothing."""
    return Job(job_id=job_id, program=NoOp())


@pytest.mark.parametrize(("name", "text"), examples())
def test_an_example_of_the_docs_is_whole(name, text, tmp_path):
    data = read_yaml(text, "example").value
    if name == "callsheet.yaml":
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        assert load_settings(file)
    elif name.startswith("calendars/"):
        assert calendars()[Path(name).stem].days
    elif name.endswith("_defaults.yaml"):
        assert read_defaults(data) == []
    else:
        job_id = name.removeprefix("jobs/").removesuffix(".yaml") or "example"
        job = job_from_data(data, job_id)
        jsonschema.Draft202012Validator(job_schema()).validate(data)
        for args in all_args(job):
            before = {"rows": "3"}
            assert bind(
                job, args, "r1", find_job, calendars(), schedule_us=NOW_US, results=before
            ).program


def test_the_reference_of_job_files_names_every_key():
    page = (DOCS / "jobs.md").read_text(encoding="utf-8")
    keys = [key for key in job_schema()["properties"] if key != "ad_hoc"]
    assert [key for key in keys if f"`{key}`" not in page] == []
    for kind in ("shell", "process", "no-op"):
        keys = job_schema()["$defs"][f"program {kind}"]["properties"]
        assert [key for key in keys if f"`{key}`" not in page and key != "type"] == []
