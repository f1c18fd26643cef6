from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.cause import Describer


def caught(function: Callable[[str], None], message: str) -> Exception:
    with pytest.raises(Exception) as found:  # noqa: PT011 each function of this file raises one
        function(message)
    return found.value


def fail(message: str) -> None:
    raise ValueError(message)


def fail_elsewhere(message: str) -> None:
    raise ValueError(message)


def fail_otherwise(message: str) -> None:
    raise KeyError(message)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("GET failed with s3cret-token here", "GET failed with [secret] here"),
        ("s3cret-token-and-more", "[secret]"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: [secret]"),
        ("authorization: bearer abcdefgh.ij-kl_mn", "authorization: [secret]"),
        ("Basic dXNlcjpwYXNzd29yZA==", "[secret]"),
        ("redis://user:pass@host:6379/0", "redis://[secret]@host:6379/0"),
        ("redis://:pass@host", "redis://[secret]@host"),
        ("https://u:p@ss@host/x", "https://[secret]@host/x"),
        ("https://ghp_token@host/x", "https://[secret]@host/x"),
        ("signed with whsec_aGVsbG8gd29ybGQ=", "signed with [secret]"),
        ("https://host/path and a@b", "https://host/path and a@b"),
        ("nothing to see", "nothing to see"),
    ],
)
def test_what_must_stay_secret_is_masked(text: str, masked: str) -> None:
    assert Describer.masking(["s3cret-token", "s3cret-token-and-more"]).mask(text) == masked


@given(secret=st.text(min_size=8), before=st.text(), after=st.text())
def test_a_secret_of_ours_never_shows(secret: str, before: str, after: str) -> None:
    if "[secret]".find(secret) < 0:
        assert secret not in Describer.masking([secret]).mask(before + secret + after)


@given(text=st.text(st.characters()), secrets=st.lists(st.none() | st.text(), max_size=3))
def test_any_text_becomes_short_and_storable(text: str, secrets: list[str | None]) -> None:
    masked = Describer.masking(secrets).mask(text * 50)
    assert len(masked) <= 500
    masked.encode()


def test_empty_secrets_are_left_out_since_they_occur_everywhere() -> None:
    assert Describer.masking(["", None]).mask("as it was") == "as it was"


def test_the_secrets_are_not_in_the_repr() -> None:
    assert "s3cret" not in repr(Describer.masking(["s3cret"]))


def test_a_secret_at_the_cut_is_masked_before_the_cut() -> None:
    assert "s3cr" not in Describer.masking(["s3cret-token"]).mask("x" * 495 + "s3cret-token")


def test_a_cause_names_error_and_places_but_no_values() -> None:
    cause = Describer().cause(caught(fail, "no such contact"), "handlers.x.handle")
    assert cause["error"] == "ValueError: no such contact"
    assert cause["traceback"][-1].endswith("in fail")
    assert "no such contact" not in str(cause["traceback"])


def test_an_error_that_was_never_raised_has_a_cause_too() -> None:
    assert Describer().cause(ValueError("x"), "h")["traceback"] == []


def test_the_fingerprint_stays_when_only_the_message_changes() -> None:
    first, second = (Describer().cause(caught(fail, message), "h") for message in ("one", "two"))
    assert first["fingerprint"] == second["fingerprint"]


@pytest.mark.parametrize(
    ("function", "handler"),
    [(fail_elsewhere, "h"), (fail_otherwise, "h"), (fail, "i")],
    ids=["place", "kind", "handler"],
)
def test_the_fingerprint_tells_causes_apart(function: Callable[[str], None], handler: str) -> None:
    usual = Describer().cause(caught(fail, "x"), "h")
    assert Describer().cause(caught(function, "x"), handler)["fingerprint"] != usual["fingerprint"]
