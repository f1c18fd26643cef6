"""Which types a webhook needs, and what has to be done in Truto for them."""

from __future__ import annotations

import pytest

from cli.env_file import with_setting
from cli.subscription import Wants, missing_types, plan, target_of, wanted_types
from truto import EVENT_TYPES, Webhook

TARGET = "https://you.example/webhooks/truto"


def webhook(webhook_id: str = "w-1", **fields: object) -> Webhook:
    return Webhook.model_validate({"id": webhook_id, "target_url": TARGET, "is_active": True, **fields})


def wanted(*wants: Wants, ignored: tuple[str, ...] = ()) -> frozenset[str] | None:
    return wanted_types(wants, ignored.__contains__)


def test_the_patterns_of_a_family_stand_for_its_known_names() -> None:
    found = wanted((("batch_job:*",), None))
    assert found == frozenset(name for name in EVENT_TYPES if name.startswith("batch_job:"))


def test_one_handler_of_everything_wants_all_types() -> None:
    assert wanted((("*",), None), (("record:created",), None)) is None


def test_events_of_other_senders_are_none_of_truto_s() -> None:
    assert wanted((("push", "visit:made"), None), (("record:created",), "github"), (("*",), "stripe")) == frozenset()


def test_a_name_that_truto_has_added_since_is_wanted() -> None:
    assert wanted((("integrated_account:paused",), "truto")) == frozenset({"integrated_account:paused"})


def test_what_wakes_parked_work_is_wanted_where_it_is_known() -> None:
    assert wanted((("record:created",), None), ignored=("integrated_account:reactivated",)) == frozenset(
        {"record:created", "integrated_account:reactivated"}
    )


def test_the_test_event_is_sent_to_whoever_is_tested() -> None:
    assert wanted((("test", "record:created"), None)) == frozenset({"record:created"})


def test_without_a_webhook_here_one_is_created() -> None:
    planned = plan(TARGET, [webhook(target_url="https://others.example")], frozenset({"record:created"}))
    assert planned.create == {"target_url": TARGET, "event_types": ["record:created"]}
    assert plan(TARGET, [], None).create == {"target_url": TARGET}


def test_what_is_right_is_left_as_it_is() -> None:
    one = webhook(event_types=["record:created", "record:deleted"])
    planned = plan(TARGET, [one], frozenset({"record:created"}))
    assert (planned.webhook, planned.create, planned.update, planned.changes) == (one, None, {}, ())


def test_types_are_added_and_none_is_taken_away() -> None:
    planned = plan(TARGET, [webhook(event_types=["record:deleted"])], frozenset({"record:created"}))
    assert planned.update == {"event_types": ["record:created", "record:deleted"]}


def test_a_webhook_for_all_types_lacks_none() -> None:
    assert missing_types(webhook(), None) == []
    assert missing_types(webhook(event_types=["record:created"]), None) == ["*"]


def test_the_active_one_of_several_is_adopted_and_the_others_are_named() -> None:
    planned = plan(TARGET, [webhook("off", is_active=False), webhook("on")], None)
    assert planned.webhook is not None
    assert (planned.webhook.id, planned.others, planned.update) == ("on", ("off",), {})


def test_a_new_secret_needs_another_webhook() -> None:
    planned = plan(TARGET, [webhook()], None, anew=True)
    assert (planned.webhook, planned.create, planned.others) == (None, {"target_url": TARGET}, ("w-1",))


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://you.example", TARGET),
        ("https://you.example/", TARGET),
        (TARGET, TARGET),
        ("https://you.example/webhooks/other", "https://you.example/webhooks/other"),
        ("https://you.example/a", "https://you.example/a/webhooks/truto"),
    ],
)
def test_the_path_of_deliveries_is_added_to_an_address(url: str, target: str) -> None:
    assert target_of(url) == target


@pytest.mark.parametrize(
    "url", ["you.example", "ftp://you.example", "https://", "https://you.example/?a=1", "https://a:b@c.d"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"is no address|leave that out"):
        target_of(url)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "A=new\n"),
        ("B=1", "B=1\nA=new\n"),
        ("A=old\nB=1\n", "A=new\nB=1\n"),
        ("# A=2\nexport A = old\nA=older\n", "# A=2\nA=new\n"),
        ("AB=1\n", "AB=1\nA=new\n"),
    ],
)
def test_one_setting_of_a_file_is_replaced_and_the_rest_stays(before: str, after: str) -> None:
    assert with_setting(before, "A", "new") == after
