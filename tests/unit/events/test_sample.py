"""Events for tests."""

from __future__ import annotations

import pytest

from events import Event
from truto.samples import ACCOUNT_ID, TENANT_ID


def test_a_sample_is_an_event_of_truto() -> None:
    event = Event.sample("integrated_account:active")
    assert (event.type, event.source, event.platform) == ("integrated_account:active", "truto", True)
    assert (event.account_id, event.tenant_id) == (ACCOUNT_ID, TENANT_ID)


def test_two_samples_are_two_events() -> None:
    assert Event.sample("record:created").id != Event.sample("record:created").id


def test_a_payload_brings_its_account() -> None:
    event = Event.sample("record:created", payload={"integrated_account_id": "acc-1"})
    assert (event.account_id, dict(event.payload)) == ("acc-1", {"integrated_account_id": "acc-1"})


def test_changes_replace_fields() -> None:
    assert Event.sample("record:created", id="e-1", tenant_id="acme").tenant_id == "acme"


def test_a_misspelt_type_is_told() -> None:
    with pytest.raises(ValueError, match="did you mean record:created"):
        Event.sample("record:create")
