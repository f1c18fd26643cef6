"""Rows as reads show them: with the team, the environments and the model that belong to them. Performs no I/O."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.state import Row, State


def integration_view(state: State, row: Row) -> Row:
    """An integration with its team and where it is installed (seed: Environment Integrations object)."""
    return _shared(state, row, state.installs.rows(), "integration_id")


def environment_integration_view(state: State, row: Row) -> Row:
    """An installation with the whole of its integration (seed)."""
    return {**row, "integration": integration_view(state, row["integration"])}


def unified_model_view(state: State, row: Row) -> Row:
    """A unified model with its team and where it is installed (sdk: ts, ``UnifiedModel``)."""
    return _shared(state, row, state.platform["/environment-unified-model"].rows(), "unified_model_id")


def environment_unified_model_view(state: State, row: Row) -> Row:
    """An installed unified model with the model itself (sdk: ts); ``None`` for one that is gone."""
    model = state.platform["/unified-model"].get(row["unified_model_id"])
    return {**row, "unified_model": model and unified_model_view(state, model)}


def _shared(state: State, row: Row, installs: Iterable[Row], reference: str) -> Row:
    installed = [each["environment_id"] for each in installs if each[reference] == row["id"]]
    return {**row, "team": state.platform["/team"].get(row.get("team_id")), "installed_environment": installed}
