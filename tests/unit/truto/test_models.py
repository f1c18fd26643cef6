from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from truto import models
from truto.models import IntegratedAccount, LinkToken, Model, SyncJobRun, Webhook
from truto.times import parse_time

RESOURCES = [kind for kind in vars(models).values() if isinstance(kind, type) and issubclass(kind, Model)]
WITH_ID = [kind for kind in RESOURCES if kind.model_fields.get("id") and kind.model_fields["id"].is_required()]


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2023-06-16T09:21:21.000Z", datetime(2023, 6, 16, 9, 21, 21, tzinfo=UTC)),
        ("2024-09-10 12:00:00", datetime(2024, 9, 10, 12, tzinfo=UTC)),
        ("2024-09-10T12:00:00+02:00", datetime(2024, 9, 10, 12, tzinfo=timezone(timedelta(hours=2)))),
        (datetime(2024, 9, 10, tzinfo=UTC), datetime(2024, 9, 10, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
        (1_700_000_000, None),
        (None, None),
    ],
    ids=str,
)
def test_times_are_read_in_both_spellings(value: object, moment: datetime | None) -> None:
    assert parse_time(value) == moment


@pytest.mark.parametrize("kind", WITH_ID, ids=lambda kind: kind.__name__)
def test_an_id_is_all_that_is_needed(kind: type[Model]) -> None:
    assert kind.model_validate({"id": "1"}).model_dump()["id"] == "1"


@pytest.mark.parametrize("kind", WITH_ID, ids=lambda kind: kind.__name__)
def test_unknown_fields_are_kept_and_not_shown(kind: type[Model]) -> None:
    parsed = kind.model_validate({"id": "1", "brand_new": "private"})
    assert parsed.model_extra == {"brand_new": "private"}
    assert "private" not in repr(parsed)


@pytest.mark.parametrize("status", ["active", "paused", "never heard of"])
def test_any_status_is_accepted(status: str) -> None:
    assert IntegratedAccount.model_validate({"id": "1", "status": status}).status == status
    assert SyncJobRun.model_validate({"id": "1", "status": status}).status == status


def test_a_numeric_id_is_read_as_text() -> None:
    assert IntegratedAccount.model_validate({"id": 7}).id == "7"


def test_an_account_names_its_integration_whatever_else_is_there() -> None:
    account = IntegratedAccount.model_validate(
        {"id": "1", "integration": {"id": "i", "name": "hubspot", "config": {"label": "HubSpot"}, "sharing": "allow"}}
    )
    assert account.integration_name == "hubspot"
    assert IntegratedAccount(id="1").integration_name is None


def test_an_account_error_is_readable_and_not_shown() -> None:
    account = IntegratedAccount.model_validate({"id": "1", "status": "needs_reauth", "last_error": "invalid_grant"})
    assert account.last_error == "invalid_grant"
    assert repr(account) == "IntegratedAccount(id='1', status='needs_reauth')"


@pytest.mark.parametrize(
    ("payload", "account_id"),
    [
        ({"integrated_account_id": "a", "args": {"integrated_account_id": "b"}}, "a"),
        ({"integrated_account_id": None, "args": {"integrated_account_id": "b"}}, "b"),
        ({"integrated_account_id": "", "args": {"integrated_account_id": "b"}}, "b"),
        ({"args": {"integrated_account_id": 5}}, None),
        ({"args": {"integrated_account_id": ""}}, None),
        ({"args": ["b"]}, None),
        ({}, None),
    ],
    ids=["own", "args", "empty-own", "no-text", "empty-args", "list-args", "none"],
)
def test_a_run_knows_its_account(payload: dict[str, Any], account_id: str | None) -> None:
    assert SyncJobRun.model_validate({"id": "1", **payload}).account_id == account_id


def test_a_webhooks_secret_and_target_are_not_shown() -> None:
    hook = Webhook.model_validate({"id": "1", "target_url": "https://u:pw@x.test/", "secret": "private"})
    assert hook.secret is not None
    assert hook.secret.get_secret_value() == "private"
    assert "private" not in repr(hook)
    assert "pw" not in repr(hook)


def test_a_link_token_is_text_and_not_shown() -> None:
    token = LinkToken(link_token="private")
    assert token.link_token == "private"
    assert repr(token) == "LinkToken()"


@pytest.mark.parametrize("answer", [{}, {"link_token": ""}, {"link_token": None}], ids=["absent", "empty", "null"])
def test_an_answer_without_a_link_token_is_no_link_token(answer: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LinkToken.model_validate(answer)


def test_a_validation_error_does_not_quote_its_input() -> None:
    with pytest.raises(ValidationError) as caught:
        IntegratedAccount.model_validate({"id": "1", "context": "private"})
    assert "private" not in str(caught.value)
