"""The fields that a person fills in who connects an account. Performs no I/O."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import re2

from truto import javascript
from truto.integration.credentials import FormField

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(?:\.[^@\s.]+)+")
_LONGEST = 65_536


def read_fields(fields: Iterable[FormField], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of *given* as *fields* want them: with defaults, checked, transformed. Others are left out.

    Raises :class:`ValueError` that names every field that is wrong, never its value.
    """
    found, faults = {}, []
    for field in fields:
        value = given.get(field.name)
        value = field.default if value in (None, "") else value
        if value in (None, ""):
            if field.required:
                faults.append(f"{field.name} is required")
            continue
        text = javascript.text(value)
        if fault := _fault(field, text):
            faults.append(f"{field.name} {fault}")
        found[field.name] = _transformed(field, text)
    if faults:
        raise ValueError("; ".join(faults))
    return found


def _fault(field: FormField, text: str) -> str:
    if len(text) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    if field.type == "single_select" and text not in {option.value for option in field.options}:
        return f"is none of {', '.join(option.value for option in field.options)}"
    if field.format is not None and not _has_format(field.format, text):
        return f"is no {field.format}"
    if field.pattern is not None:
        try:
            # RE2: the pattern is somebody else's, and the text yet another's.
            if re2.search(field.pattern, text) is None:
                return "does not fit its pattern"
        except re2.error:
            return "has a pattern that cannot be read"
    return ""


def _has_format(name: str, text: str) -> bool:
    match name:
        case "email":
            return _EMAIL.fullmatch(text) is not None
        case "number":
            return re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) is not None
        case "uuid":
            try:
                return bool(uuid.UUID(text))
            except ValueError:
                return False
        case "url":
            try:
                parts = urlsplit(text)
            except ValueError:
                return False
            return parts.scheme in ("http", "https") and bool(parts.hostname)
        case _:
            return True  # the name of a pattern in Truto, which no document lists


def _transformed(field: FormField, text: str) -> str:
    match field.transform:
        case "lowercase":
            return text.lower()
        case "uppercase":
            return text.upper()
        case "sha256":
            return hashlib.sha256(text.encode()).hexdigest()
        case _:
            return text
