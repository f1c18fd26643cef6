"""Make one description of a source from what it builds on: a preset, or an environment integration."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from ingress.errors import Faults
from ingress.sources.faults import SourceFault, did_you_mean
from truto.documents import read_yaml
from truto.merging import overlay
from truto.secret_text import wrapping

_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_EXPRESSIONS = frozenset({"payload_transform", "handle_verification"})

_FORMS = ("preset", "webhook", "integration")

_INTEGRATION_KEYS = frozenset(
    {
        "id", "environment_id", "integration_id", "integration", "override", "is_enabled", "is_active",
        "show_in_catalog", "created_at", "updated_at",
    }
)  # fmt: skip
"""The fields of an environment integration (seed: Environment Integrations object)."""

Json = dict[str, Any]


@functools.cache
def presets() -> tuple[str, ...]:
    """The names of all presets."""
    folder = resources.files("ingress.sources") / "presets"
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def read_preset(name: str) -> Json:
    """The preset *name*. Raises :class:`KeyError` when there is none."""
    if name not in presets():
        raise KeyError(name)
    return copy.deepcopy(_preset(name))


@functools.cache  # a file may have thousands of sources of one preset
def _preset(name: str) -> Json:
    preset = read_yaml((resources.files("ingress.sources") / "presets" / f"{name}.yaml").read_text())
    assert isinstance(preset, dict)
    return preset


def resolve(name: str, given: Any, environment: Mapping[str, str]) -> Json:
    """What *given* means once its preset or environment integration and all ``${VARIABLES}`` are put in.

    Raises :class:`Faults`.
    """
    if not isinstance(given, dict):
        raise Faults([SourceFault((name,), "must be an object with `preset`, `webhook` or `integration`")])
    forms = [key for key in _FORMS if key in given]
    if len(forms) != 1:
        meant = next((meant for key in given if key not in _FORMS and (meant := did_you_mean(key, _FORMS))), "")
        raise Faults([SourceFault((name,), f"needs exactly one of `preset`, `webhook` and `integration`{meant}")])
    expanded: Json = _expand(given, environment, (name,))
    match forms[0]:
        case "preset":
            return _on_preset(name, expanded)
        case "integration":
            return _of_integration(name, expanded)
        case _:
            return expanded


def _on_preset(name: str, given: Json) -> Json:
    asked = given.pop("preset")
    try:
        preset = read_preset(asked)
    except (KeyError, TypeError):
        known = ", ".join(presets())
        reason = f"there is no such preset{did_you_mean(asked, presets()) or ';'} known are {known}"
        raise Faults([SourceFault((name, "preset"), reason)]) from None
    preset.pop("documents", None)  # they say where the preset's facts are from, and nothing about a delivery
    return overlay(preset, given)


def _of_integration(name: str, given: Json) -> Json:
    layers = {key: given.pop(key) for key in _INTEGRATION_KEYS & given.keys()}
    integration, override = layers["integration"], layers.get("override") or {}
    config = integration.get("config") if isinstance(integration, dict) else None
    faults = []
    if not isinstance(config, dict):
        faults.append(SourceFault((name, "integration", "config"), "is missing, or not an object"))
    if not isinstance(override, dict):
        faults.append(SourceFault((name, "override"), "is not an object"))
    if faults:
        raise Faults(faults)
    assert isinstance(config, dict)
    effective = overlay(config, override)
    if not isinstance(effective.get("webhook"), dict):
        raise Faults([SourceFault((name, "integration", "config", "webhook"), "is missing, or not an object")])
    variables = {
        key: value
        for field in ("environment_variables", "secret_environment_variables")
        for key, value in (override.get(field) or {}).items()
    }
    own = given.pop("environment_variables", {})
    return {**given, "webhook": effective["webhook"], "environment_variables": overlay(variables, own)}


def _expand(value: Any, environment: Mapping[str, str], path: tuple[str, ...]) -> Any:
    """*value* with every ``${VARIABLE}`` put in; ``$${`` stands for ``${``. Expressions stay as they are.

    A variable from a file often ends with a line feed, which is left out, as is any space around it.
    """
    faults: list[SourceFault] = []

    def put_in(text: str, path: tuple[str, ...]) -> str:
        def variable(found: re.Match[str]) -> str:
            if found[1] is None:
                return "${"
            value = environment.get(found[1], "").strip()
            if not value:
                faults.append(SourceFault(path, f"the environment variable {found[1]} is not set, or empty"))
            elif fault := wrapping(value):
                faults.append(SourceFault(path, f"the environment variable {found[1]} {fault}"))
            return value

        return _VARIABLE.sub(variable, text)

    def walk(value: Any, path: tuple[str, ...]) -> Any:
        match value:
            case str():
                return value if path[-1] in _EXPRESSIONS else put_in(value, path)
            case list():
                return [walk(item, (*path, str(index))) for index, item in enumerate(value)]
            case dict():
                return {key: walk(item, (*path, key)) for key, item in _items(value)}
            case _:
                return value

    expanded = walk(value, path)
    if faults:
        raise Faults(faults)
    return expanded


def _items(value: Json) -> Iterable[tuple[str, Any]]:
    return value.items()
