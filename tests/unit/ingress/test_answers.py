"""The envelope of every refusal, and who may be a source."""

from __future__ import annotations

import orjson
import pytest
from structlog.testing import capture_logs

from ingress import truto_source
from ingress.answers import Refusal, not_authentic, wrong_method
from ingress.responses import answer, failed, refuse


def test_a_refusal_is_trutos_envelope_and_a_reason() -> None:
    response = refuse(Refusal(413, "body_too_large", "The body is too large.", cause="hidden"))
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/json"
    assert orjson.loads(response.body) == {
        "statusCode": 413,
        "error": orjson.loads(response.body)["error"],
        "message": "The body is too large.",
        "reason": "body_too_large",
    }
    assert "connection" not in response.headers


@pytest.mark.parametrize(
    ("status", "phrase"),
    [(400, "Bad Request"), (401, "Unauthorized"), (404, "Not Found"), (503, "Service Unavailable")],
)
def test_the_error_is_the_phrase_of_the_status(status: int, phrase: str) -> None:
    assert orjson.loads(refuse(Refusal(status, "r", "m")).body)["error"] == phrase


def test_a_refusal_before_the_body_was_read_closes_the_connection_and_keeps_its_headers() -> None:
    refusal = Refusal(503, "r", "m", headers={"retry-after": "2"}, close=True)
    response = refuse(refusal)
    assert (response.headers["retry-after"], response.headers["connection"]) == ("2", "close")
    assert refusal.headers == {"retry-after": "2"}


def test_all_causes_of_a_401_look_alike_from_outside_and_not_from_inside() -> None:
    one, other = not_authentic("signature_missing"), not_authentic("signature_format")
    assert refuse(one).body == refuse(other).body
    assert (one.logged_reason, other.logged_reason) == ("signature_missing", "signature_format")


def test_without_a_cause_the_reason_is_logged() -> None:
    assert Refusal(400, "not_json", "m").logged_reason == "not_json"


def test_an_answer_is_json() -> None:
    assert answer({"status": "accepted"}).body == b'{"status":"accepted"}'


def test_a_wrong_method_is_told_the_right_one() -> None:
    response = refuse(wrong_method("POST"))
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_a_defect_of_ours_is_a_500_that_repeats_nothing() -> None:
    with capture_logs() as records:
        response = failed(ValueError("hunter2"), "/webhooks/")
    assert (response.status_code, orjson.loads(response.body)["reason"]) == (500, "internal")
    assert "hunter2" not in f"{response.body!r} {records}"


@pytest.mark.parametrize("secrets", [[], [""], ["good", ""]], ids=["none", "empty", "one-empty"])
def test_a_source_without_a_secret_is_refused_at_start(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="'truto' needs at least one secret"):
        truto_source(secrets)


def test_secrets_do_not_show_in_a_representation() -> None:
    assert "hidden" not in repr(truto_source(["hidden"]))
