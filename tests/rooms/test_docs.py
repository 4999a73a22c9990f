import importlib.util
from pathlib import Path

import pytest

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


def test_each_decision_has_a_number_of_its_own():
    records = sorted((DOCS / "adr").glob("*.md"))
    numbers = [record.name[:4] for record in records]
    assert len(set(numbers)) == len(numbers) > 0
    for record in records:
        assert record.read_text(encoding="utf-8").startswith(f"# {record.name[:4]}"), record.name
