"""TLS of the web server: what is spoken, who is trusted, and certificates that are renewed."""

import asyncio
import os
import shutil
import socket
import ssl

import pytest
from certificates import Authority
from live_server import until
from web_stand import WebStand, a_job

from callsheet.client import Client, NotTrusted
from callsheet.webui import app
from callsheet.webui.certificate import BadCertificate, Certificate

WAIT_S = 60.0


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def stand_with(tmp_path):
    stands = []

    def begin(files, **settings):
        folder = tmp_path / f"stand{len(stands)}"
        folder.mkdir()
        settings.setdefault("bind", ("https://127.0.0.1:0",))
        stands.append(WebStand(folder, jobs=(a_job("a"),), **settings, **files))
        return stands[-1]

    yield begin
    for stand in stands:
        stand.close()


def client_of(stand, **kwargs):
    return Client(f"https://127.0.0.1:{stand.port}", **kwargs)


def test_the_client_speaks_to_a_server_it_can_verify(stand_with, authority, monkeypatch):
    stand = stand_with(authority.issue("server"))
    with client_of(stand, ca_file=authority.ca_file) as client:
        assert client.alive()
        assert client.url == f"https://127.0.0.1:{stand.port}"
        run_id = client.schedule("a", {})["run_id"]
        until(lambda: client.get_run(run_id)["state"] == "success", "the run", WAIT_S)

        async def first():
            return await anext(client.get_run_updates(run_id, init=True))

        assert asyncio.run(first())["run"]["run_id"] == run_id
    monkeypatch.setenv("CALLSHEET_CA_FILE", authority.ca_file)
    with client_of(stand) as client:
        assert client.alive()


@pytest.mark.parametrize(
    ("hosts", "days", "why"),
    [
        (("127.0.0.1",), -1, "certificate has expired"),
        (("callsheet.example",), 7, "IP address mismatch"),
    ],
)
def test_a_server_with_a_wrong_certificate_is_not_trusted(stand_with, authority, hosts, days, why):
    stand = stand_with(authority.issue("server", hosts, days))
    with (
        client_of(stand, ca_file=authority.ca_file) as client,
        pytest.raises(NotTrusted, match=why),
    ):
        client.alive()


def test_a_server_of_an_unknown_authority_is_not_trusted(stand_with, authority, tmp_path):
    stand = stand_with(authority.issue("server"))
    other = Authority(tmp_path, "other")
    for ca_file in (other.ca_file, None):
        with client_of(stand, ca_file=ca_file) as client, pytest.raises(NotTrusted):
            client.alive()


def test_a_server_that_speaks_no_tls_is_told_apart_from_one_that_is_not_trusted(tmp_path):
    stand = WebStand(tmp_path)
    try:
        with (
            Client(f"https://localhost:{stand.port}") as client,
            pytest.raises(NotTrusted, match=r"no TLS: .*: expected a server that speaks TLS there"),
        ):
            client.alive()
    finally:
        stand.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_nothing_below_tls_1_2_is_spoken(stand_with, authority):
    stand = stand_with(authority.issue("server"))

    def version(lowest, highest):
        context = ssl.create_default_context(cafile=authority.ca_file)
        # Else OpenSSL itself would refuse old versions on most machines.
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = lowest, highest
        with (
            socket.create_connection(("127.0.0.1", stand.port), WAIT_S) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
        ):
            return wrapped.version()

    assert version(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert version(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with pytest.raises(OSError, match=r"(?i)alert|reset|eof|closed"):
        version(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)


def test_plain_words_at_a_tls_port_are_not_answered(stand_with, authority):
    stand = stand_with(authority.issue("server"))
    try:
        answer = stand.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    except ConnectionResetError:
        answer = b""
    assert not answer.startswith(b"HTTP")


def test_plain_and_tls_addresses_are_served_side_by_side(stand_with, authority):
    binds = ("127.0.0.1:0", "https://127.0.0.1:0")
    stand = stand_with(authority.issue("server"), bind=binds)
    assert stand.ask("GET", "/api/v1/alive")[0] == 200
    assert stand.server.urls[1].startswith("https://127.0.0.1:")
    with Client(stand.server.urls[1], ca_file=authority.ca_file) as client:
        assert client.alive()


def test_a_renewed_certificate_is_used_at_once(stand_with, authority, tmp_path, monkeypatch):
    monkeypatch.setattr(app, "LOOK_S", 0.02)
    files = authority.issue("server")
    stand = stand_with(files)
    other = Authority(tmp_path, "other")

    def trusted(ca_file):
        with client_of(stand, ca_file=ca_file) as client:
            try:
                return client.alive()
            except NotTrusted:
                return False

    assert not trusted(other.ca_file)
    renewed = other.issue("renewed")
    for name, path in files.items():
        os.replace(renewed[name], path)
    until(lambda: trusted(other.ca_file), "the new certificate", WAIT_S)
    assert not trusted(authority.ca_file)


def test_a_renewal_that_went_wrong_leaves_the_old_certificate(authority, tmp_path):
    files = authority.issue("server")
    certificate = Certificate(**files)
    before = certificate.context
    assert not certificate.renew()
    shutil.copy(authority.issue("another")["certificate"], files["certificate"])
    assert not certificate.renew()
    assert certificate.context is before
    assert certificate.problem == (
        f"tls.certificate: {files['certificate']}: it is not of this key: expected the certificate "
        f"of {files['key']}"
    )
    shutil.copy(tmp_path / "another.key", files["key"])
    assert certificate.renew()
    assert (certificate.problem, certificate.context is before) == ("", False)


def test_a_key_that_others_may_read_is_refused(authority):
    files = authority.issue("server")
    os.chmod(files["key"], 0o640)
    with pytest.raises(BadCertificate) as refused:
        Certificate(**files)
    assert str(refused.value) == (
        f"tls.key: {files['key']}: its mode is 0640, so that others may read or change it: "
        "expected 0600"
    )


@pytest.mark.parametrize("spoilt", ["certificate", "key"])
@pytest.mark.parametrize("content", [None, b"", b"\xff\x00nothing"])
def test_files_that_are_no_pem_are_refused_by_name(authority, spoilt, content):
    files = authority.issue("server")
    if content is None:
        os.unlink(files[spoilt])
    else:
        with open(files[spoilt], "wb") as file:
            file.write(content)
    with pytest.raises(BadCertificate) as refused:
        Certificate(**files)
    setting = spoilt if content is None else "certificate"
    assert str(refused.value).startswith(f"tls.{setting}: ")
    assert ": expected " in str(refused.value)
