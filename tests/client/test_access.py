"""Whom a client speaks to, and what it shows of itself."""

import pytest

from callsheet.client import Client
from callsheet.client.access import BadAccess, default_address, find_token, parse_address


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch):
    for name in ("HOST", "TOKEN", "TOKEN_FILE", "CA_FILE"):
        monkeypatch.delenv(f"CALLSHEET_{name}", raising=False)
    monkeypatch.delenv("APSIS_HOST", raising=False)


@pytest.mark.parametrize(
    ("text", "host", "port", "tls"),
    [
        ("a", "a", 5000, False),
        ("a:1", "a", 1, False),
        ("http://a:1/", "a", 1, False),
        ("https://a", "a", 443, True),
        ("https://a:1", "a", 1, True),
        ("[::1]:1", "::1", 1, False),
        ("[::1]", "::1", 5000, False),
        ("https://[::1]", "::1", 443, True),
        ("::1", "::1", 5000, False),
        ("https://fe80::1", "fe80::1", 443, True),
    ],
)
def test_addresses_are_understood(text, host, port, tls, monkeypatch):
    found = parse_address(text)
    assert (found.host, found.port, found.tls) == (host, port, tls)
    monkeypatch.setenv("CALLSHEET_HOST", text)
    assert default_address().port == port


def test_an_address_of_ipv6_may_have_its_port_beside_it():
    with Client("::1", 5312) as client:
        assert client.url == "http://[::1]:5312"
    with pytest.raises(BadAccess, match=r"expected an address like https://\[2001:db8::1\]:5000"):
        Client("2001:db8::1", token="cs_1")


@pytest.mark.parametrize("text", ["a:", "a:x", "ftp://a", "a:99999"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(BadAccess, match="expected a form like"):
        parse_address(text)


def test_a_token_is_that_of_the_argument_of_the_environment_or_of_a_file(monkeypatch, tmp_path):
    here = parse_address("localhost")
    assert find_token(None, here) is None
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text("cs_file\n")
    monkeypatch.setenv("CALLSHEET_TOKEN_FILE", str(path))
    assert find_token(None, here) == "cs_file"
    monkeypatch.setenv("CALLSHEET_TOKEN", "cs_env")
    assert find_token(None, here) == "cs_env"
    assert find_token("cs_said", here) == "cs_said"


def test_a_token_file_that_others_may_read_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "token"
    path.write_text("cs_1")
    path.chmod(0o644)
    monkeypatch.setenv("CALLSHEET_TOKEN_FILE", str(path))
    with pytest.raises(BadAccess) as refused:
        Client("https://example.org")
    assert str(refused.value) == (
        f"{path}: its mode is 0644, so that others may read or change it: expected 0600"
    )
    assert "cs_1" not in str(refused.value)
    path.unlink()
    with pytest.raises(BadAccess, match="cannot be read: No such file"):
        Client("https://example.org")
    path.touch(mode=0o600)
    with pytest.raises(BadAccess, match="it is empty: expected a file with a token"):
        Client("https://example.org")


def test_a_token_never_goes_over_the_network_for_all_to_read():
    with pytest.raises(BadAccess) as refused:
        Client("example.org", token="cs_secret")
    assert str(refused.value) == (
        "the token: it would go to example.org unencrypted: expected an address like "
        "https://example.org:5000"
    )
    with Client("127.0.0.1:1", token="cs_secret") as client:
        assert client.url == "http://127.0.0.1:1"


@pytest.mark.parametrize("token", ["a b", "a\nb", "ä"])
def test_what_is_no_token_is_refused(token):
    with pytest.raises(BadAccess, match="not a token"):
        Client("localhost", token=token)
