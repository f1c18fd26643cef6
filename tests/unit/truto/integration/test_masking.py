"""No secret survives masking, whatever stands around it."""

from __future__ import annotations

import base64
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truto.integration.masking import MASK, Masker

SECRETS = st.text(min_size=8, max_size=40).filter(lambda text: text.strip() == text)
AROUND = st.text(max_size=10)


@given(secret=SECRETS, before=AROUND, after=AROUND)
def test_a_secret_is_masked_in_text_and_urls(secret: str, before: str, after: str) -> None:
    masker = Masker([secret])
    for form in (secret, quote(secret, safe="", errors="surrogatepass"), quote_plus(secret, errors="surrogatepass")):
        assert secret not in masker.text(f"{before}{form}{after}").replace(MASK, "\x00")


@given(
    secret=st.binary(min_size=12, max_size=40).map(lambda raw: raw.hex()),
    before=st.binary(max_size=9),
    after=st.binary(max_size=9),
)
def test_a_secret_in_base64_is_masked_wherever_it_begins(secret: str, before: bytes, after: bytes) -> None:
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    masked = Masker([secret]).text(encoded)
    assert MASK in masked
    # At most the letters that it shares with its neighbours are left.
    assert len(masked.replace(MASK, "")) <= len(encoded) - len(base64.b64encode(secret.encode())) + 8


def test_of_two_secrets_the_longer_one_is_masked_whole() -> None:
    assert Masker(["abcd", "abcdefgh"]).text("abcdefgh abcd") == f"{MASK} {MASK}"


def test_a_short_secret_is_masked_by_its_name_alone() -> None:
    assert Masker(["abc"]).value({"password": "abc", "text": "abc"}) == {"password": MASK, "text": "abc"}


@pytest.mark.parametrize(
    "name", ["Authorization", "cookie", "Set-Cookie", "X-Api-Key", "x-apikey", "X-Auth-Token", "X-Signature"]
)
def test_headers_that_authorize_are_masked_by_their_name(name: str) -> None:
    assert Masker([]).headers({name: "value", "x-other": "shown"}) == {name: MASK, "x-other": "shown"}
