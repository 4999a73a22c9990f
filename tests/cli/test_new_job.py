"""A job file to begin with, and the schema of job files, from the command line."""

import json

import pytest

from callsheet.cli.new_job import template
from callsheet.conf.folder import load_folder
from callsheet.conf.yaml_reader import read_yaml
from callsheet.jobs.job_schema import job_schema
from callsheet.jobs.parse import job_from_data
from callsheet.jobs.programs import NoOp, Process, Shell

KINDS = {"shell": Shell, "process": Process, "no-op": NoOp}


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_job_is_a_job_that_can_be_checked(command, tmp_path, kind):
    path = tmp_path / "jobs" / "reports" / "daily sales"
    made = command("people", "new-job", str(path), "--type", kind)
    assert (made.status, made.err) == (0, "")
    assert f"wrote {path}.yaml" in made.out
    loaded = load_folder(tmp_path / "jobs")
    assert loaded.problems == []
    job = loaded.jobs["reports/daily sales"]
    assert isinstance(job.program, KINDS[kind])
    assert not job.schedules[0].enabled, "a job just written must not begin to run by itself"
    checked = command("people", "check", str(tmp_path / "jobs"))
    assert (checked.status, checked.err) == (0, "")


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_new_job_has_as_comments_can_be_taken_in(kind):
    text = "\n".join(map(_taken_in, template(kind).splitlines()))
    job = job_from_data(read_yaml(text, "f").value, "x")
    assert len(job.conditions) == 2
    assert job.metadata["owner"]
    assert job.param_specs["size"].default == "small"


def _taken_in(line):
    """Return a line with the comment sign of a key or an item taken out."""
    comment, _, said = line.partition("# ")
    key, colon, _ = f"{said} ".partition(": ")
    is_entry = bool(colon) and (key.replace("_", "").isalpha() or said.startswith("- "))
    return comment + said if is_entry and not comment.strip() else line


def test_a_new_job_does_not_replace_one(command, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("program: x\n")
    refused = command("people", "new-job", str(path))
    assert refused.status == 1
    assert f"{path}: is there already: expected a new file" in refused.err
    assert path.read_text() == "program: x\n"


@pytest.mark.parametrize("name", ["a.yml", "a.YAML"])
def test_a_new_job_is_called_as_job_files_are(command, tmp_path, name):
    refused = command("people", "new-job", str(tmp_path / name))
    assert refused.status == 1
    assert f"{name}: is the name of no job file: expected one that ends in .yaml" in refused.err
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_told(command, tmp_path):
    (tmp_path / "file").write_text("")
    refused = command("people", "new-job", str(tmp_path / "file" / "a"))
    assert refused.status == 1
    assert "cannot be written" in refused.err
    assert "Traceback" not in refused.err


def test_the_schema_of_job_files_is_printed(command):
    printed = command("administrators", "schema")
    assert printed.status == 0
    assert json.loads(printed.out) == json.loads(json.dumps(job_schema()))
