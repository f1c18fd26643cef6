"""Take secrets out of what is shown or kept: by their value, wherever it stands, and by the name they stand under."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from truto.integration.rendering import is_secret_header

MASK = "[secret]"

# Tokens of pages are none: they are shown, and a recording is played with them.
_NAME = re.compile(
    r"(?i)secret|passw|api_?-?key|credential|authorization|private_?key|assertion|^token$|"
    r"(access|refresh|id|auth|bearer|session|api|client|user|bot|app|oauth|security|csrf)_?-?token$"
)
# Shorter values occur in any text, so that they would tell more as holes than as letters.
_SHORTEST = 4
_DEEPEST = 250


class Masker:
    """Replaces secrets by ``[secret]``, also where they are percent-encoded, in base64 or inside of JSON text."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
        # The longest first: one secret may be a part of another.
        ordered = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, text: str) -> str:
        """*text* without secrets."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def value(self, value: Any, depth: int = 0) -> Any:
        """JSON without secrets, without what stands under a name such as ``access_token``, and no deeper than 250."""
        if depth > _DEEPEST and isinstance(value, Mapping | list | tuple):
            return "…"
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(key)): self._member(str(key), each, depth) for key, each in value.items()}
            case list() | tuple():
                return [self.value(each, depth + 1) for each in value]
            case _:
                return value

    def _member(self, key: str, value: Any, depth: int) -> Any:
        return MASK if _NAME.search(key) and isinstance(value, str) and value else self.value(value, depth + 1)

    def headers(self, headers: Mapping[str, str], hidden: frozenset[str] = frozenset()) -> dict[str, str]:
        """*headers* without those that authorize: by their name, or because an authorization has set them."""
        return {
            name: MASK if name in hidden or is_secret_header(name) else self.text(value)
            for name, value in headers.items()
        }


def _forms(secret: str) -> set[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    found = {secret, quote(secret, safe=""), quote_plus(secret), quote(secret, safe="~:@!$&'()*+,;=")}
    found |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    for padding in range(3):
        # In base64 a text looks different at each of three offsets; what its neighbours decide is cut off.
        encoded = base64.b64encode(b"\x00" * padding + raw).decode().rstrip("=")
        inner = encoded[(0, 2, 3)[padding] : len(encoded) - ((len(raw) + padding) % 3 != 0)]
        if len(inner) >= 2 * _SHORTEST:
            found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return found
