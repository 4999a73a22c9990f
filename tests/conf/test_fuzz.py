"""A thousand job files spoilt at random: each is a job or has problems with places."""

import random

import pytest
from spoilt_jobs import spoilt

from callsheet.conf.check import check_folder
from callsheet.conf.folder import load_folder
from callsheet.jobs.parse import definition_hash, job_from_data, job_to_data

NOW_US = 1_790_000_000_000_000
FILES = 1000
SEED = 20_261_124


@pytest.mark.slow
def test_spoilt_files_are_jobs_or_have_problems_with_places(tmp_path):
    chance = random.Random(SEED)
    (tmp_path / "other.yaml").write_text("params: [x]\nprogram: {type: no-op}\n")
    for number in range(FILES):
        (tmp_path / f"{number}.yaml").write_bytes(spoilt(chance))
    loaded = load_folder(tmp_path)
    bad = {problem.job_id for problem in loaded.problems}
    assert bad | set(loaded.jobs) == {str(number) for number in range(FILES)} | {"other"}
    assert not bad & set(loaded.jobs)
    assert len(bad) > FILES // 4, "the wounds are too slight to prove anything"
    assert len(loaded.jobs) > FILES // 20, "the wounds are too deep to prove anything"
    for problem in check_folder(tmp_path, NOW_US):
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.sentence
        assert "\n" not in problem.sentence, problem.sentence
    for job_id, job in loaded.jobs.items():
        assert job_from_data(job_to_data(job), job_id) == job
        assert definition_hash(job) == loaded.hashes[job_id]
