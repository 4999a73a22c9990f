"""The files in which processes give results back, whatever is put in their place."""

import os

import pytest
from cleaner import can_be_cleaned

from callsheet.agentd.host import Key, Results, Spec
from callsheet.agentd.results import VARIABLE, ResultFiles
from callsheet.jobs.programs import BoundProcess
from callsheet.jobs.results import RESULT_BYTES

KEY = Key("r1", 1)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "runs" / "r1.1").mkdir(parents=True)
    return ResultFiles(str(tmp_path / "runs"), "id.", str(tmp_path / "elsewhere"))


def a_spec(files, key=KEY, argv=("x",), **fields):
    program = BoundProcess(argv=argv, **fields)
    path = files.path_for(key, program)
    return Spec(program=program, argv=argv, env={VARIABLE: path} if path else {})


def put(spec, data):
    with open(spec.env[VARIABLE], "wb") as file:
        file.write(data)


def test_the_agents_own_user_writes_into_the_claim(files, tmp_path):
    spec = a_spec(files)
    assert spec.env[VARIABLE] == f"{tmp_path}/runs/r1.1/result"
    files.begin(KEY, spec)
    assert files.read(KEY, spec) == Results({})
    put(spec, b"rows=3\nnonsense\n")
    told = ("results: line 2: 'nonsense': expected key=value",)
    assert files.read(KEY, spec) == Results({"rows": "3"}, told)


def test_another_user_writes_into_a_file_that_only_the_process_can_name(files, tmp_path):
    spec = a_spec(files, sudo_user="bob")
    path = spec.env[VARIABLE]
    assert path != a_spec(files, sudo_user="bob").env[VARIABLE]
    files.begin(KEY, spec)
    files.begin(KEY, spec)
    assert os.stat(path).st_mode & 0o777 == 0o666
    assert os.stat(tmp_path / "elsewhere").st_mode & 0o777 == 0o711
    put(spec, b"rows=3\n")
    assert files.read(KEY, spec).values == {"rows": "3"}
    files.forget(KEY)
    assert not os.path.exists(path)
    assert files.read(KEY, spec).notes == ("results: their file is gone",)


def test_the_folder_of_other_users_files_is_not_cleaned_while_the_agent_lives(files, tmp_path):
    spec = a_spec(files, sudo_user="bob")
    assert files.begin(KEY, spec) is None
    assert not can_be_cleaned(tmp_path / "elsewhere")


def test_nor_for_the_agent_that_comes_after_it(tmp_path):
    def results():
        return ResultFiles(str(tmp_path / "runs"), "id.", str(tmp_path / "elsewhere"))

    (tmp_path / "elsewhere").mkdir()
    spec = a_spec(results(), sudo_user="bob")
    results().sweep([])
    assert can_be_cleaned(tmp_path / "elsewhere")
    results().sweep([(KEY, spec)])
    assert not can_be_cleaned(tmp_path / "elsewhere")


def test_what_runs_on_a_host_of_its_own_is_given_none(files):
    assert VARIABLE not in a_spec(files, argv=("callsheet-ssh", "host")).env
    assert files.read(KEY, a_spec(files, argv=("callsheet-ssh", "host"))) == Results({})


def test_files_of_claims_that_are_gone_are_removed_and_those_of_others_are_not(files, tmp_path):
    kept, gone = (a_spec(files, Key("r1", n), sudo_user="bob") for n in (1, 2))
    files.begin(Key("r1", 1), kept)
    files.begin(Key("r1", 2), gone)
    (tmp_path / "elsewhere" / "other.r1.1.x").touch()
    again = ResultFiles(str(tmp_path / "runs"), "id.", str(tmp_path / "elsewhere"))
    again.sweep([(Key("r1", 1), kept)])
    names = sorted(os.listdir(tmp_path / "elsewhere"))
    assert names == sorted([os.path.basename(kept.env[VARIABLE]), "other.r1.1.x"])
    again.forget(Key("r1", 1))
    assert os.listdir(tmp_path / "elsewhere") == ["other.r1.1.x"]


def test_what_is_no_file_is_told_and_never_waited_for(files, tmp_path):
    spec = a_spec(files)
    path = spec.env[VARIABLE]
    os.mkfifo(path)
    assert files.read(KEY, spec).notes == ("results: is not a file: expected key=value lines",)
    os.unlink(path)
    (tmp_path / "secret").write_text("key=value\n")
    os.symlink(tmp_path / "secret", path)
    read = files.read(KEY, spec)
    assert (read.values, len(read.notes)) == ({}, 1)
    assert "cannot be read" in read.notes[0]


def test_a_file_that_is_too_large_gives_nothing(files):
    spec = a_spec(files)
    put(spec, b"a=1\n" * RESULT_BYTES)
    read = files.read(KEY, spec)
    assert read.values == {}
    assert read.notes == (
        f"results: has {4 * RESULT_BYTES} bytes: expected at most {RESULT_BYTES}: none are taken",
    )


@pytest.mark.parametrize("spoil", [lambda f: f.mkdir(0o777) or f.chmod(0o777), lambda f: f.touch()])
def test_a_folder_that_is_not_the_agents_alone_is_not_used(files, tmp_path, spoil):
    spoil(tmp_path / "elsewhere")
    spec = a_spec(files, sudo_user="bob")
    files.begin(KEY, spec)
    assert not os.path.exists(spec.env[VARIABLE])
