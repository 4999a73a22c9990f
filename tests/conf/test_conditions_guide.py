"""The guide to conditions: its examples are job files that load, check and say what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from callsheet.conf.check import check_folder, check_loaded
from callsheet.conf.folder import load_folder
from callsheet.conf.settings import load_settings
from callsheet.jobs.conditions import leaves
from callsheet.jobs.parse_conditions import CONDITION_TYPES

GUIDE = Path(__file__).parents[2] / "docs" / "conditions.md"
NOW_US = 1_790_000_000_000_000


@pytest.fixture
def site(tmp_path):
    blocks = re.findall(r"```yaml\n# (\S+)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    for name, text in blocks:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert len(blocks) >= 9
    return tmp_path


def test_every_example_is_a_whole_job_that_may_be_used(site):
    rules = load_settings(site / "callsheet.yaml").conditions.rules
    loaded = load_folder(site / "jobs")
    found = check_loaded(site / "jobs", loaded, NOW_US, rules=rules)
    assert [problem.text for problem in found] == []


def test_every_type_of_condition_is_shown(site):
    jobs = load_folder(site / "jobs").jobs.values()
    shown = {type(cond).__struct_config__.tag for job in jobs for cond in leaves(job.conditions)}
    assert shown == set(CONDITION_TYPES.values()) - {"all", "any", "not"}


def test_without_the_settings_nothing_is_held_against_pools_and_checks(site):
    assert check_folder(site / "jobs", NOW_US) == []
