"""Actions, and those that belong to the life of an account."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.integrations.upstream import Arrived, Give, Upstream, opened, serving
from truto import NotFound
from truto.integration import Account, IntegrationFailed, Wish


async def acted(
    action: dict[str, Any], wish: Wish | None = None, context: dict[str, Any] | None = None, answering: Any = None
) -> tuple[Any, Account, Upstream]:
    """The result of an action, the account and the server afterwards."""
    account = Account(context or {})
    async with (
        serving(answering or (lambda r: {"path": r.path, "items": [1, 2]})) as upstream,
        opened({"base_url": upstream.url, "actions": {"go": action}}, account=account) as session,
    ):
        return await session.action("go", wish), account, upstream


def steps(*given: dict[str, Any]) -> dict[str, Any]:
    return {"steps": list(given)}


GET = {"type": "request", "config": {"path": "/a"}}


@pytest.mark.schema("config.actions", "action.steps", "step.type", "step.config", "step.request")
async def test_one_step_may_stand_alone() -> None:
    result, _, upstream = await acted(
        {"type": "request", "config": {"method": "post", "path": "/a/{{body.id}}"}}, Wish(body={"id": 7})
    )
    assert result["path"] == "/a/7"
    assert upstream.last.json == {"id": 7}


async def test_steps_run_in_turn_and_see_the_result_before() -> None:
    second = {
        "type": "request",
        "config": {"path": "/b", "query": {"n": "{{previous.items.1}}", "first": "{{steps.0.path}}"}},
    }
    result, _, upstream = await acted(steps(GET, second))
    assert result["path"] == "/b"
    assert upstream.last.query == {"n": "2", "first": "/a"}


@pytest.mark.schema("step.transform")
@pytest.mark.parametrize(
    "config", ["$sum($previous.items)", {"expression": "$sum(previous.items)"}], ids=["text", "object"]
)
async def test_a_transform_is_jsonata_over_the_result_before(config: Any) -> None:
    result, _, _ = await acted(steps(GET, {"type": "transform", "config": config}))
    assert result == 3


@pytest.mark.schema("step.update_context", "step.set_context", "step.get_context")
async def test_steps_change_and_read_the_context() -> None:
    _, account, _ = await acted(steps(GET, {"type": "update_context"}), context={"keep": 1})
    assert account.context == {"keep": 1, "path": "/a", "items": [1, 2]}
    fixed = {"type": "set_context", "config": {"n": "{{previous.items.0:int}}", "oauth": {"scope": "x"}}}
    result, account, _ = await acted(
        steps(GET, fixed, {"type": "get_context"}), context={"oauth": {"token": {"access_token": "t"}}}
    )
    assert account.context == {"n": 1, "oauth": {"token": {"access_token": "t"}, "scope": "x"}}
    assert result == account.context
    by_expression = {"type": "update_context", "config": "{'count': $count(previous.items)}"}
    _, account, _ = await acted(steps(GET, by_expression))
    assert account.context == {"count": 2}


async def test_only_an_object_goes_into_the_context() -> None:
    with pytest.raises(IntegrationFailed, match=r"actions.go.steps.1.config: only an object"):
        await acted(steps({"type": "transform", "config": "1"}, {"type": "update_context"}))


@pytest.mark.schema("step.form", "action.post_connect_user_form")
async def test_a_form_checks_what_was_filled_in() -> None:
    form = {"type": "form", "config": {"fields": [{"name": "site", "required": True, "transform": "lowercase"}]}}
    result, account, _ = await acted(steps(form, {"type": "update_context"}), Wish(body={"site": "ACME", "other": 1}))
    assert result == account.context == {"site": "acme"}
    with pytest.raises(IntegrationFailed, match="site is required"):
        await acted(steps(form))


async def test_a_step_that_fails_ends_the_action() -> None:
    async with serving(lambda r: Give({}, 404) if r.path == "/a" else {}) as upstream:
        config = {"base_url": upstream.url, "actions": {"go": steps(GET, GET)}}
        async with opened(config) as session:
            with pytest.raises(NotFound):
                await session.action("go")
        assert len(upstream.arrived) == 1


# -- the life of an account --------------------------------------------------------------------------------------------


async def connect(answering: Any, **actions: Any) -> tuple[Account, Upstream]:
    account = Account({"api_key": "key-of-account"})
    async with serving(answering) as upstream:
        async with opened({"base_url": upstream.url, "actions": actions}, account=account) as session:
            assert await session.connect() == account.status
        return account, upstream


@pytest.mark.schema("action.post_install", "action.validation")
async def test_an_account_is_active_after_post_install_and_validation() -> None:
    install = steps({"type": "request", "config": {"path": "/whoami"}}, {"type": "update_context"})
    validate = {"type": "request", "config": {"path": "/check/{{context.org}}"}}
    account, upstream = await connect(lambda _: {"org": "o1"}, post_install=install, validation=validate)
    assert (account.status, account.last_error) == ("active", None)
    assert [r.path for r in upstream.arrived] == ["/whoami", "/check/o1"]


@pytest.mark.parametrize("failing", ["post_install", "validation"])
async def test_a_failure_on_the_way_is_the_accounts_status(failing: str) -> None:
    def answering(request: Arrived) -> Any:
        return Give({"message": "key-of-account is wrong"}, 403) if request.path == f"/{failing}" else {}

    actions = {name: {"type": "request", "config": {"path": f"/{name}"}} for name in ("post_install", "validation")}
    account, upstream = await connect(answering, **actions)
    assert account.status == f"{failing}_error"
    assert "[secret] is wrong" in (account.last_error or "")
    assert len(upstream.arrived) == (1 if failing == "post_install" else 2)


async def test_a_validation_that_gives_false_has_failed() -> None:
    account, _ = await connect(lambda _: {}, validation=steps({"type": "transform", "config": "1 = 2"}))
    assert account.status == "validation_error"


async def test_an_account_without_such_actions_is_active() -> None:
    account, upstream = await connect(lambda _: {})
    assert (account.status, upstream.arrived) == ("active", [])
