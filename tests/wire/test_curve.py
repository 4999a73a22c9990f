"""Keys in files, and as text."""

import os

import pytest

from callsheet.wire.curve import BadKey, new_keys, own_keys, public_bytes, public_text, read_secret


def test_a_key_pair_is_made_once_and_its_secret_is_its_owners_alone(tmp_path):
    path = tmp_path / "keys" / "server.key"
    keys = own_keys(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert own_keys(path) == keys
    assert (tmp_path / "keys" / "server.pub").read_text() == public_text(keys.public) + "\n"
    assert sorted(one.name for one in path.parent.iterdir()) == ["server.key", "server.pub"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o666])
def test_a_secret_that_others_may_read_or_write_is_refused(tmp_path, mode):
    path = tmp_path / "server.key"
    own_keys(path)
    path.chmod(mode)
    with pytest.raises(BadKey, match=f"its mode is {mode:04o}, so that others .*: expected 0600"):
        own_keys(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_secret_of_another_user_is_refused(tmp_path):
    path = tmp_path / "server.key"
    own_keys(path)
    os.chown(path, 12345, 12345)
    with pytest.raises(BadKey, match="it belongs to user 12345"):
        own_keys(path)


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 40, b"a" * 41])
def test_a_file_without_a_key_is_refused(tmp_path, content):
    path = tmp_path / "server.key"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(BadKey, match="it holds no key"):
        own_keys(path)


def test_a_missing_secret_is_a_sentence(tmp_path):
    with pytest.raises(BadKey, match="cannot be read: No such file"):
        read_secret(tmp_path / "none")


def test_a_public_key_is_text_without_signs_a_shell_minds():
    for _ in range(50):
        keys = new_keys()
        text = public_text(keys.public)
        assert len(text) == 43
        assert text.replace("-", "").replace("_", "").isalnum()
        assert public_bytes(text, "here") == keys.public


@pytest.mark.parametrize("text", ["", "x", "a" * 42, "a" * 44, "é" * 43, "!" * 43])
def test_a_text_that_is_no_public_key_is_refused(text):
    with pytest.raises(BadKey, match="is no public key"):
        public_bytes(text, "--server-key")


def test_a_secret_key_is_never_shown():
    keys = new_keys()
    assert keys.secret.decode() not in f"{keys} {keys!r}"
