"""The settings of who may speak to the server."""

import pytest

from callsheet.conf.settings import SettingsError, load_settings
from callsheet.conf.web_settings import WebAccess


def a_file(tmp_path, text):
    path = tmp_path / "callsheet.yaml"
    path.write_text(text)
    return path


def test_without_a_word_this_machine_alone_is_served(tmp_path):
    assert load_settings(a_file(tmp_path, "{}")).web == WebAccess(bind=("127.0.0.1:5000",))


def test_every_key_is_read(tmp_path):
    text = """
bind: ["127.0.0.1:5000", "https://0.0.0.0:5443"]
tls: {certificate: tls/server.crt, key: /etc/server.key}
access: {loopback: login, session: 1h, hosts: [callsheet.example.org]}
"""
    found = load_settings(a_file(tmp_path, text)).web
    assert found.bind == ("127.0.0.1:5000", "https://0.0.0.0:5443")
    assert found.certificate == tmp_path / "tls/server.crt"
    assert str(found.key) == "/etc/server.key"
    assert (found.loopback, found.session_us) == ("login", 3600 * 1_000_000)
    assert found.hosts == ("callsheet.example.org",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tls: {certificate: a.crt}", "expected both certificate and key"),
        ("tls: {key: a.key}", "expected both certificate and key"),
        ("tls: {certificate: a.crt, key: a.key, verify: no}", "unexpected keys: verify"),
        ("access: {loopback: admin}", "expected open or login"),
        ("access: {session: 0}", "expected a duration up to 30 days"),
        ("access: {session: 31d}", "expected a duration up to 30 days"),
        ("access: {local: open}", "unexpected keys: local"),
        ("bind: 5000", "expected"),
        ("bind: 'ftp://a'", "expected a form like 127.0.0.1:5000"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, text, said):
    with pytest.raises(SettingsError) as refused:
        load_settings(a_file(tmp_path, text))
    assert said in str(refused.value)
