"""``POST /file``: an upload, and the public address it is served at (skill: files-and-logs)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.routing import Route

from sandbox.answers import Answer, answer, invalid, missing
from sandbox.calls import Call, Endpoints
from sandbox.errors import Refusal
from sandbox.state import State, StoredFile, new_id

# Local memory is small; Truto's own limit is in no source.
MAX_BYTES = 10 * 1024 * 1024
MAX_FILES = 100

_UPLOAD = {
    "type": "object",
    "properties": {"file": {"type": "string", "format": "binary"}},
    "required": ["file"],
}


class Files:
    """Stores the last hundred uploads. There is no list and no delete."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """Upload and download."""
        upload = endpoint(
            self.upload, reads=_read_upload, takes=_UPLOAD, media_type="multipart/form-data", shape="File"
        )
        return [
            Route("/file", upload, methods=["POST"]),
            Route("/files/{id}/{name}", endpoint(self.download, shape="Bytes"), methods=["GET"]),
        ]

    async def upload(self, call: Call) -> Answer:
        """``{url}``; anyone with the address can read the file."""
        stored = call.body["file"]
        file_id = keep_file(self._state, stored)
        return answer({"url": f"{call.base_url}/files/{file_id}/{quote(stored.name, safe='')}"})

    async def download(self, call: Call) -> Answer:
        """The bytes as they came."""
        stored = self._state.files.get(call.path["id"])
        if stored is None or stored.name != call.path["name"]:
            raise missing("File")
        return served(stored)


async def _read_upload(request: Request) -> dict[str, Any]:
    """``{file}``, read to its end, or a 400, 413 or 415 :class:`Refusal`."""
    if not is_form(request):
        raise Refusal(415, "Send multipart/form-data with a field named file")
    fields = await read_form(request)
    if not isinstance(fields.get("file"), StoredFile):
        raise invalid("file", "is required, as a file")
    return fields


def is_form(request: Request) -> bool:
    """Whether the body says that it is ``multipart/form-data``."""
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def read_form(request: Request) -> dict[str, Any]:
    """The fields of a form, text or a :class:`StoredFile` each, or a 400 or 413 :class:`Refusal`."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > MAX_BYTES + 64 * 1024:
        raise Refusal(413, f"A file may have {MAX_BYTES} bytes here")
    try:
        async with request.form(max_files=1, max_fields=20) as form:
            return {name: await _stored(sent) if isinstance(sent, UploadFile) else sent for name, sent in form.items()}
    except (HTTPException, MultiPartException, ValueError, KeyError, AttributeError) as exc:
        raise Refusal(400, "The body is not multipart/form-data") from exc


async def _stored(sent: UploadFile) -> StoredFile:
    content = await sent.read(MAX_BYTES + 1)
    return stored_file(sent.filename or "file", sent.content_type or "", content)


def stored_file(name: str, media_type: str, content: bytes) -> StoredFile:
    """A file that can be kept and served: 413 where it is too long."""
    if len(content) > MAX_BYTES:
        raise Refusal(413, f"A file may have {MAX_BYTES} bytes here")
    return StoredFile(_plain(name), _header_text(media_type), content)


def keep_file(state: State, stored: StoredFile) -> str:
    """Keep a file under a fresh id; the oldest of a hundred goes."""
    file_id = new_id()
    state.files[file_id] = stored
    while len(state.files) > MAX_FILES:
        del state.files[next(iter(state.files))]
    return file_id


def served(stored: StoredFile, headers: Mapping[str, str] | None = None) -> Answer:
    """The bytes as they came. They are served where the sandbox's own pages are, so nothing in them may run."""
    harmless = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}
    return Answer(stored.content, headers={**(headers or {}), **harmless}, media_type=stored.media_type)


def _plain(name: str) -> str:
    """A name that is one segment of a path."""
    cleaned = "".join(each for each in name if each.isprintable() and each not in "/\\%").strip(". ")
    return cleaned[:100] or "file"


def _header_text(media_type: str) -> str:
    """What may be written into a header as it is, else the type for anything."""
    fits = media_type.isascii() and media_type.isprintable() and len(media_type) <= 100
    return media_type if fits and "/" in media_type else "application/octet-stream"
