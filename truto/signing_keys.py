"""The keys that sign messages to others: one for each tenant or host, derived from one secret of ours.

Whoever receives messages can check them, and so could sign them: with a key of their own, only those to themselves.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal, TypeAlias

Purpose: TypeAlias = Literal["tenant", "host"]

MIN_SECRET_BYTES = 16

_KEY_BYTES = 32
_ENTRY = re.compile(r"(?P<shared>shared:)?(?:whsec_)?(?P<secret>[A-Za-z0-9+/]+=*)(?:@(?P<until>.*))?", re.DOTALL)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MAKE_ONE = (
    "it must be `whsec_` and base64 of at least 16 bytes; make one with "
    "`python -c \"import base64, os; print('whsec_' + base64.b64encode(os.urandom(32)).decode())\"`"
)


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """One secret of ours, which signs through the day *until* (UTC). A *shared* one is itself every recipient's key."""

    value: bytes = field(repr=False)
    until: date | None = None
    shared: bool = False

    @property
    def text(self) -> str:
        """The secret in base64, for what must not show it."""
        return base64.b64encode(self.value).decode()

    def key_for(self, purpose: Purpose, recipient: str) -> str:
        """The key of *recipient*, as ``whsec_…``."""
        key = self.value if self.shared else _derived(self.value, f"truto-worker/{purpose}/{recipient}".encode())
        return "whsec_" + base64.b64encode(key).decode()


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """What signs messages to tenants, or to hosts."""

    purpose: Purpose
    secrets: tuple[SigningSecret, ...]

    @classmethod
    def parse(cls, text: str, purpose: Purpose) -> SigningKeys:
        """Read a setting: ``new``, ``new,old@2026-12-31`` or ``new,shared:old@2026-12-31``, each ``whsec_…``.

        Raises :class:`ValueError` saying what is wrong with which entry, without showing it.
        """
        secrets = tuple(_secret(entry.strip(), place) for place, entry in enumerate(text.split(","), start=1))
        for place, secret in enumerate(secrets, start=1):
            if place == 1 and (secret.until or secret.shared):
                raise ValueError("the first secret is the one that stays: it has no date, and is not shared")
            if place > 1 and secret.until is None:
                raise ValueError(f"entry {place} needs the last day on which it signs: …@2026-12-31")
        if len({secret.value for secret in secrets}) < len(secrets):
            raise ValueError("a secret is named twice; one that receivers know cannot be the one keys are derived from")
        return cls(purpose, secrets)

    def live(self, now: datetime) -> tuple[SigningSecret, ...]:
        """Those that sign at *now*, the one that stays first."""
        return tuple(secret for secret in self.secrets if secret.until is None or _day(now) <= secret.until)

    def expired(self, now: datetime) -> tuple[date, ...]:
        """The last days of those that sign no more."""
        return tuple(secret.until for secret in self.secrets if secret.until is not None and _day(now) > secret.until)

    def keys_for(self, recipient: str, now: datetime) -> tuple[str, ...]:
        """The keys that sign messages to *recipient* at *now*, each ``whsec_…``."""
        return tuple(secret.key_for(self.purpose, recipient) for secret in self.live(now))


def _day(now: datetime) -> date:
    return now.astimezone(UTC).date()


def _secret(entry: str, place: int) -> SigningSecret:
    found = _ENTRY.fullmatch(entry)
    try:
        value = base64.b64decode(found["secret"], validate=True) if found else b""
    except ValueError:
        value = b""
    if found is None or len(value) < MIN_SECRET_BYTES:
        raise ValueError(_MAKE_ONE if place == 1 else f"entry {place}: {_MAKE_ONE}")
    return SigningSecret(value, _until(found["until"], place), shared=found["shared"] is not None)


def _until(text: str | None, place: int) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text if _DAY.fullmatch(text) else "")
    except ValueError:
        raise ValueError(f"entry {place}: behind the @ must be a day such as 2026-12-31") from None


def _derived(secret: bytes, info: bytes) -> bytes:
    # Imported here: a worker that signs nothing does without.
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(secret)
