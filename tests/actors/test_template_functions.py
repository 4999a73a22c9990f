"""Functions and filters that the settings name: had by the binder, or one sentence why not."""

import sys

import pytest

from callsheet.actors.binder_stage import make_binder
from callsheet.actors.template_functions import load_templates
from callsheet.conf.settings import SettingsError, load_settings
from callsheet.conf.template_settings import TemplateSettings
from callsheet.jobs.errors import UserError
from callsheet.jobs.job import Job
from callsheet.jobs.programs import Shell
from callsheet.jobs.templates import use
from callsheet.messages.binding import Bind, BindOne


@pytest.fixture
def clean():
    """Leave no names and no modules behind."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    use({}, {})
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("our_"):
            del sys.modules[name]


@pytest.fixture
def folder(tmp_path, clean):
    """A folder with modules of an administrator's."""
    (tmp_path / "our_names.py").write_text(
        "class Dates:\n"
        "    @staticmethod\n"
        "    def fiscal(year): return f'FY{int(year) % 100:02}'\n"
        "def shout(text): return text.upper()\n"
        "NOTHING = 3\n"
    )
    (tmp_path / "our_broken.py").write_text("raise RuntimeError('not today')\n")
    return tmp_path


def bound(binder, command):
    job = Job(job_id="a", program=Shell(command=command))
    item = BindOne(run_id="r1", job=job, definition="h", args={}, schedule_us=0)
    [post] = binder.receive("scheduler/0", Bind(request=1, items=[item]), 0)
    return post.message.runs[0]


def test_the_binder_has_what_the_settings_name(folder):
    templates = TemplateSettings(
        functions={"fiscal": "our_names:Dates.fiscal"},
        filters={"shout": "our_names:shout"},
        path=folder,
    )
    binder = make_binder(None, None, incarnation="b", templates=templates, limited=False)
    run = bound(binder, "{{ fiscal(2024) }} {{ 'x' | shout }}")
    assert run.program.argv[-1] == "FY24 X"
    binder = make_binder(None, None, incarnation="b", limited=False)
    assert bound(binder, "{{ fiscal(2024) }}").error == "name 'fiscal' is not defined"


@pytest.mark.parametrize(
    ("functions", "sentence"),
    [
        (
            {"x": "our_nowhere:f"},
            (
                "templates.functions.x: our_nowhere:f cannot be imported: ModuleNotFoundError: "
                "No module named 'our_nowhere'"
            ),
        ),
        (
            {"x": "our_names:f"},
            (
                "templates.functions.x: our_names:f cannot be imported: AttributeError: "
                "module 'our_names' has no attribute 'f'"
            ),
        ),
        (
            {"x": "our_broken:f"},
            "templates.functions.x: our_broken:f cannot be imported: RuntimeError: not today",
        ),
        (
            {"x": "our_names:NOTHING"},
            "templates.functions.x: our_names:NOTHING is a int: expected a function",
        ),
    ],
)
def test_what_cannot_be_had_is_one_sentence(folder, functions, sentence):
    with pytest.raises(UserError) as caught:
        load_templates(TemplateSettings(functions=functions, path=folder))
    assert str(caught.value) == sentence


def test_settings_name_functions_and_filters(tmp_path):
    file = tmp_path / "callsheet.yaml"
    file.write_text(
        "templates:\n  functions: {fiscal: acme.dates:fiscal}\n"
        "  filters: {shout: acme.texts:shout}\n  path: python\n"
    )
    assert load_settings(file).templates == TemplateSettings(
        functions={"fiscal": "acme.dates:fiscal"},
        filters={"shout": "acme.texts:shout"},
        path=tmp_path / "python",
    )


def test_mistakes_in_these_settings_are_told_with_their_places(tmp_path):
    file = tmp_path / "callsheet.yaml"
    file.write_text(
        "templates:\n  functions:\n    Date: a:b\n    two words: a:b\n    x: os.system\n"
        "    run_id: a:b\n  filters: {upper: a:b}\n  modules: []\n"
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    assert [line.removeprefix(f"{file}:") for line in caught.value.lines] == [
        "3:5: templates.functions: Date: expected a name that templates do not have already",
        "4:5: templates.functions: 'two words': expected a name like business_day",
        "6:5: templates.functions: run_id: expected a name that templates do not have already",
        "5:5: templates.functions.x: 'os.system': expected a form like package.module:function",
        "7:13: templates.filters: upper: expected a name that templates do not have already",
        "8:3: templates: unexpected keys: modules: expected some of filters, functions, path",
    ]
