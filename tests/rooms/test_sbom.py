"""The list of what an installation is made of is whole, and a file that was changed is found."""

import importlib.util
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "packaging" / "sbom.py"


@pytest.fixture(scope="module")
def sbom():
    spec = importlib.util.spec_from_file_location("sbom", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def document():
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_it_names_all_that_setup_py_asks_for_and_what_these_need(document):
    names = {one["name"].lower().replace("_", "-") for one in document["components"]}
    text = (ROOT / "setup.py").read_text()
    asked = re.search(r"install_requires=\[(.*?)\]", text, re.DOTALL)[1]
    wanted = {name.lower() for name in re.findall(r'"([A-Za-z0-9._-]+)', asked)}
    if sys.version_info >= (3, 14):
        wanted -= {"backports.zstd"}
    assert {name.replace("_", "-") for name in wanted} <= names
    assert "markupsafe" in names, "what Jinja2 needs"
    assert "fabric" not in names, "an extra nobody asked for"
    assert "pytest" not in names


def test_it_is_a_document_of_cyclonedx(document):
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", document["serialNumber"])
    assert document["metadata"]["component"]["name"] == "callsheet"
    libraries = [one for one in document["components"] if one["type"] == "library"]
    assert all(one["purl"] == f"pkg:pypi/{one['purl'][9:]}" for one in libraries)
    refs = {one["bom-ref"] for one in document["components"]}
    assert len(refs) == len(document["components"]), "each once"
    refs.add(document["metadata"]["component"]["bom-ref"])
    for one in document["dependencies"]:
        assert {one["ref"], *one["dependsOn"]} <= refs
    files = [one for one in document["components"] if one["type"] == "file"]
    assert any(one["name"].endswith("preact.js") for one in files)
    assert all(re.fullmatch("[0-9a-f]{64}", one["hashes"][0]["content"]) for one in files)


def test_the_same_installation_gives_the_same_document(sbom):
    assert sbom.document() == sbom.document()


def test_what_is_installed_is_what_was_installed(sbom):
    assert sbom.problems([metadata.distribution("tornado"), metadata.distribution("pykka")]) == []


def test_a_file_that_was_changed_or_removed_is_found(sbom, tmp_path):
    info = tmp_path / "a-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: a\nVersion: 1\n")
    digest = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"  # of nothing
    (info / "RECORD").write_text(f"a.py,sha256={digest},0\nb.py,sha256={digest},0\na.dist,,\n")
    (tmp_path / "a.py").write_text("changed")
    said = sbom.problems([metadata.PathDistribution(info)])
    assert said[0] == "a: a.py: differs from what was installed"
    assert said[1].startswith("a: b.py: ")
    assert len(said) == 2
