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
