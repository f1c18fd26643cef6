"""``$base64encode``, ``$base64decode``, ``$digest``, ``$sign``, ``$uuid``, ``$jsonParse``."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import uuid as uuids
from typing import Any

import orjson

from truto import javascript
from truto.expressions.native import refused
from truto.expressions.values import UNDEFINED, Blob

_HASHES = {"SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}


def base64encode(value: Any = UNDEFINED, url_safe: Any = False) -> str:
    """Base64 of text as UTF-8, or of binary data; *url_safe* is without padding. Undefined gives ``""``."""
    if value is UNDEFINED:
        return ""
    return str(encoded(content_of(value), "base64-urlSafe" if url_safe else "base64"))


def base64decode(value: Any = UNDEFINED, url_safe: Any = False) -> str:
    """The text behind base64, padded or not; bytes that are not UTF-8 are replaced, other characters raise."""
    return "" if value is UNDEFINED else decoded(value, url_safe=bool(url_safe)).decode(errors="replace")


def digest(value: Any = UNDEFINED, algorithm: Any = "SHA-256", form: Any = "hex") -> Any:
    """A hash of text. ``SHA-1`` to ``SHA-512`` in any case, ``MD5``; undefined text hashes as empty."""
    name = "md5" if algorithm in ("MD5", "md5") else _hash_name(algorithm)
    content = b"" if value is UNDEFINED else content_of(value)
    return encoded(hashlib.new(name, content, usedforsecurity=False).digest(), form)


def sign(value: Any = UNDEFINED, algorithm: Any = "SHA-256", secret: Any = UNDEFINED, form: Any = "hex") -> Any:
    """HMAC of text, keyed by the secret's UTF-8 text; ``RS256`` signs with a PKCS#8 PEM instead."""
    content = b"" if value is UNDEFINED else content_of(value)
    if not isinstance(secret, str) or not secret:
        raise refused("the secret is empty")
    if algorithm == "RS256":
        return encoded(_sign_rsa(content, secret), form)
    return encoded(hmac.digest(secret.encode(), content, _hash_name(algorithm)), form)


def uuid() -> str:
    """A random UUID of version 4."""
    return str(uuids.uuid4())


def json_parse(value: Any = UNDEFINED) -> Any:
    """The value behind JSON text, or an array's text; ``null`` for anything that is not JSON."""
    try:
        if isinstance(value, str | list):
            return orjson.loads(value if isinstance(value, str) else javascript.text(value))
        return value if isinstance(value, int | float) else None
    except orjson.JSONDecodeError:
        return None


def content_of(value: Any) -> bytes:
    """The bytes of binary data, or of a value as text."""
    if isinstance(value, Blob):
        return value.content
    # Half of a character becomes the sign for what cannot be read.
    return javascript.text(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def encoded(content: bytes, form: Any) -> Any:
    """Bytes as ``hex``, ``base64`` or ``base64-urlSafe`` (without padding); undefined for another form (lib)."""
    match form:
        case "hex":
            return content.hex()
        case "base64":
            return base64.b64encode(content).decode()
        case "base64-urlSafe":
            return base64.urlsafe_b64encode(content).decode().rstrip("=")
        case _:
            return UNDEFINED


def decoded(value: Any, *, url_safe: bool) -> bytes:
    """The bytes behind base64 text."""
    text = re.sub(r"[ \t\n\f\r]", "", value).rstrip("=")
    if url_safe:
        text = text.translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise refused("the text is not base64") from error


def _hash_name(algorithm: Any) -> str:
    name = _HASHES.get(algorithm.upper()) if isinstance(algorithm, str) else None
    if name is None:
        raise refused("the algorithm is not one of SHA-1, SHA-256, SHA-384, SHA-512")
    return name


def _sign_rsa(content: bytes, pem: str) -> bytes:
    # Rarely needed and slow to import.
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    try:
        key = serialization.load_pem_private_key(pem.replace("\\n", "\n").encode(), None)
    except (ValueError, TypeError) as error:
        raise refused("the key is not a PKCS#8 PEM") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise refused("the key is not an RSA key")
    return key.sign(content, padding.PKCS1v15(), hashes.SHA256())


FUNCTIONS = {
    "base64encode": base64encode,
    "base64decode": base64decode,
    "digest": digest,
    "sign": sign,
    "uuid": uuid,
    "jsonParse": json_parse,
}
