"""OAuth 1.0a signatures, against the examples of others."""

from __future__ import annotations

import pytest

from truto.integration import IntegrationFailed, Request
from truto.integration.credentials import CredentialsConfig
from truto.integration.oauth1 import base_string, sign_oauth1

CONFIG = CredentialsConfig.model_validate({"client": {"id": "dpf43f3p2l4k3l03", "secret": "kd94hf93k423kf44"}})
PHOTOS = Request("GET", "http://photos.example.net/photos?file=vacation.jpg&size=original", {})


def test_the_signature_is_that_of_the_specifications_example() -> None:
    """OAuth Core 1.0a, appendix A.5.2 and A.5.3."""
    header = sign_oauth1(
        PHOTOS,
        CONFIG,
        {},
        {},
        token=("nnch734d00sl2jdk", "pfkkdhi9sl3r4s00"),
        nonce="kllo9940pd9333jh",
        timestamp=1191242096,
    )
    assert 'oauth_signature="tR3%2BTy81lMeYAr%2FFid0kMTYa%2FWM%3D"' in header


def test_the_base_string_is_that_of_rfc_5849() -> None:
    """RFC 5849, 3.4.1.1, with its erratum for the encoded path."""
    request = Request(
        "POST",
        "http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b",
        {"content-type": "application/x-www-form-urlencoded"},
        b"c2&a3=2+q",
    )
    parameters = {
        "oauth_consumer_key": "9djdj82h48djs9d2",
        "oauth_token": "kkk9d7dh3k39sjv7",
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": "137131201",
        "oauth_nonce": "7d8f3e4a",
    }
    assert base_string(request, parameters) == (
        "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26"
        "c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26"
        "oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
    )


@pytest.mark.parametrize("context", [{}, {"oauth": 1}, {"oauth": {"token": {}}}])
def test_without_a_token_nothing_is_signed(context: dict[str, object]) -> None:
    with pytest.raises(IntegrationFailed, match=r"no `oauth\.token\.access_token`"):
        sign_oauth1(PHOTOS, CONFIG, context, {})
