"""Encode a file for ``multipart/form-data``. Performs no I/O."""

from __future__ import annotations

import httpx

from truto.calls import RawBody, header_value


def encode_file(name: str, content: bytes, content_type: str) -> RawBody:
    """*content* as the form field ``file`` (skill: files); *name* may hold any character.

    Raises :class:`ValueError` for an empty name and for a content type that no header can carry.
    """
    if not name:
        raise ValueError("a file has a name")
    form = httpx.Request("POST", "http://form", files={"file": (name, content, header_value(content_type))})
    return RawBody(form.read(), form.headers["content-type"])
