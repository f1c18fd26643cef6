"""The expressions of a workflow: the sample of Truto's own page, and both styles of scope."""

from __future__ import annotations

from typing import Any

import pytest

from truto.expressions import compile_expression, truthy

CONFIG = (
    '( $sync_job_id := $mapValues(integration.name,{ "calcom": "51b79ace-a7b4-4077-93ba-8048a06ece2b" }); '
    '{ "sync_job_id": $sync_job_id, "integrated_account_id": integrated_account_id, '
    '"webhook_id": "9fda519d-148f-4cc5-bbac-4e373b16e5d4" } )'
)


def scope(integration: str) -> dict[str, Any]:
    payload = {"id": "A", "tenant_id": "acme-1", "integration": {"name": integration}}
    return {
        "event": {"id": "E", "event_type": "integrated_account:active", "payload": payload},
        "integration": payload["integration"],
        "integrated_account_id": "A",
        "tenant_id": "acme-1",
        "context": {"plan_type": "pro"},
    }


@pytest.mark.parametrize(
    ("integration", "sync_job_id"),
    [("calcom", "51b79ace-a7b4-4077-93ba-8048a06ece2b"), ("zendesk", "zendesk")],
    ids=["calcom", "another-passes-its-name-through"],
)
def test_the_sample_config_of_the_documents(integration: str, sync_job_id: str) -> None:
    assert compile_expression(CONFIG).evaluate(scope(integration)) == {
        "sync_job_id": sync_job_id,
        "integrated_account_id": "A",
        "webhook_id": "9fda519d-148f-4cc5-bbac-4e373b16e5d4",
    }


@pytest.mark.parametrize(
    ("run_if", "expected"),
    [
        ("integration.name = 'calcom'", True),
        ("event.payload.integration.name = 'calcom'", True),
        ("$.event.payload.integration.name = 'calcom'", True),
        ("integration.name = 'zendesk'", False),
        ("integration.nope = 'calcom'", False),
        ("integration.nope", False),
        ("context.plan_type", True),
        ("tenant_id in ['acme-1', 'acme-2']", True),
        ("$previous.result", False),
    ],
    ids=str,
)
def test_both_styles_of_condition_decide(run_if: str, expected: bool) -> None:
    assert truthy(compile_expression(run_if).evaluate(scope("calcom"))) is expected
