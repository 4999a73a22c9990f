"""A folder checked as a whole: the places of what is wrong, and the examples that are shipped."""

from pathlib import Path

from callsheet.conf.check import check_folder
from callsheet.conf.folder import load_folder

EXAMPLES = Path(__file__).parents[2] / "examples" / "jobs"
NOW_US = 1_790_000_000_000_000


def test_the_examples_have_no_problems():
    assert [problem.text for problem in check_folder(EXAMPLES, NOW_US)] == []


def test_the_examples_show_something_of_everything():
    jobs = load_folder(EXAMPLES).jobs.values()
    assert len(jobs) >= 12
    assert all(job.metadata.get("description") and job.labels for job in jobs)
    kinds = {type(schedule).__name__ for job in jobs for schedule in job.schedules}
    assert kinds >= {"Interval", "Daily", "Cron", "Explicit"}
    kinds = {type(cond).__name__ for job in jobs for cond in job.conditions}
    assert kinds >= {"Dependency", "MaxRunning", "SkipDuplicate"}
    assert any(job.actions for job in jobs)
    assert any(job.params and not job.schedules for job in jobs)


def test_problems_between_jobs_have_the_place_of_their_part(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "program: 'echo {{ x }}'\nschedule:\n- {type: interval, interval: 1h}\nsuccessors:\n- zz\n"
    )
    (tmp_path / "b.yaml").write_text(
        "condition:\n- type: max_running\n- type: dependency\n  job_id: yy\nprogram: x\n"
    )
    assert [problem.text for problem in check_folder(tmp_path, NOW_US)] == [
        "a.yaml:1:1: program.command: name 'x' is not defined",
        "a.yaml:5:3: unknown job ID in action: zz",
        "b.yaml:3:3: unknown job ID in condition: yy",
    ]


def test_problems_of_files_and_between_jobs_come_together(tmp_path):
    (tmp_path / "a.yaml").write_text("program: x\ncondition: {type: dependency, job_id: bad}\n")
    (tmp_path / "b.yaml").write_text("program: x\ncondition: {type: dependency, job_id: zz}\n")
    (tmp_path / "bad.yaml").write_text("program: [\n")
    found = [(problem.job_id, problem.line) for problem in check_folder(tmp_path, NOW_US)]
    assert found == [("b", 2), ("bad", 2)]
