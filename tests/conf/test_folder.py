"""Job folders: what is found in them, what is said of broken files, what the cache spares."""

import os

import pytest

from callsheet.conf import folder as folder_module
from callsheet.conf.folder import FolderCache, load_folder
from callsheet.jobs.parse import definition_hash

NOOP = "program: {type: no-op}\n"
LONG_AGO_NS = 1_600_000_000_000_000_000


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return root


def texts(root, **more):
    return [problem.text for problem in load_folder(root, **more).problems]


def test_job_ids_are_paths_without_the_suffix(tmp_path):
    write(
        tmp_path,
        {
            "a.yaml": NOOP,
            "a.b.yaml": NOOP,
            "x/match prefix.yaml": NOOP,
            ".hidden/b.yaml": NOOP,
            "folder.yaml/c.yaml": NOOP,
            ".skipped.yaml": "{",
            "d.yml": "{",
            "e.YAML": "{",
            "script.sh": "exit",
        },
    )
    loaded = load_folder(tmp_path)
    assert loaded.problems == []
    assert sorted(loaded.jobs) == [".hidden/b", "a", "a.b", "folder.yaml/c", "x/match prefix"]
    assert loaded.hashes == {name: definition_hash(job) for name, job in loaded.jobs.items()}
    assert all(job.job_id == name for name, job in loaded.jobs.items())


def test_an_empty_folder_holds_no_jobs_and_no_problems(tmp_path):
    loaded = load_folder(tmp_path)
    assert (loaded.jobs, loaded.problems) == ({}, [])


def test_all_mistakes_of_all_files_are_told_at_once_with_their_places(tmp_path):
    write(
        tmp_path,
        {
            "good.yaml": NOOP,
            "x/bad.yaml": (
                "program: {type: no-op}\nprogam: 1\nschedule:\n"
                "- type: interval\n  interval: 0\n- {type: daily, daytime: 9}\n"
            ),
            "twice.yaml": "program: a\nprogram: b\n",
            "broken.yaml": "program: [\n",
            "empty.yaml": "",
            "binary.yaml": bytes(range(256)),
        },
    )
    loaded = load_folder(tmp_path)
    assert sorted(loaded.jobs) == ["good"]
    found = [problem.text for problem in loaded.problems]
    starts = [
        "binary.yaml:2:118: byte 0x80 is not UTF-8",
        "broken.yaml:2:1: not YAML",
        "empty.yaml:1:1: job is null: expected a mapping",
        'twice.yaml:2:1: found duplicate key "program" with value',
        "x/bad.yaml:2:1: unexpected keys: progam",
        "x/bad.yaml:5:3: schedule[0].interval: duration 0: expected at least",
        "x/bad.yaml:6:3: schedule[1]: missing key: tz",
    ]
    assert len(found) == len(starts), found
    for text, start in zip(found, starts, strict=True):
        assert text.startswith(start)
    assert {problem.job_id for problem in loaded.problems} == {
        "x/bad", "twice", "broken", "empty", "binary",
    }  # fmt: skip


def test_a_missing_folder_is_a_problem(tmp_path):
    (found,) = texts(tmp_path / "nowhere")
    assert "nowhere:1:1: folder cannot be read: No such file" in found


def test_a_file_for_a_folder_is_a_problem(tmp_path):
    write(tmp_path, {"a.yaml": NOOP})
    (found,) = texts(tmp_path / "a.yaml")
    assert "Not a directory" in found


def test_links_are_followed_and_circles_end(tmp_path):
    write(tmp_path, {"jobs/x/a.yaml": NOOP, "elsewhere/b.yaml": NOOP})
    (tmp_path / "jobs" / "up").symlink_to(tmp_path / "jobs", target_is_directory=True)
    (tmp_path / "jobs" / "x" / "self").symlink_to(".", target_is_directory=True)
    (tmp_path / "jobs" / "more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "jobs" / "c.yaml").symlink_to(tmp_path / "elsewhere" / "b.yaml")
    loaded = load_folder(tmp_path / "jobs")
    assert loaded.problems == []
    assert sorted(loaded.jobs) == ["c", "more/b", "x/a"]


def test_links_to_nothing_and_to_themselves_are_problems(tmp_path):
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "ignored").symlink_to("nowhere")
    found = texts(tmp_path)
    assert len(found) == 2
    assert found[0].startswith("gone.yaml:1:1: cannot be read: No such file")
    assert found[1].startswith("loop.yaml:1:1: cannot be read: ")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    assert texts(tmp_path) == ["pipe.yaml:1:1: is not a file: expected a regular one"]


def test_a_huge_file_is_not_read(tmp_path):
    with open(tmp_path / "huge.yaml", "wb") as file:
        file.truncate(1 << 40)
    (found,) = texts(tmp_path)
    assert found.startswith("huge.yaml:1:1: is too large")


def test_a_file_that_may_not_be_read_is_a_problem(tmp_path):
    write(tmp_path, {"secret.yaml": NOOP})
    (tmp_path / "secret.yaml").chmod(0)
    if os.access(tmp_path / "secret.yaml", os.R_OK):
        pytest.skip("this user may read everything")
    assert texts(tmp_path) == ["secret.yaml:1:1: cannot be read: Permission denied"]


def test_a_name_that_is_not_utf_8_is_a_problem(tmp_path):
    try:
        with open(os.fsencode(tmp_path) + b"/\xff.yaml", "wb") as file:
            file.write(NOOP.encode())
    except OSError:
        pytest.skip("this file system has only names in UTF-8")
    assert texts(tmp_path) == [
        "\\udcff.yaml:1:1: file name is not UTF-8: expected a job ID in UTF-8"
    ]


# --- the cache ----------------------------------------------------------------------------------


@pytest.fixture
def reads(monkeypatch):
    """Job IDs in the order in which their files were read and parsed."""
    found = []
    parse = folder_module.job_from_data

    def job_from_data(data, job_id):
        found.append(job_id)
        return parse(data, job_id)

    monkeypatch.setattr(folder_module, "job_from_data", job_from_data)
    return found


def load(root, file):
    cache = FolderCache(file)
    cache.load()
    loaded = load_folder(root, cache)
    assert cache.save()
    return loaded


def test_what_has_not_changed_is_not_read_again(tmp_path, reads):
    root = write(tmp_path / "jobs", {"a.yaml": NOOP, "x/b.yaml": NOOP, "bad.yaml": "{}"})
    first = load(root, tmp_path / "cache")
    assert sorted(reads) == ["a", "bad", "x/b"]
    reads.clear()
    assert load(root, tmp_path / "cache") == first
    assert reads == ["bad"]


def test_what_has_changed_is_read_again(tmp_path, reads):
    root = write(tmp_path / "jobs", {"a.yaml": NOOP, "b.yaml": NOOP})
    load(root, tmp_path / "cache")
    reads.clear()
    write(root, {"b.yaml": "program: echo\n"})  # same time, another size
    loaded = load(root, tmp_path / "cache")
    assert reads == ["b"]
    assert loaded.jobs["b"].program.command == "echo"
    (root / "a.yaml").unlink()
    assert sorted(load(root, tmp_path / "cache").jobs) == ["b"]


def test_a_file_of_this_moment_is_read_again(tmp_path, reads):
    root = write(tmp_path / "jobs", {"a.yaml": NOOP})
    os.utime(root / "a.yaml")
    load(root, tmp_path / "cache")
    load(root, tmp_path / "cache")
    assert reads == ["a", "a"]


@pytest.mark.parametrize("damage", [b"", b"\xc1", b"\x92\xa3x/1\x80", b"junk" * 99])
def test_a_damaged_cache_is_made_anew(tmp_path, reads, damage):
    root = write(tmp_path / "jobs", {"a.yaml": NOOP})
    load(root, tmp_path / "cache")
    (tmp_path / "cache").write_bytes(damage)
    assert sorted(load(root, tmp_path / "cache").jobs) == ["a"]
    load(root, tmp_path / "cache")
    assert reads == ["a", "a"]


def test_a_cache_cut_short_is_made_anew(tmp_path):
    root = write(tmp_path / "jobs", {"a.yaml": NOOP, "b.yaml": NOOP})
    load(root, tmp_path / "cache")
    whole = (tmp_path / "cache").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cache").write_bytes(whole[:length])
        assert sorted(load(root, tmp_path / "cache").jobs) == ["a", "b"]


def test_a_cache_that_cannot_be_written_harms_nobody(tmp_path):
    root = write(tmp_path / "jobs", {"a.yaml": NOOP})
    cache = FolderCache(tmp_path / "nowhere" / "cache")
    cache.load()
    assert sorted(load_folder(root, cache).jobs) == ["a"]
    assert cache.save() is False
