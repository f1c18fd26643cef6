"""Keys for messages to others: one for each receiver, from secrets that rotate by date."""

from __future__ import annotations

import base64
import hashlib
import hmac
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from truto.signing_keys import SigningKeys


def whsec(content: bytes) -> str:
    return "whsec_" + base64.b64encode(content).decode()


NEW, OLD, SHARED = whsec(b"n" * 24), whsec(b"o" * 24), whsec(b"s" * 16)
NOON = datetime(2026, 12, 31, 12, tzinfo=UTC)
RECIPIENTS = st.text(st.characters(codec="utf-8"), max_size=60)


def keys(text: str, recipient: str = "acme", now: datetime = NOON) -> tuple[str, ...]:
    return SigningKeys.parse(text, "tenant").keys_for(recipient, now)


def by_hand(secret: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869) of 32 bytes, as anyone may write it down."""
    pseudorandom = hmac.digest(bytes(32), secret, hashlib.sha256)
    return hmac.digest(pseudorandom, info + b"\x01", hashlib.sha256)


def test_a_key_is_hkdf_over_the_secret_with_purpose_and_receiver() -> None:
    assert keys(NEW) == (whsec(by_hand(b"n" * 24, b"truto-worker/tenant/acme")),)


@given(one=RECIPIENTS, other=RECIPIENTS)
def test_two_receivers_never_have_the_same_key(one: str, other: str) -> None:
    assume(one != other)
    assert not set(keys(NEW, one)) & set(keys(NEW, other))


@given(name=RECIPIENTS)
def test_a_tenant_s_key_is_no_host_s_and_not_the_secret(name: str) -> None:
    host = SigningKeys.parse(NEW, "host").keys_for(name, NOON)
    assert len({*host, *keys(NEW, name), NEW}) == 3


def test_a_receiver_s_key_as_the_secret_gives_nobody_s_key() -> None:
    """What a tenant holds derives nothing that we sign with."""
    (own,) = keys(NEW, "acme")
    assert keys(own, "other") != keys(NEW, "other")
    assert keys(own, "acme") != keys(NEW, "acme")


@pytest.mark.parametrize(
    ("now", "live"),
    [
        (NOON - timedelta(days=400), 2),
        (datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), 2),
        (datetime(2027, 1, 1, tzinfo=UTC), 1),
        (datetime(2027, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))), 2),
    ],
    ids=["long-before", "last-moment", "over", "over-only-where-it-is-later"],
)
def test_an_old_secret_signs_to_the_end_of_its_day(now: datetime, live: int) -> None:
    text = f"{NEW},{OLD}@2026-12-31"
    assert keys(text, now=now) == (*keys(NEW), *keys(OLD))[:live]
    assert SigningKeys.parse(text, "tenant").expired(now) == (date(2026, 12, 31),) * (2 - live)


def test_a_shared_secret_signs_as_it_is_beside_the_derived_key() -> None:
    text = f"{NEW}, shared:{SHARED}@2026-12-31"
    assert keys(text) == (*keys(NEW), SHARED)
    assert keys(text, now=NOON + timedelta(days=1)) == keys(NEW)


def test_the_prefix_may_be_left_out() -> None:
    assert keys(NEW.removeprefix("whsec_")) == keys(NEW)


FAULTS: dict[str, tuple[str, str]] = {
    "empty": ("", "at least 16 bytes"),
    "prefix": ("whsec_", "at least 16 bytes"),
    "short": (whsec(b"x" * 15), "at least 16 bytes"),
    "no-base64": ("whsec_not base64!", "at least 16 bytes"),
    "nothing-behind": (f"{NEW},", "entry 2"),
    "first-has-a-day": (f"{NEW}@2026-12-31", "the first secret"),
    "first-is-shared": (f"shared:{NEW}@2026-12-31,{OLD}@2026-12-31", "the first secret"),
    "old-without-day": (f"{NEW},{OLD}", "entry 2 needs the last day"),
    "shared-without-day": (f"{NEW},shared:{SHARED}", "entry 2 needs the last day"),
    "twice": (f"{NEW},{NEW}@2026-12-31", "named twice"),
    "shared-is-the-new-one": (f"{NEW},shared:{NEW}@2026-12-31", "named twice"),
    "no-day": (f"{NEW},{OLD}@", "entry 2: behind the @"),
    "no-such-day": (f"{NEW},{OLD}@2026-02-30", "entry 2: behind the @"),
    "week": (f"{NEW},{OLD}@2026-W53-4", "entry 2: behind the @"),
    "without-dashes": (f"{NEW},{OLD}@20261231", "entry 2: behind the @"),
    "time": (f"{NEW},{OLD}@2026-12-31T00:00", "entry 2: behind the @"),
    "other-digits": (f"{NEW},{OLD}@٢٠٢٦-12-31", "entry 2: behind the @"),
    "line-break": (f"{NEW},{OLD}@2026-12-31\n,{SHARED}", "entry 3"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_setting_that_does_not_protect_is_refused_without_being_shown(name: str) -> None:
    text, fault = FAULTS[name]
    with pytest.raises(ValueError, match=fault) as caught:
        SigningKeys.parse(text, "tenant")
    secrets = [entry.partition("@")[0].removeprefix("shared:") for entry in text.split(",")]
    assert not any(secret in str(caught.value) for secret in secrets if len(secret) > len("whsec_"))


def test_no_secret_is_in_a_repr() -> None:
    found = SigningKeys.parse(f"{NEW},{OLD}@2026-12-31", "tenant")
    assert not any(base64.b64encode(letter * 24).decode() in repr(found) for letter in (b"n", b"o"))
    assert "nnnn" not in repr(found)


@given(text=st.text(max_size=80) | st.from_regex(r"(shared:)?whsec_[A-Za-z0-9+/]{20,24}={0,2}(@[0-9-]{8,10})?"))
def test_no_text_raises_anything_but_a_fault(text: str) -> None:
    with suppress(ValueError):
        assert SigningKeys.parse(text, "host").live(NOON)
