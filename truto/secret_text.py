"""What files and environments wrap around a secret, which then is another one than the sender's."""

from __future__ import annotations

MAX_SECRETS = 50
"""Of one source, live at the same time: each costs every delivery a digest of its body, a stranger's too."""


def wrapping(secret: str) -> str:
    """What stands around *secret* and is no part of it, as the end of a sentence; ``""`` where nothing does."""
    if secret != secret.strip():
        return "begins or ends with white space: take it off"
    if len(secret) > 1 and secret[0] == secret[-1] and secret[0] in "\"'":
        return "is in quotes, which belong to a shell (docker --env-file keeps them): take them off"
    return ""
