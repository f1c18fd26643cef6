"""Actions: steps one after the other, and those that belong to the life of an account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from truto.errors import IntegrationFailed, TrutoError
from truto.expressions.tracing import TraceEntry
from truto.integration.accounts import Account, scope_of
from truto.integration.credentials import FormField
from truto.integration.definition import Action, Config, Method, Step
from truto.integration.expressions import evaluate
from truto.integration.fields import read_fields
from truto.integration.masking import Masker
from truto.integration.rendering import Scope, render
from truto.integration.requests import NO_BODY, Wish
from truto.integration.tokens import Tokens
from truto.placeholders import NO_VALUE


class Result(Protocol):
    """What a method gave."""

    @property
    def data(self) -> Any:
        """What ``response_path`` points at."""
        ...


class Runner(Protocol):
    """What the steps of an action need of a session."""

    @property
    def config(self) -> Config:
        """The effective config."""
        ...

    @property
    def account(self) -> Account:
        """The account."""
        ...

    @property
    def tokens(self) -> Tokens | None:
        """Its tokens, where it has some."""
        ...

    @property
    def masker(self) -> Masker:
        """Takes its secrets out of a text."""
        ...

    def tell(self, entry: TraceEntry) -> None:
        """Give an entry to the trace."""
        ...

    async def run(
        self, method: Method, wish: Wish, at: str, *, extra: Mapping[str, Any] | None = None, refreshing: bool = False
    ) -> Result:
        """Run a method that stands at *at*."""
        ...


async def run_action(session: Runner, name: str, action: Action, wish: Wish, *, refreshing: bool = False) -> Any:
    """Run the steps of *action*; the result of the last one. The first that fails ends it."""
    results: list[Any] = []
    for index, step in enumerate(action.steps):
        at = f"actions.{name}.steps.{index}.config"
        results.append(await _run_step(session, step, wish, results, at, refreshing=refreshing))
    return results[-1] if results else None


async def connect_account(session: Runner) -> str:
    """The account's status after its first token, ``post_install`` and ``validation`` (skill: connection-flow)."""
    account = session.account
    account.become("connecting")
    for name in ("post_install", "validation"):
        try:
            if session.tokens is not None:
                await session.tokens.ensure()
            action = session.config.actions.get(name)
            failed = action is not None and await run_action(session, name, action, Wish()) is False
        except TrutoError as exc:
            account.become(f"{name}_error", session.masker.text(str(exc)))
            return account.status
        if failed:
            account.become(f"{name}_error", f"{name} gave false")
            return account.status
    account.become("active")
    return account.status


async def _run_step(session: Runner, step: Step, wish: Wish, results: list[Any], at: str, *, refreshing: bool) -> Any:
    previous = results[-1] if results else None
    extra = {"previous": previous, "steps": [*results]}
    scope = scope_of(session.config, session.account, {**wish.members(), **extra})
    match step.type:
        case "request":
            method = Method.model_validate(step.config)
            asked = replace(wish, body=NO_BODY) if method.method in ("get", "delete") else wish
            return (await session.run(method, asked, at, extra=extra, refreshing=refreshing)).data
        case "transform":
            source = step.config if isinstance(step.config, str) else step.config["expression"]
            return await evaluate(source, at, scope, session.tell)
        case "update_context" if step.config in (None, {}, ""):
            return _merge(session.account, previous, at)
        case "update_context" | "set_context":
            return _merge(session.account, await _given(session, step.config, scope, at), at)
        case "get_context":
            return dict(session.account.context)
        case _:
            return _of_form(step, wish, at)


async def _given(session: Runner, config: Any, scope: Scope, at: str) -> Any:
    """An object with its placeholders resolved, or what JSONata gives."""
    if isinstance(config, str):
        return await evaluate(config, at, scope, session.tell)
    value = render(config, scope, at)
    return None if value is NO_VALUE else value


def _merge(account: Account, changes: Any, at: str) -> Any:
    if changes is None:
        return dict(account.context)
    if not isinstance(changes, Mapping):
        raise IntegrationFailed("only an object can be merged into the context", at=at)
    account.merge_context(changes)
    return dict(account.context)


def _of_form(step: Step, wish: Wish, at: str) -> dict[str, Any]:
    """The values of a form, which are the caller's body, as its fields want them."""
    given = wish.body if isinstance(wish.body, Mapping) else {}
    config = step.config if isinstance(step.config, Mapping) else {}
    fields = [FormField.model_validate(each) for each in config.get("fields", ())]
    try:
        return read_fields(fields, given)
    except ValueError as exc:
        raise IntegrationFailed(str(exc), at=at) from None
