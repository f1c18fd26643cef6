"""``format: basic`` and ``format: bearer``: a secret in the second word of a header.

The word before it may be in any case (RFC 9110, 11.1) and is followed by one space; what comes behind that is the
secret, further spaces included.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from ingress.verification.evidence import Evidence, Presented, position_of, prefix_of
from truto.errors import SignatureError


@dataclass(frozen=True, slots=True)
class BasicVerifier:
    """Expects ``Basic <base64 of user:password>``; each live secret is a ``user:password``."""

    presented: Presented

    def check(self, evidence: Evidence) -> int:
        """The position of the credentials that were presented."""
        presented = _second_words(self.presented, evidence, scheme="basic")
        return position_of(evidence.secrets, [(base64.b64encode(s),) for s in evidence.secrets], presented)

    def explain(self, evidence: Evidence) -> list[str]:
        """How long the presented credentials are, and how long they should be."""
        presented = _second_words(self.presented, evidence, scheme="basic")
        lengths = [len(base64.b64encode(secret)) for secret in evidence.secrets]
        return [f"received: {len(word)} characters; expected: {_or(lengths)}" for word in presented]


@dataclass(frozen=True, slots=True)
class BearerVerifier:
    """Expects ``<any word> <secret>``, since configurations also write the first word themselves."""

    presented: Presented

    def check(self, evidence: Evidence) -> int:
        """The position of the secret that was presented."""
        presented = _second_words(self.presented, evidence)
        return position_of(evidence.secrets, [(secret,) for secret in evidence.secrets], presented)

    def explain(self, evidence: Evidence) -> list[str]:
        """The length of the presented token, and its first character; a token is a secret."""
        presented = _second_words(self.presented, evidence)
        lengths = [len(secret) for secret in evidence.secrets]
        return [
            f"received: {len(word)} characters, beginning with {prefix_of(word[:1])}; expected: {_or(lengths)}"
            for word in presented
        ]


def _second_words(presented: Presented, evidence: Evidence, scheme: str = "") -> list[bytes]:
    found = []
    for value in presented.candidates(evidence.context):
        first, space, second = value.partition(" ")
        if not first or not space or not second or (scheme and first.lower() != scheme):
            raise SignatureError("credentials_malformed", "expected a scheme, one space, and the credentials")
        found.append(second.encode())
    return found


def _or(lengths: list[int]) -> str:
    return " or ".join(f"{length} characters" for length in lengths) or "nothing, for no secret is configured"
