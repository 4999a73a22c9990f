"""Jobs of Apsis that run on ECS: they are read as they are, and a run of one says what is wrong."""

import pytest
from web_stand import a_job

from callsheet.jobs.binding import new_run
from callsheet.jobs.checks import check_jobs
from callsheet.jobs.parse import BadJob, job_from_data, job_to_data
from callsheet.jobs.programs import NO_ECS, Ecs
from callsheet.jobs.words import program_words

WHOLE = {
    "type": "procstar-ecs",
    "command": "load {{ date }}",
    "mem_gb": 8,
    "vcpu": "{{ 2 }}",
    "disk_gb": 20.5,
    "role": "loader",
    "task_definition": "loads:3",
    "stop": {"signal": "SIGINT", "grace_period": 30},
    "timeout": {"duration": "1h"},
}
SCHEDULE = {"type": "daily", "tz": "UTC", "daytime": "09:00:00"}


def test_all_its_keys_are_read_and_written():
    job = job_from_data({"params": ["date"], "program": WHOLE}, "a")
    program = job.program
    assert isinstance(program, Ecs)
    assert (program.mem_gb, program.vcpu, program.disk_gb) == ("8", "{{ 2 }}", "20.5")
    assert job_from_data(job_to_data(job), "a") == job
    assert program_words(program) == "on ECS: load {{ date }}"
    plain = job_from_data({"program": {"type": "procstar-ecs", "argv": ["a", "b c"]}}, "a")
    assert program_words(plain.program) == "on ECS: a 'b c'"
    assert job_from_data(job_to_data(plain), "a") == plain


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"argv": ["x"]}, "expected one of command and argv"),
        ({"command": None}, "expected one of command and argv|command"),
        ({"group_id": "x"}, "group_id"),
        ({"resources": {"mem_max_gb": 1}}, "resources"),
    ],
)
def test_what_it_does_not_take_is_told(change, said):
    data = {key: value for key, value in (WHOLE | change).items() if value is not None}
    with pytest.raises(BadJob, match=said):
        job_from_data({"params": ["date"], "program": data}, "a")


def test_the_job_is_no_mistake_and_its_run_is_an_error_with_a_reason():
    job = job_from_data({"params": ["date"], "program": WHOLE, "schedule": SCHEDULE}, "a")
    assert check_jobs({"a": job}, {}, 0) == []
    run = new_run(job, "d", "r1", {"date": "2026-01-02"}, 0, lambda _: None, {})
    assert (run.error, run.program) == (NO_ECS, None)
    wrong = job_from_data({"program": WHOLE | {"command": "{{ no }}"}, "schedule": SCHEDULE}, "a")
    [problem] = check_jobs({"a": wrong}, {}, 0)
    assert "name 'no' is not defined" in problem.sentence
    assert a_job().program != job.program
