"""Describe failures without secrets."""

from __future__ import annotations

import hashlib
import os
import re
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_HOME = Path(__file__).resolve().parents[1]
_NOT_OWN = (
    *(f"{_HOME / package}{os.sep}" for package in ("cli", "events", "sandbox", "truto", "worker", "workflows")),
    str(Path(os.__file__).parent),
    "<frozen",
)
_INSTALLED = re.compile(r"[/\\](site|dist)-packages[/\\]")
_MAX_MESSAGE = 500
_MAX_FRAMES = 12
_CREDENTIALS = re.compile(r"(?i)(bearer|basic)\s+[\w.~+/=-]{8,}|(?<=://)[^/\s]+(?=@)|whsec_[\w+/=]+")
_MASK = "[secret]"


@dataclass(frozen=True, slots=True)
class Describer:
    """Turns exceptions into causes. Masks the *secrets* of this deployment, and what looks like a credential."""

    secrets: tuple[str, ...] = field(repr=False, default=())

    @classmethod
    def masking(cls, secrets: Iterable[str | None]) -> Describer:
        """A describer for these secrets; empty ones are left out, since they occur everywhere."""
        return cls(tuple(sorted({s for s in secrets if s}, key=len, reverse=True)))

    def mask(self, value: object) -> str:
        """The text of *value* without secrets: storable, and at most 500 characters long."""
        text = _text(value)
        for secret in self.secrets:
            text = text.replace(secret, _MASK)
        text = _CREDENTIALS.sub(_MASK, text)
        return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"

    def cause(self, exc: BaseException, handler: str) -> dict[str, Any]:
        """The cause of a dead letter: error, traceback (places, no values) and a fingerprint to group by."""
        frames = traceback.extract_tb(exc.__traceback__)[-_MAX_FRAMES:]
        kind = type(exc).__name__
        places = "|".join(f"{frame.filename}:{frame.name}" for frame in frames)
        return {
            "error": self.mask(f"{kind}: {_text(exc)}"),
            "traceback": [_text(f"{frame.filename}:{frame.lineno} in {frame.name}") for frame in frames],
            # Without message and line numbers: they change while the cause stays the same.
            "fingerprint": hashlib.blake2b(
                f"{handler}|{kind}|{places}".encode(errors="replace"), digest_size=6
            ).hexdigest(),
        }


def _text(value: object) -> str:
    try:
        text = str(value)
    except Exception as exc:  # noqa: BLE001  a broken __str__ must not hide the error
        text = f"(no text: {type(exc).__name__})"
    # Lone surrogates cannot be encoded.
    return text.encode(errors="replace").decode()


def own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames of *error* that are in a team's own code: neither in ours, nor in Python, nor in what is installed."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f for f in frames if not (f.filename.startswith(_NOT_OWN) or _INSTALLED.search(f.filename))]


def shortened(file: str) -> str:
    """The path of *file*, from the working directory where it lies below it."""
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
