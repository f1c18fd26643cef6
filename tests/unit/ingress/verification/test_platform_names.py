"""No source but Truto's own gives an event one of Truto's names, wherever it writes it."""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from events import Verified
from ingress.errors import Faults
from ingress.sources.loading import read_source
from ingress.sources.source import Source
from ingress.verification.outcome import Accepted
from tests.unit.ingress.sources.senders import SECRET, of_headers, verify
from truto.signature import sign

DELETED = "integrated_account:deleted"
HMAC: dict[str, Any] = {
    "format": "hmac",
    "config": {"compare_with": "{{headers.x-signature}}", "parts": ["raw_body"]},
}


def partner(*, name: str = "partner", transform: str | None = None, **options: Any) -> Source:
    webhook = {"signature_verification": HMAC} | ({"payload_transform": transform} if transform else {})
    return read_source(name, {"webhook": webhook, "secrets": [SECRET], "options": options}, {})


def signature(body: bytes) -> str:
    return hmac.digest(SECRET.encode(), body, "sha256").hex()


def events_of(source: Source, body: bytes, **headers: str) -> list[Verified]:
    given = {"x-signature": signature(body)} | {name.replace("_", "-"): value for name, value in headers.items()}
    outcome = verify(source, of_headers(given, body))
    assert isinstance(outcome, Accepted), outcome
    return list(outcome.events)


def types_of(source: Source, body: bytes, **headers: str) -> list[str]:
    return [event.type for event in events_of(source, body, **headers)]


@pytest.mark.bad_input(200)
@pytest.mark.parametrize("field", ["event", "event_type", "eventType"])
def test_a_name_in_the_body_is_put_under_the_source(field: str) -> None:
    assert types_of(partner(), orjson.dumps({field: DELETED})) == [f"partner/{DELETED}"]


@pytest.mark.bad_input(201)
def test_a_name_in_a_header_is_put_under_the_source() -> None:
    """GitHub signs the body alone, so anybody who has seen one delivery can write another name above it."""
    github = read_source("github", {"preset": "github", "secrets": [SECRET]}, {})
    body = b'{"zen":"x","hook_id":1}'
    signed = {"x_hub_signature_256": f"sha256={signature(body)}"}
    assert types_of(github, body, **signed, x_github_event=DELETED) == [f"github/{DELETED}"]
    assert types_of(github, body, **signed, x_github_event="ping") == ["ping"]


@pytest.mark.bad_input(202)
@pytest.mark.parametrize(
    "name",
    ["Integrated_Account:deleted", " integrated_account:deleted", "integrated_account :deleted",
     "integr\u0430ted_account:deleted", "\uff49ntegrated_account\uff1adeleted", "truto/integrated_account:deleted"],
)  # fmt: skip
def test_a_disguised_name_is_put_under_the_source(name: str) -> None:
    assert types_of(partner(), orjson.dumps({"event": name})) == [f"partner/{name}"]


@pytest.mark.bad_input(202)
def test_a_source_cannot_bear_the_name_of_another_ones_event() -> None:
    body = orjson.dumps({"event": "github/record:created"})
    assert types_of(partner(), body) == ["partner/github/record:created"]


@pytest.mark.bad_input(203)
def test_each_event_of_a_transform_is_looked_at() -> None:
    source = partner(transform="body.all.{'event': name}", order="transform_last")
    body = orjson.dumps({"all": [{"name": "sync_job_run:completed"}, {"name": "paid"}, {"name": "record:created"}]})
    assert types_of(source, body) == ["partner/sync_job_run:completed", "paid", "partner/record:created"]


@pytest.mark.bad_input(204)
def test_a_name_in_a_form_field_is_put_under_the_source() -> None:
    source = partner(media_types=["form"], event={"type": "{{body.kind}}"})
    body = urlencode({"kind": "link_token:connection_error"}).encode()
    found = types_of(source, body, content_type="application/x-www-form-urlencoded")
    assert found == ["partner/link_token:connection_error"]


def test_a_source_that_is_said_to_be_trutos_keeps_the_names_and_says_so_for_ever() -> None:
    (event,) = events_of(partner(platform_events=True), orjson.dumps({"event": DELETED}))
    assert (event.type, event.platform) == (DELETED, True)
    assert orjson.loads(event.meta)["platform"] is True


def test_truto_under_another_name_is_still_truto() -> None:
    source = read_source("truto-eu", {"preset": "truto", "secrets": [SECRET]}, {})
    body = orjson.dumps({"id": "1", "event": DELETED})
    (event,) = events_of(source, body, x_truto_signature=sign(body, SECRET))
    assert (event.type, event.platform) == (DELETED, True)


@pytest.mark.parametrize("name", ["truto", "workflows"])
def test_a_source_cannot_take_a_name_that_workers_trust(name: str) -> None:
    with pytest.raises(Faults, match=name):
        partner(name=name)


def test_truto_can_stand_in_the_file_under_its_own_name() -> None:
    assert read_source("truto", {"preset": "truto", "secrets": [SECRET]}, {}).platform_events
