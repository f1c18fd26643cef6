"""An account of an integration: its context, and what requests see of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from truto.errors import PlaceholderError
from truto.integration.credentials import Credentials, FormField
from truto.integration.definition import Config
from truto.merging import merge
from truto.placeholders import compile_template

# Names that say of themselves that they are secret.
_SECRET = re.compile(r"(?i)secret|token|passw|pass$|api_?-?key|credential|private_?key|^key$|cookie|^code$")


@dataclass(slots=True)
class Account:
    """A connected account. ``context`` is replaced, never changed in place; *changed* is told of each new one."""

    context: Mapping[str, Any] = field(repr=False)
    id: str = "account"
    authentication_method: str | None = None
    integration_override: Mapping[str, Any] | None = field(default=None, repr=False)
    status: str = "active"
    last_error: str | None = None
    changed: Callable[[Account], None] | None = field(default=None, repr=False)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Account:
        """The account of *document*: one as Truto's API gives it, or a context alone. Raises :class:`ValueError`."""
        context = document.get("context", document)
        override = document.get("integration_override")
        if not isinstance(context, Mapping) or not isinstance(override, Mapping | None):
            raise ValueError("`context` and `integration_override` must be objects")
        is_account = "context" in document
        method = document.get("authentication_method") if is_account else None
        return cls(
            dict(context),
            id=str(document.get("id") or "account") if is_account else "account",
            authentication_method=method if isinstance(method, str) else None,
            integration_override=override if is_account else None,
            status=str(document.get("status") or "active") if is_account else "active",
        )

    def merge_context(self, changes: Mapping[str, Any]) -> None:
        """Merge *changes* into the context: the first level is replaced, ``oauth`` is merged (skill)."""
        oauth = changes.get("oauth")
        merged = {**self.context, **changes}
        if isinstance(oauth, Mapping) and isinstance(before := self.context.get("oauth"), Mapping):
            merged["oauth"] = merge(before, oauth)
        self.context = merged
        self._tell()

    def become(self, status: str, last_error: str | None = None) -> None:
        """Change the status."""
        if (self.status, self.last_error) != (status, last_error):
            self.status, self.last_error = status, last_error
            self._tell()

    def _tell(self) -> None:
        if self.changed is not None:
            self.changed(self)


def environment_variables(config: Config) -> dict[str, Any]:
    """Those of the override, secret ones included."""
    return {**config.environment_variables, **config.secret_environment_variables}


def scope_of(config: Config, account: Account, members: Mapping[str, Any]) -> dict[str, Any]:
    """What placeholders and expressions see: the context's fields bare and under two roots, variables, *members*.

    ``{{api_key}}``, ``{{context.api_key}}`` and ``{{credentials.api_key}}`` are the same value (seed; skill). A root
    wins over a field of the context that is called like it.
    """
    variables = environment_variables(config)
    context = {**account.context, "environment_variables": variables}
    roots = {"context": context, "credentials": context, "environment_variables": variables, "env": variables}
    return {**context, **roots, **members}


def credentials_of(config: Config, account: Account) -> Credentials | None:
    """The credentials that the account uses: of its ``authentication_method``, else the first of the definition."""
    chosen = config.credentials.get(account.authentication_method or "")
    if chosen is None:
        by_format = (each for each in config.credentials.values() if each.format == account.authentication_method)
        chosen = next(by_format, None)
    return chosen or next(iter(config.credentials.values()), None)


def secrets_of(config: Config, account: Account, more: Iterable[str] = ()) -> frozenset[str]:
    """Every text that must not be shown: by its name, by its field's type, and what stands below ``oauth.token``.

    *more* are fields of the context that an authorization reads.
    """
    fields = {each.name for one in config.credentials.values() for each in one.config.fields if _hides(each)} | {*more}
    found = {text for name, text in _texts(account.context) if _SECRET.search(name) or name in fields}
    oauth = account.context.get("oauth")
    token = oauth.get("token") if isinstance(oauth, Mapping) else None
    hidden = ("access_token", "refresh_token", "id_token", "access_token_secret", "request_token_secret")
    if isinstance(token, Mapping):
        found |= {str(token[name]) for name in hidden if token.get(name)}
    found |= {text for _, text in _texts(config.secret_environment_variables)}
    found |= {text for name, text in _texts(config.environment_variables) if _SECRET.search(name)}
    for one in config.credentials.values():
        if one.config.client is not None:
            found |= _rendered(one.config.client.secret, config, account)
    return frozenset(text for text in found if text and "{{" not in text)


def _rendered(template: str, config: Config, account: Account) -> set[str]:
    """A secret that may be written as a placeholder, and what it stands for."""
    try:
        value = compile_template(template).render(scope_of(config, account, {}))
    except PlaceholderError:
        return set()
    return {template, value} if isinstance(value, str) else {template}


def _hides(field_: FormField) -> bool:
    return field_.type == "password"


def _texts(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text in *value* with the nearest name above it."""
    match value:
        case str():
            yield name, value
        case Mapping():
            for key, each in value.items():
                yield from _texts(each, str(key))
        case list():
            for each in value:
                yield from _texts(each, name)
