"""The keys that say what is kept of a program: output, artifacts."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from callsheet.jobs.binding import BindingError, bind
from callsheet.jobs.folder_defaults import with_defaults
from callsheet.jobs.jso import program_jso
from callsheet.jobs.keeping import Gap, both, gap_line, gap_of, is_output_id, kept, read_gap
from callsheet.jobs.order import ENTRY, Order
from callsheet.jobs.parse import BadJob, definition_hash, job_from_data
from callsheet.jobs.programs import Artifact, OutputSpec
from callsheet.jobs.unparse import program_data


def a_job(**keys):
    return job_from_data(
        {"params": ["who"], "program": {"type": "process", "argv": ["x"], "cwd": "/w", **keys}}, "j"
    )


READ = [
    ({}, UNSET),
    ({"output": None, "artifacts": None}, UNSET),
    ({"output": {"streams": "combined"}, "artifacts": []}, UNSET),
    ({"output": {"streams": "split"}}, OutputSpec(streams="split")),
    ({"output": {"keep": 65_536}}, OutputSpec(keep_bytes=65_536)),
    ({"output": {"keep": "64K"}}, OutputSpec(keep_bytes=2**16)),
    ({"output": {"keep": "1 GiB"}}, OutputSpec(keep_bytes=2**30)),
    ({"output": {"keep": "200MB"}}, OutputSpec(keep_bytes=200 * 2**20)),
    ({"artifacts": "a.csv"}, OutputSpec(artifacts=(Artifact(path="a.csv"),))),
    (
        {"artifacts": ["logs/**/*.txt", {"path": "{{ who }}.bin", "max_size": "1T"}]},
        OutputSpec(
            artifacts=(
                Artifact(path="logs/**/*.txt"),
                Artifact(path="{{ who }}.bin", max_bytes=2**40),
            )
        ),
    ),
]


@pytest.mark.parametrize(("keys", "spec"), READ)
def test_the_keys_are_read_and_written_back_as_they_were(keys, spec):
    job = a_job(**keys)
    assert job.program.output == spec
    written = {"params": ["who"], "program": program_data(job.program)}
    assert job_from_data(written, "j").program == job.program


def test_a_job_that_says_nothing_of_it_is_the_job_it_was():
    data = {"program": {"type": "process", "argv": ["x"], "cwd": "/w"}}
    plain = definition_hash(job_from_data(data, "j"))
    data["program"]["output"] = {"streams": "combined"}
    assert definition_hash(job_from_data(data, "j")) == plain


def test_the_path_of_an_artifact_is_a_template_and_stays_below():
    job = a_job(artifacts=["{{ who }}/*.csv"], output={"streams": "split"})
    found = bind(job, {"who": "you"}, "r1", {}.get, {}, schedule_us=0)
    assert found.program.output.artifacts == (Artifact(path="you/*.csv"),)
    assert program_jso(found.program)["artifacts"] == ["you/*.csv"]
    assert program_jso(found.program)["output"] == {"streams": "split"}
    for who in ("..", "/etc", "a/../.."):
        with pytest.raises(BindingError, match="below the working folder"):
            bind(job, {"who": who}, "r1", {}.get, {}, schedule_us=0)


def test_defaults_of_a_folder_may_say_how_streams_are():
    defaults = {"program": {"any": {"output": {"streams": "split"}}}}
    found = with_defaults({"program": {"type": "shell", "command": "x"}}, [defaults])
    assert found.data["program"]["output"] == {"streams": "split"}


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"output": "split"}, "program.output"),
        ({"output": {"streams": "apart"}}, "program.output.streams: 'apart': expected one of"),
        ({"output": {"keep": "64 apples"}}, "program.output.keep: '64 apples': expected bytes, or"),
        ({"output": {"keep": 5}}, "program.output.keep: 5: expected from 64 KiB to 1 TiB"),
        ({"output": {"keep": True}}, "program.output.keep: True: expected bytes"),
        ({"output": {"limit": 5}}, "program.output: unexpected keys: limit"),
        ({"artifacts": "../x"}, "'../x': expected a path below the working folder"),
        ({"artifacts": ["a", "/etc/passwd"]}, "'/etc/passwd': expected a path below the working"),
        ({"artifacts": {"path": "a", "max_size": 0}}, "max_size: 0: expected more than 0"),
        ({"artifacts": [f"{n}" for n in range(51)]}, "artifacts: are 51: expected at most 50"),
        ({"artifacts": "a", "cwd": None}, "expected cwd too"),
    ],
)
def test_what_is_wrong_is_said(keys, sentence):
    with pytest.raises(BadJob) as caught:
        a_job(**keys)
    assert sentence in str(caught.value)


# --- head and tail --------------------------------------------------------------------------------


def test_a_gap_only_grows_and_leaves_a_head_and_a_tail():
    assert gap_of(100, 100) == Gap()
    assert gap_of(101, 100) == Gap(25, 26)
    assert gap_of(1_000, 100) == Gap(25, 925)
    assert gap_of(1_000, 100, Gap(25, 950)) == Gap(25, 950)
    assert gap_of(1_000, 100, Gap(10, 900)) == Gap(10, 925)
    assert gap_of(1_000, 100, Gap(25, 920), slack=10) == Gap(25, 920)
    for size in range(100, 1_000, 7):
        assert kept(size, gap_of(size, 100)) <= 100


def test_what_one_or_the_other_has_lost_is_lost():
    assert both(Gap(), Gap(3, 5)) == both(Gap(3, 5), Gap()) == Gap(3, 5)
    assert both(Gap(3, 5), Gap(4, 9)) == Gap(3, 9)


def test_a_gap_is_written_in_one_line_of_one_length():
    assert len({len(gap_line(gap)) for gap in (Gap(), Gap(1, 2**62))}) == 1
    assert read_gap(gap_line(Gap(7, 2**50))) == Gap(7, 2**50)
    odd = (b"", b"torn", b"5 -7", b"-5 7", b"7 5", b"1_0 20", b"0 %d" % 2**60, b"1 2 3", b"9" * 64)
    assert [line for line in odd if read_gap(line) != Gap()] == []


def test_the_id_of_an_output_is_the_name_of_a_file_and_of_no_other():
    assert all(map(is_output_id, ("output", "a.csv", "logs.a-1.txt", "_")))
    for name in ("", ".", "..", ".a", "a/b", "a\0", "a\n", "x" * 101, "a.part", "a.gap", "a.new"):
        assert not is_output_id(name)


def test_entries_of_an_order_that_go_back_or_beyond_any_output_end_it():
    sound = ENTRY.pack(5 << 1, 1) + ENTRY.pack(9 << 1 | 1, 2)
    assert (Order(sound).size, Order(sound).parts) == (9, (5, 4))
    for odd in (ENTRY.pack(3 << 1, 3), ENTRY.pack(2**60 << 1, 3), ENTRY.pack(2**64 - 1, 3)):
        assert Order(sound + odd + ENTRY.pack(12 << 1, 4)).parts == (5, 4)
