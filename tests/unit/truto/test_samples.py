from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

import pytest

from truto import samples
from truto.catalogue import EVENT_TYPES, TEST_EVENT_TYPE
from truto.models import IntegratedAccount, SyncJobRun
from truto.samples import ACCOUNT_ID, INTEGRATION, SYNC_JOB_ID, TENANT_ID, sample_event
from truto.times import parse_time

ALL = sorted(EVENT_TYPES)


@pytest.mark.parametrize("event_type", [*ALL, TEST_EVENT_TYPE, "brand_new:thing", "odd", ""])
def test_every_type_has_a_complete_envelope(event_type: str) -> None:
    event = sample_event(event_type)
    assert set(event) == {"id", "event", "payload", "environment_id", "webhook_id", "created_at"}
    assert event["event"] == event_type
    assert event["payload"]
    assert json.loads(json.dumps(event)) == event


@pytest.mark.parametrize("event_type", ALL)
def test_every_known_type_has_a_payload_of_its_own_family(event_type: str) -> None:
    """A type added to the catalogue needs a sample."""
    assert event_type.partition(":")[0] in samples._PAYLOADS  # noqa: SLF001 - the table that must be complete


@pytest.mark.parametrize("event_type", [name for name in ALL if name.startswith("integrated_account:")])
def test_account_samples_are_accounts(event_type: str) -> None:
    payload = sample_event(event_type)["payload"]
    account = IntegratedAccount.model_validate(payload)
    assert account.id == ACCOUNT_ID
    if event_type == "integrated_account:deleted":
        assert payload == {"id": ACCOUNT_ID}
    else:
        assert (account.tenant_id, account.integration_name) == (TENANT_ID, INTEGRATION)
    assert bool(account.last_error) is event_type.endswith("_error")


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("created", "connecting"),
        ("active", "active"),
        ("reactivated", "active"),
        ("authentication_error", "needs_reauth"),
        ("validation_error", "validation_error"),
        ("post_install_error", "post_install_error"),
    ],
)
def test_an_account_sample_has_the_status_its_event_announces(action: str, status: str) -> None:
    assert sample_event(f"integrated_account:{action}")["payload"]["status"] == status


@pytest.mark.parametrize(
    ("action", "status", "finished"),
    [
        ("created", "created", False),
        ("updated", "running", False),
        ("started", "running", False),
        ("rate_limited", "rate_limited", False),
        ("completed", "completed", True),
        ("failed", "failed", True),
        ("deleted", "stopped", True),
    ],
)
def test_run_samples_are_runs(action: str, status: str, finished: bool) -> None:
    run = SyncJobRun.model_validate(sample_event(f"sync_job_run:{action}")["payload"])
    assert (run.status, run.sync_job_id, run.account_id) == (status, SYNC_JOB_ID, ACCOUNT_ID)
    assert (run.started_at is not None) is (action != "created")
    assert (run.finished_at is not None) is finished


def test_record_samples_carry_records_and_error_samples_errors() -> None:
    assert sample_event("sync_job_run:record")["payload"]["records"]
    assert sample_event("sync_job_run:record_error")["payload"]["errors"]


def test_a_sample_is_new_each_time() -> None:
    first, second = sample_event("integrated_account:active"), sample_event("integrated_account:active")
    assert uuid.UUID(first["id"]) != uuid.UUID(second["id"])
    first["payload"]["context"]["subdomain"] = "changed"
    assert second["payload"]["context"]["subdomain"] == "acme"


def test_a_sample_was_made_just_now() -> None:
    made = parse_time(sample_event("test")["created_at"])
    assert made is not None
    assert abs((datetime.now(UTC) - made).total_seconds()) < 60


def test_the_payload_and_the_id_can_be_given() -> None:
    event = sample_event("record:created", data={}, event_id="evt_1")
    assert (event["payload"], event["id"]) == ({}, "evt_1")
