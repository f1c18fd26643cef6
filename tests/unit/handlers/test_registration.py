"""Which of Truto's events are handled, ignored or kept."""

from __future__ import annotations

import pkgutil

import pytest

import handlers
from tests.unit.worker.samples import an_event
from truto import EVENT_TYPES
from worker.loading import load_handlers
from worker.registry import registry

MODULES = sorted(info.name for info in pkgutil.iter_modules(handlers.__path__, "handlers."))

HANDLED = {
    "integrated_account:active": "handlers.integrated_account.start_first_sync",
    "integrated_account:post_install_error": "handlers.integrated_account.ask_to_reconnect",
    "integrated_account:validation_error": "handlers.integrated_account.ask_to_reconnect",
    "integrated_account:authentication_error": "handlers.integrated_account.ask_to_reconnect",
    "integrated_account:deleted": "handlers.integrated_account.clean_up",
    "link_token:connection_error": "handlers.link_token.tell_operators",
    "record:created": "handlers.record.read_record",
    "record:updated": "handlers.record.read_record",
    "sync_job_run:completed": "handlers.sync_job_run.tell_tenant",
    "sync_job_run:failed": "handlers.sync_job_run.tell_tenant",
}
IGNORED = {
    "integrated_account:created",
    "integrated_account:updated",
    "integrated_account:reactivated",
    "integrated_account:post_connect_form_submitted",
    "sync_job_run:created",
    "sync_job_run:updated",
    "sync_job_run:started",
    "sync_job_run:rate_limited",
    "sync_job_run:deleted",
}


@pytest.fixture(autouse=True, scope="module")
def _loaded() -> None:
    assert load_handlers(["handlers"]) == ["handlers", *MODULES]


def names(event_type: str) -> list[str]:
    return [handler.name for handler in registry.matching(an_event(event_type))]


@pytest.mark.parametrize("event_type", sorted(EVENT_TYPES))
def test_a_known_event_is_handled_ignored_or_kept_as_the_table_says(event_type: str) -> None:
    expected = [HANDLED[event_type]] if event_type in HANDLED else []
    assert names(event_type) == expected
    assert registry.ignores(an_event(event_type)) is (event_type in IGNORED)


def test_the_table_names_only_events_that_truto_sends() -> None:
    assert set(EVENT_TYPES) >= set(HANDLED) | IGNORED


@pytest.mark.parametrize("module", MODULES)
def test_every_module_registers_something(module: str) -> None:
    assert any(name.startswith(f"{module}.") for name in HANDLED.values())
