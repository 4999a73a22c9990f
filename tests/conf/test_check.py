"""A folder checked as a whole: the places of what is wrong."""

from callsheet.conf.check import check_folder

NOW_US = 1_790_000_000_000_000


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


def test_a_sentence_is_one_line_whatever_it_quotes(tmp_path):
    (tmp_path / "a.yaml").write_text('program: x\nsuccessors: ["zz\\n\\e[2J"]\n')
    (tmp_path / "b.yaml").write_text('program: x\n"a\\nb": 1\n')
    (other, unknown) = check_folder(tmp_path, NOW_US)
    assert other.sentence == r"unknown job ID in action: zz\n\x1b[2J"
    assert unknown.sentence.startswith(r"unexpected keys: a\nb: expected")


def test_problems_of_files_and_between_jobs_come_together(tmp_path):
    (tmp_path / "a.yaml").write_text("program: x\ncondition: {type: dependency, job_id: bad}\n")
    (tmp_path / "b.yaml").write_text("program: x\ncondition: {type: dependency, job_id: zz}\n")
    (tmp_path / "bad.yaml").write_text("program: [\n")
    found = [(problem.job_id, problem.line) for problem in check_folder(tmp_path, NOW_US)]
    assert found == [("b", 2), ("bad", 2)]
