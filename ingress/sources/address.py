"""The address under which senders reach the ingress. Some sign it, and nothing in a request can be believed for it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

MISSING = (
    "is not set, and neither is PUBLIC_URL; the sender signs the address it calls, which is never taken from the "
    "request, so every delivery is refused: set one of them to the address before /webhooks/, such as https://you.example"
)

_PRINTABLE = re.compile(r"[!-~]+")


def read_public_url(text: str) -> str:
    """*text* as the address before ``/webhooks/``: scheme, host, perhaps a port and a prefix, no closing slash.

    It stays as it is written, since senders sign it so. Raises :class:`ValueError` for anything else.
    """
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not _PRINTABLE.fullmatch(text):
        raise ValueError("must begin with https:// or http:// and a host")
    if "?" in text or "#" in text:
        raise ValueError("must end with the host, a port or a path: what a sender adds is taken from its request")
    return text.rstrip("/")
