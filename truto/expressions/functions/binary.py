"""Binary data: ``$base64ToBlob``, ``$blob``, ``$getArrayBuffer``, and text of it: ``$getDataUri`` and the like.

Inside an expression binary data is opaque; it is never a result.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from truto.expressions.functions.encoding import content_of, decoded
from truto.expressions.native import options_of, refused
from truto.expressions.values import UNDEFINED, Blob

_DATA_URI = re.compile(r"data:([^;,]*)(?:;[^;,]*)*?;base64,", re.IGNORECASE)


def base64_to_blob(value: Any = UNDEFINED, options: Any = None) -> Blob:
    """Binary data from base64 or a data URI; empty or non-text gives empty data, invalid text raises."""
    chosen = options_of(options, {"mimeType": "application/octet-stream", "urlSafe": False})
    if not isinstance(value, str) or not value:
        return Blob(b"", chosen["mimeType"])
    found = _DATA_URI.match(value[:200])
    mime_type = (found[1] if found else "") or chosen["mimeType"]
    return Blob(decoded(value[found.end() :] if found else value, url_safe=bool(chosen["urlSafe"])), mime_type)


def blob(content: Any = UNDEFINED, options: Any = UNDEFINED) -> Blob:
    """Binary data from text, binary data, or an array of both."""
    chosen = options_of(options, {"type": ""})
    parts = content if isinstance(content, list) else [] if content is UNDEFINED else [content]
    return Blob(b"".join(content_of(part) for part in parts), chosen["type"])


def get_array_buffer(file: Any = UNDEFINED) -> Blob:
    """The bytes of a file."""
    return Blob(content_of(file))


def get_data_uri(file: Any = UNDEFINED, mime_type: Any = UNDEFINED) -> str:
    """A ``data:`` URI; the type is required (lib)."""
    if not mime_type:
        raise refused("the MIME type is required")
    return f"data:{mime_type};base64,{base64.b64encode(content_of(file)).decode()}"


def buffer_to_string(value: Any = UNDEFINED, encoding: Any = "utf8") -> str:
    """Binary data as text: ``utf8``, ``hex``, ``base64``, ``base64url``, ``ascii`` or ``latin1``."""
    content = content_of(value)
    match encoding.lower():
        case "utf8" | "utf-8":
            return content.decode(errors="replace")
        case "hex":
            return content.hex()
        case "base64":
            return base64.b64encode(content).decode()
        case "base64url":
            return base64.urlsafe_b64encode(content).decode().rstrip("=")
        case "ascii":
            return bytes(byte & 127 for byte in content).decode("ascii")
        case "latin1" | "binary":
            return content.decode("latin1")
        case _:
            raise refused("the encoding is not known")


FUNCTIONS = {
    "base64ToBlob": base64_to_blob,
    "blob": blob,
    "getArrayBuffer": get_array_buffer,
    "getDataUri": get_data_uri,
    "bufferToString": buffer_to_string,
}
