import importlib.util
import re
from pathlib import Path

import pytest

from callsheet.conf.yaml_reader import read_yaml
from callsheet.jobs.parse import job_from_data

DOCS = Path(__file__).parents[2] / "docs"


def generated():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.GENERATED


@pytest.mark.parametrize("name", generated())
def test_generated_docs_say_what_the_code_says(name):
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == generated()[name](), f"docs/{name} is out of date: run `make docs`"


def examples():
    """Return (page, job file) of every fenced example that is a whole job."""
    return [
        (page.name, text)
        for page in sorted(DOCS.glob("*.md"))
        for text in re.findall(r"^```yaml\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.M)
        if re.search(r"^program:", text, re.M)
    ]


@pytest.mark.parametrize(("page", "text"), examples())
def test_every_job_in_the_docs_is_one(page, text):
    assert job_from_data(read_yaml(text, page).value, "a").job_id == "a"
