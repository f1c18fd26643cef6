"""What a source knows, without what verifies its deliveries: all that expressions see of it before the proof."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ingress.verification.context import Account

_REMOVED = object()
_SHORTEST = 8
"""A shorter piece of a secret is in too many harmless texts to be looked for."""

Path = tuple[str, ...]


def conceal(account: Account, paths: Collection[Path], secrets: Iterable[str]) -> Account:
    """*account* without the members at *paths*, and without every text in which one of *secrets* occurs."""
    pieces = {piece for secret in secrets for piece in _pieces(secret)}
    return replace(
        account,
        context=_without(account.context, _below(paths, "context"), pieces),
        environment_variables=_without(account.environment_variables, _below(paths, "environment_variables"), pieces),
        secrets=(),
    )


def _pieces(secret: str) -> Iterable[str]:
    """A secret whole, without its prefix, and the password of ``user:password``."""
    yield secret
    for piece in (secret.removeprefix("whsec_"), secret.partition(":")[2]):
        if len(piece) >= _SHORTEST:
            yield piece


def _below(paths: Collection[Path], name: str) -> frozenset[Path]:
    return frozenset(path[1:] for path in paths if path[0] == name)


def _without(value: Mapping[str, Any], paths: frozenset[Path], pieces: Collection[str]) -> dict[str, Any]:
    kept = {}
    for name, member in value.items():
        inner = frozenset(path[1:] for path in paths if path and path[0] == name)
        left = _REMOVED if () in inner else _left(member, inner, pieces)
        if left is not _REMOVED:
            kept[name] = left
    return kept


def _left(value: Any, paths: frozenset[Path], pieces: Collection[str]) -> Any:
    match value:
        case Mapping():
            return _without(value, paths, pieces)
        case list():
            # A path may lead into a list by number, so nothing of such a list is shown.
            return _REMOVED if paths else [left for one in value if (left := _left(one, paths, pieces)) is not _REMOVED]
        case None | bool():
            return value
        case _:
            return _REMOVED if any(piece in str(value) for piece in pieces) else value
