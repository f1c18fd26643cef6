"""``format: jwt``: a signed token that travels beside the body, or in it. Imports PyJWT.

PyJWT's algorithms check the signature; which of them may do so is configuration, and a token chooses among those only.
Header and claims are read here, against the clock value of the delivery: PyJWT reads the machine's clock, and lets
pass tokens without expiry, expiries in the year 3e92, and headers that say ``alg`` twice. Keys named by a token
(``jwk``, ``jku``, ``x5u``) are never looked at.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import jwt
import orjson
from jwt.algorithms import Algorithm

from ingress.verification.context import DeliveryContext
from ingress.verification.digests import digest_of
from ingress.verification.evidence import KEY_UNKNOWN, Evidence, Presented, encoded, prefix_of, required
from truto.errors import SignatureError
from truto.placeholders import Template

SYMMETRIC = frozenset({"HS256", "HS384", "HS512"})
ASYMMETRIC = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})

_NEEDS = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    **{name: ("EC", curve) for name, curve in (("ES256", "P-256"), ("ES384", "P-384"), ("ES512", "P-521"))},
    "EdDSA": ("OKP", "Ed25519"),
}
"""The ``kty`` and ``crv`` of the keys of an algorithm."""

_LONGEST_TOKEN = 16 * 1024
_LONGEST_KID = 256
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """What a token has to claim; times in seconds. Empty *issuers* or *audiences* are not checked.

    With *longest_age*, it was issued (``iat``) no longer ago; *leeway* is not added to that. *claims* have to be there
    with exactly the text that the template gives, or with that yes or no.
    """

    issuers: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    leeway: float = 30.0
    longest_life: float = 86_400.0
    longest_age: float | None = None
    require_expiry: bool = True
    claims: tuple[tuple[str, Template | bool], ...] = ()
    typ: str = "JWT"
    body_claim: str = ""
    body_algorithm: str = "sha256"
    body_string_type: str = "hex"


@dataclass(frozen=True, slots=True)
class TokenVerifier:
    """Checks one token.

    Its key is a live secret, one of *public_keys* (PEM) where given, or one that is fetched (*fetches_keys*) with its
    ``kid``; a token without one is checked with the only key that there is.
    """

    presented: Presented
    algorithms: tuple[str, ...]
    rules: ClaimRules
    public_keys: tuple[str, ...] = ()
    fetches_keys: bool = False

    def key_name(self, context: DeliveryContext) -> str:
        """The ``kid`` of the token. Raises :class:`SignatureError` where it has none."""
        return _kid(_header(self._token(context)))

    def check(self, evidence: Evidence) -> int:
        """The position of the key that signed the token; 0 for one that was fetched."""
        position, claims = self._open(self._token(evidence.context), evidence)
        check_claims(claims, self.rules, evidence.now)
        _check_own(claims, self.rules.claims, evidence.context)
        if self.rules.body_claim:
            _check_body(claims, self.rules, evidence.context["raw_body"])
        return position

    def _token(self, context: DeliveryContext) -> str:
        presented = self.presented.candidates(context)
        if len(presented) > 1:
            raise SignatureError("jwt_malformed", "there is more than one token")
        return _bare(presented[0])

    def _open(self, token: str, evidence: Evidence) -> tuple[int, Mapping[str, Any]]:
        header = _header(token)
        algorithm = header.get("alg")
        if algorithm not in self.algorithms:
            raise SignatureError("jwt_algorithm", f"the algorithm is not one of {', '.join(self.algorithms)}")
        if self.rules.typ and str(header.get("typ", self.rules.typ)).upper() != self.rules.typ.upper():
            raise SignatureError("jwt_type", f"the token's typ is not {self.rules.typ}")
        if "crit" in header or "b64" in header:
            raise SignatureError("jwt_critical", "the token asks for an extension that is not known here")
        signed, _, signature = token.rpartition(".")
        verify = jwt.get_algorithm_by_name(algorithm)
        for position, key in enumerate(self._keys(header, evidence)):
            if _is_signed(verify, key, signed.encode(), _base64url(signature)):
                return position, _claims(_base64url(signed.partition(".")[2]))
        raise SignatureError("signature_mismatch", "no live key explains the token")

    def _keys(self, header: Mapping[str, Any], evidence: Evidence) -> Sequence[Any]:
        if not self.fetches_keys:
            keys: Sequence[Any] = self.public_keys or evidence.secrets
            if not keys:
                raise SignatureError("no_secret", "no key is configured for this source")
            return keys
        found = _named_key(header, evidence.keys)
        if found.expires_at is not None and found.expires_at <= evidence.now:
            raise SignatureError("jwt_key_expired", "the sender has let the key expire that the token names")
        if header["alg"] not in found.algorithms:
            raise SignatureError("jwt_algorithm", "the key that the token names is for another algorithm")
        return [found.key]

    def explain(self, evidence: Evidence) -> list[str]:
        """The token's header, the times it claims, and what is wrong with its claims."""
        token = self._token(evidence.context)
        header = _header(token)
        lines = [f"token header: alg {header.get('alg')!r}, typ {header.get('typ')!r}, kid {header.get('kid')!r}"]
        lines.append(f"accepted algorithms: {', '.join(self.algorithms)}")
        lines.append(f"received signature: {prefix_of(token.rpartition('.')[2])}")
        _, claims = self._open(token, evidence)
        times = ((name, claims.get(name)) for name in ("exp", "nbf", "iat"))
        told = [f"{name}: {at - evidence.now:+.0f} s from now" for name, at in times if isinstance(at, int | float)]
        return [*lines, *told]


def _named_key(header: Mapping[str, Any], keys: Mapping[str, PublicKey]) -> PublicKey:
    """The fetched key that a token names; the only one there, where it names none (RFC 7515, 4.1.4)."""
    if "kid" not in header:
        if len(keys) > 1:
            raise SignatureError("jwt_malformed", "the token names no key, and there are several")
        for only in keys.values():
            return only
        raise SignatureError(KEY_UNKNOWN, "there was no usable key when last asked for")
    kid = _kid(header)
    if kid not in keys:
        raise SignatureError(KEY_UNKNOWN, "the token names a key that was not there when last asked for")
    return keys[kid]


def _kid(header: Mapping[str, Any]) -> str:
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid or len(kid) > _LONGEST_KID:
        raise SignatureError("jwt_malformed", "the token names no key")
    return kid


def _bare(value: str) -> str:
    """The token without the word before it (``Bearer``, ``JWT``), if there is one."""
    first, space, second = value.partition(" ")
    token = second if space else first
    if len(token) > _LONGEST_TOKEN:
        raise SignatureError("jwt_malformed", "the token is too long")
    if token.count(".") != 2 or not all(_SEGMENT.fullmatch(part) for part in token.split(".")):
        raise SignatureError("jwt_malformed", "the token is not three segments of base64url")
    return token


def _is_signed(algorithm: Algorithm, key: Any, signed: bytes, signature: bytes) -> bool:
    try:
        return bool(algorithm.verify(signed, algorithm.prepare_key(key), signature))
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return False  # a key of another kind than the algorithm's


def _header(token: str) -> Mapping[str, Any]:
    try:
        header = json.loads(_base64url(token.partition(".")[0]).decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise SignatureError("jwt_malformed", "the token's header cannot be read") from None
    if not isinstance(header, dict):
        raise SignatureError("jwt_malformed", "the token's header is no object")
    return header


def _base64url(segment: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except binascii.Error:
        raise SignatureError("jwt_malformed", "a segment is not base64url") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=") != segment.encode():
        raise SignatureError("jwt_malformed", "a segment is not canonical base64url")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name is there twice")
    return dict(pairs)


def _claims(payload: bytes) -> Mapping[str, Any]:
    try:
        claims = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise SignatureError("jwt_malformed", "the token's claims are not JSON") from None
    if not isinstance(claims, dict):
        raise SignatureError("jwt_malformed", "the token's claims are no object")
    return claims


def check_claims(claims: Mapping[str, Any], rules: ClaimRules, now: float) -> None:
    """Hold *claims* against *rules* at the time *now*. Raises :class:`SignatureError`."""
    times = {name: _time(claims, name) for name in ("exp", "nbf", "iat")}
    _check_times(times, rules, now)
    if rules.issuers and claims.get("iss") not in rules.issuers:
        raise SignatureError("jwt_issuer", "the token's issuer is not the configured one")
    if rules.audiences:
        given = claims.get("aud")
        named = given if isinstance(given, list) else [given]
        if not any(isinstance(one, str) and one in rules.audiences for one in named):
            raise SignatureError("jwt_audience", "the token is for somebody else")


def _check_times(times: Mapping[str, float | None], rules: ClaimRules, now: float) -> None:
    expiry = times["exp"]
    if expiry is None:
        if rules.require_expiry:
            raise SignatureError("jwt_no_expiry", "the token never expires")
    elif expiry + rules.leeway <= now:
        raise SignatureError("jwt_expired", f"the token expired {now - expiry:.0f} s ago")
    elif expiry - now > rules.longest_life + rules.leeway:
        raise SignatureError("jwt_lifetime", f"the token lives for another {expiry - now:.0f} s")
    for name in ("nbf", "iat"):
        begin = times[name]
        if begin is not None and begin > now + rules.leeway:
            raise SignatureError("jwt_not_yet", f"{name} is {begin - now:.0f} s ahead")
    if rules.longest_age is not None:
        _check_age(times["iat"], rules.longest_age, now)


def _check_age(issued: float | None, longest: float, now: float) -> None:
    if issued is None:
        raise SignatureError("jwt_no_issue_time", "the token does not say when it was issued (iat)")
    if now - issued > longest:
        raise SignatureError("jwt_too_old", f"the token was issued {now - issued:.0f} s ago")


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SignatureError("jwt_malformed", f"{name} is no number")
    return float(value)


def _check_own(
    claims: Mapping[str, Any], wanted: Sequence[tuple[str, Template | bool]], context: Mapping[str, Any]
) -> None:
    for name, value in wanted:
        expected = value if isinstance(value, bool) else required(value, context, "jwt_claim")
        given = claims.get(name)
        if type(given) is not type(expected) or given != expected:
            raise SignatureError("jwt_claim", f"the token's {name} is not the configured one")


def _check_body(claims: Mapping[str, Any], rules: ClaimRules, body: bytes) -> None:
    claimed = claims.get(rules.body_claim)
    expected = encoded(digest_of(body, rules.body_algorithm), rules.body_string_type)
    presented = claimed.encode("utf-8", "surrogatepass") if isinstance(claimed, str) else b""
    matches = [hmac.compare_digest(one, presented) for one in expected]
    if not any(matches):
        raise SignatureError("jwt_body_mismatch", "the token was made for another body")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A fetched key, the *algorithms* it is for, and when it expires (Unix time, s), where its sender says so."""

    key: Any = field(repr=False)
    algorithms: frozenset[str]
    expires_at: float | None = None


def key_set(jwks: Sequence[Mapping[str, Any]]) -> dict[str, PublicKey]:
    """The keys of a JWKS that check signatures, by their ``kid``; others, symmetric ones among them, are left out.

    One without a ``kid`` stands under a name that no token can give. What a key says of itself holds: ``alg``, else
    what its ``kty`` and ``crv`` allow, ``use``, ``key_ops`` and ``expired_at``.
    """
    found: dict[str, PublicKey] = {}
    for position, entry in enumerate(jwks):
        kid = entry.get("kid", f"{position}".rjust(_LONGEST_KID + 1))
        if not isinstance(kid, str):
            continue
        with suppress(ValueError):
            found[kid] = public_key(entry)
    return found


def public_key(entry: Mapping[str, Any]) -> PublicKey:
    """The key that a JWK is. Raises :class:`ValueError` for one that checks no signatures."""
    algorithms = _algorithms_of(entry)
    if not algorithms or not _checks_signatures(entry):
        raise ValueError("the key is none that checks signatures")
    try:
        key = jwt.PyJWK(dict(entry), min(algorithms)).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        raise ValueError("the key cannot be read") from None
    return PublicKey(key, algorithms, _expiry(entry))


def _expiry(entry: Mapping[str, Any]) -> float | None:
    expiry = entry.get("expired_at")
    if expiry is None:
        return None
    if isinstance(expiry, bool) or not isinstance(expiry, int | float):
        raise ValueError("the key does not say when it expires")
    return float(expiry)


def _checks_signatures(entry: Mapping[str, Any]) -> bool:
    operations = entry.get("key_ops", ["verify"])
    return entry.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def _algorithms_of(entry: Mapping[str, Any]) -> frozenset[str]:
    kind, curve = entry.get("kty"), entry.get("crv")
    needed = (kind, None if kind == "RSA" else curve)
    possible = frozenset(name for name, needs in _NEEDS.items() if needs == needed)
    if "alg" not in entry:
        return possible
    return frozenset(name for name in possible if name == entry["alg"])


def is_public_key(pem: str, algorithm: str) -> bool:
    """Whether *pem* is a key that *algorithm* can check signatures with."""
    try:
        key = jwt.get_algorithm_by_name(algorithm).prepare_key(pem)
    except (jwt.PyJWTError, ValueError, TypeError, NotImplementedError):
        return False
    return not hasattr(key, "private_bytes")
