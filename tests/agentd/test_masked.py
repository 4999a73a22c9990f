"""What leaves a host has no secret in it, however it was encoded, and wherever it was cut."""

from __future__ import annotations

import base64
import json
import shlex
import urllib.parse
from random import Random

import pytest

from callsheet.agentd.masked import Masker
from callsheet.jobs.keeping import Gap
from callsheet.jobs.masking import forms_of

SECRET = 'cän/ary\'7$ "x"+&=end'
DATA = SECRET.encode()
FORMS = {
    "as it is": DATA,
    "base64": base64.b64encode(DATA),
    "base64 behind one byte": base64.b64encode(b"-" + DATA + b"-"),
    "base64 behind two": base64.b64encode(b"::" + DATA + b"-"),
    "base64 for URLs": base64.urlsafe_b64encode(DATA),
    "in a URL": urllib.parse.quote(SECRET, safe="").encode(),
    "in a path of one": urllib.parse.quote(SECRET).encode(),
    "in a form": urllib.parse.urlencode({"a": SECRET}).encode(),
    "in a URL, lower case": urllib.parse.quote(SECRET, safe="").lower().encode(),
    "in JSON": json.dumps({"a": [SECRET]}).encode(),
    "in JSON as UTF-8": json.dumps([SECRET], ensure_ascii=False).encode(),
    "quoted for a shell": shlex.quote(SECRET).encode(),
    "as a shell quotes it": b"'" + DATA.replace(b"'", rb"'\''") + b"'",
    "in hexadecimal": DATA.hex().encode(),
    "as Python shows it": repr([SECRET]).encode(),
}


def cores(form):
    """The inner part of an encoded secret that is nobody else's."""
    return form[len(form) // 4 : len(form) - len(form) // 4]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_secret_is_starred_out_in_each_of_its_forms(form):
    masker = Masker([SECRET])
    said = b"before " + form + b" after"
    masked = masker.mask(said)
    assert len(masked) == len(said)
    assert (masked[:7], masked[-6:]) == (b"before ", b" after")
    assert cores(form) not in masked
    assert masked.count(b"*") >= len(DATA) - 4


def test_each_line_of_a_secret_is_one_and_base64_may_be_wrapped():
    secret = "-----BEGIN KEY-----\n" + "\n".join("0123456789abcdef" * 4 for _ in range(3))
    masker = Masker([secret])
    assert masker.mask(b"> 0123456789abcdef" * 4) == b"> 0123456789abcdef" * 4
    line = b"0123456789abcdef" * 4
    assert masker.mask(b"> " + line) == b"> " + b"*" * 64
    encoded = base64.encodebytes(secret.encode())
    assert {b for part in masker.mask(encoded).split(b"\n") if len(part) > 20 for b in part} == {42}


def test_what_is_shorter_than_a_secret_can_be_is_none():
    assert forms_of("abc") == []
    assert Masker(["abc"]).mask(b"abc") == b"abc"


def test_however_it_is_cut_each_byte_comes_out_the_same():
    random = Random(7)
    masker = Masker(["sesame", "sesame-open", "aab"])
    words = [b"sesame", b"sesame-open", b"sesam", b"aab", b"aaab", b"--", b"open", b"\n"]
    for _ in range(300):
        data = b"".join(random.choice(words) for _ in range(30))

        def pread(count, offset, data=data):
            return data[offset : offset + count]

        whole = masker.mask(data)
        assert b"sesame" not in whole
        at = 0
        while at < len(data):
            count = random.randint(1, 12)
            assert masker.read(pread, at, count) == whole[at : at + count]
            at += count


def test_nothing_of_a_secret_is_clear_before_it_is_whole():
    random = Random(8)
    masker = Masker(["sesame-open", "same"])
    words = [b"sesame-open", b"sesa", b"same", b"sesame", b"s", b"x"]
    for _ in range(300):
        data = b"".join(random.choice(words) for _ in range(12))
        whole, sent = masker.mask(data), b""
        for size in range(len(data) + 1):

            def pread(count, offset, there=data[:size]):
                return there[offset : offset + count]

            clear = masker.clear(pread, size)
            assert clear >= len(sent)
            sent += masker.read(pread, len(sent), clear - len(sent))
            assert sent == whole[: len(sent)]


def test_of_a_secret_that_a_gap_has_cut_nothing_is_left():
    masker = Masker(["sesame-open-now"])
    data = b"........sesame-open-now........"
    for start in range(8, 23):
        gap = Gap(start, start + 4)
        there = data[:start] + b"\0" * 4 + data[start + 4 :]

        def pread(count, offset, there=there):
            return there[offset : offset + count]

        left = masker.read(pread, 0, start, gap) + masker.read(pread, gap.end, 99, gap)
        assert b"sesa" not in left
        assert b"-now" not in left
        assert b"open" not in left


def test_texts_are_masked_whole():
    assert Masker(["sesame", "sesame-open"]).text("say sesame-open or sesame") == "say *** or ***"
