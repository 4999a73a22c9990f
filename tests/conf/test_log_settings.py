"""The settings of logs."""

import pytest

from callsheet.conf.log_settings import LogSettings
from callsheet.conf.settings import SettingsError, load_settings


def a_file(tmp_path, text):
    path = tmp_path / "callsheet.yaml"
    path.write_text(text)
    return path


def test_without_a_word_lines_go_to_standard_error(tmp_path):
    assert load_settings(a_file(tmp_path, "{}")).log == LogSettings()


def test_every_key_is_read(tmp_path):
    text = """
log:
  folder: logs
  level: WARNING
  levels: {ledger: debug, runs: info}
  format: json
  rotate: {size: 10M, every: 1d, keep: 30}
  stderr: off
"""
    assert load_settings(a_file(tmp_path, text)).log == LogSettings(
        folder=tmp_path / "logs",
        level="warning",
        levels={"ledger": "debug", "runs": "info"},
        format="json",
        size_bytes=10 * 2**20,
        every_us=86_400 * 10**6,
        keep=30,
        stderr="off",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("log: {level: loud}", "1:7: log.level: 'loud': expected debug, info"),
        ("log: {levels: {legder: info}}", "unexpected keys: legder: did you mean ledger?"),
        ("log: {format: xml}", "expected text or json"),
        ("log: {rotate: {size: big}}", "expected bytes, or a size like 64M"),
        ("log: {rotate: {size: 1K}}", "expected 0, or 4096 bytes or more"),
        ("log: {rotate: {every: 1s}}", "expected a duration of a minute or more"),
        ("log: {rotate: {keep: 0}}", "expected a whole number from 1"),
        ("log: {rotate: {kept: 1}}", "unexpected keys: kept"),
        ("log: {file: a.log}", "unexpected keys: file"),
        ("log: a.log", "expected a mapping"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(tmp_path, text, said):
    with pytest.raises(SettingsError) as refused:
        load_settings(a_file(tmp_path, text))
    assert said in str(refused.value)
    assert "callsheet.yaml:1:" in str(refused.value)
