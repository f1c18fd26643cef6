"""The event types Truto is known to send.

An open list: the platform adds names, so an unknown one is never an error. Source: the 37 names of Truto's OpenAPI
(Rust SDK, ``WebhookTestEventTypes``), which the docs and skill pages each show in part.
"""

from __future__ import annotations

EVENT_TYPES: frozenset[str] = frozenset(
    {
        "integrated_account:created",
        "integrated_account:updated",
        "integrated_account:active",
        "integrated_account:post_install_error",
        "integrated_account:validation_error",
        "integrated_account:post_connect_form_submitted",
        "integrated_account:authentication_error",
        "integrated_account:forbidden_error",
        "integrated_account:reactivated",
        "integrated_account:deleted",
        "link_token:connection_error",
        "environment_integration:created",
        "environment_integration:updated",
        "environment_integration:deleted",
        "environment_unified_model:created",
        "environment_unified_model:updated",
        "environment_unified_model:deleted",
        "api_token:created",
        "api_token:deleted",
        "sync_job_run:created",
        "sync_job_run:updated",
        "sync_job_run:started",
        "sync_job_run:record",
        "sync_job_run:record_error",
        "sync_job_run:rate_limited",
        "sync_job_run:completed",
        "sync_job_run:failed",
        "sync_job_run:deleted",
        "sync_job_cron_trigger:failed",
        "record:created",
        "record:updated",
        "record:deleted",
        "record:meta",
        "batch_job:dry_run_completed",
        "batch_job:completed",
        "batch_job:dry_run_failed",
        "batch_job:failed",
    }
)

EVENT_FAMILIES: frozenset[str] = frozenset(name.partition(":")[0] for name in EVENT_TYPES)
"""What stands before the colon in Truto's names; the platform adds names within them."""

TEST_EVENT_TYPE = "test"
"""What ``POST /webhook/test`` sends when no type is asked for; it may arrive as ``eventType`` (skill: webhooks)."""
