"""Where deliveries wait on this machine's own disk while the store cannot take them.

The folder holds segments, appended to one after the other and deleted once the store has all of a segment:

==================================  ===============================================================================
``<number>-<key>.spool``            records (see ``records``), checked with the key in the name, which no damage to
                                    the contents can touch
``<segment>.<offset>.corrupt``      bytes of a segment that could not be read back, for a person to look at
``lock``                            held while a process uses the folder
==================================  ===============================================================================
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import re
import secrets
import stat
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import structlog

from events.batching import GroupCommit
from events.errors import CorruptEvent, SpoolFull, SpoolUnavailable, SpoolUnusable
from events.event import Verified
from events.records import HEAD_BYTES, KEY_BYTES, Kind, frame, pack, scan, unpack

log = structlog.get_logger("events")

DEFAULT_MAX_BYTES = 1024**3

_SEGMENT_BYTES = 8 * 1024 * 1024
_LEAST_ROOM = 64 * 1024
# Redis takes no argument over 512 MiB: a record it refuses for ever would hold up all that wait behind it.
_MAX_RECORD_BYTES = 256 * 1024 * 1024
_NAME = re.compile(rf"(\d{{12,18}})-([0-9a-f]{{{2 * KEY_BYTES}}})\.spool")

# Not on every system; where it is missing, fsync does the same and a little more.
_sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)

Result = TypeVar("Result")


@dataclass(slots=True)
class _Segment:
    path: Path
    key: bytes = field(repr=False)
    size: int = 0
    records: int = 0


class Spool:
    """A bounded queue of deliveries in files. Made with :meth:`open`; one per folder and process.

    All files are touched by one thread, so nothing here waits for a lock and the event loop never waits for the disk.
    ``records`` and ``bytes`` say how much waits; what was set aside as damaged is not part of it.
    """

    def __init__(self, folder: Path, lock: int, *, max_bytes: int, segment_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.records = 0
        self.bytes = 0
        self._lock = lock
        self._segment_bytes = segment_bytes
        self._segments: deque[_Segment] = deque()
        self._last_number = 0
        self._active: tuple[_Segment, int] | None = None
        self._thread = ThreadPoolExecutor(1, "spool")
        self._appending = GroupCommit(self._append_batch, size=len)
        self._closed = False

    @classmethod
    def open(cls, folder: Path, *, max_bytes: int = DEFAULT_MAX_BYTES, segment_bytes: int = _SEGMENT_BYTES) -> Spool:
        """Take *folder* for this process, making it if it is missing, and find what an earlier one left there.

        Reads everything once (about 1 s per GiB), so call it before serving. *max_bytes* bounds all segments
        together. Raises :class:`SpoolUnusable` when another process works in the folder, when everybody may write
        there, or when it cannot be used at all.
        """
        try:
            _make_folder(folder)
            if folder.stat().st_mode & stat.S_IWOTH:
                # Whoever may write here may add events whose signature nobody has checked.
                raise SpoolUnusable(f"everybody may write to {folder}: choose a folder of this service's own")
            lock = _lock(folder)
            spool = cls(folder, lock, max_bytes=max_bytes, segment_bytes=segment_bytes)
            spool._recover()
        except OSError as exc:
            raise SpoolUnusable(f"cannot keep a spool in {folder}: {exc.strerror} ({exc.filename})") from exc
        return spool

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._segments

    async def close(self) -> None:
        """Finish what was begun and give the folder free. A second call does nothing."""
        if not self._closed:
            self._closed = True
            await self._in_thread(self._seal)
            self._thread.shutdown()
            os.close(self._lock)

    async def append(self, events: Sequence[Verified]) -> None:
        """Keep one delivery, whole or not at all. Returns after it is on the disk; concurrent calls share an fsync.

        Raises :class:`SpoolFull`, or :class:`SpoolUnavailable` when the disk did not confirm.
        """
        payload = pack(events)
        if len(payload) > _MAX_RECORD_BYTES:
            raise SpoolFull("the spool takes no delivery of this size")
        try:
            fitted = await self._appending.submit(payload)
        except OSError as exc:
            raise SpoolUnavailable(f"the spool's disk did not confirm: {_code(exc)}") from exc
        if not fitted:
            raise SpoolFull("the spool is full")

    async def has_room(self) -> bool:
        """Whether deliveries would be kept now: the cap is not reached, and the disk takes a trial file."""
        if self.max_bytes - self.bytes < _LEAST_ROOM:
            return False
        try:
            await self._in_thread(self._try_disk)
        except OSError:
            return False
        return True

    async def read_oldest(self) -> list[list[Verified]]:
        """The deliveries of the oldest segment, oldest first; later appends go to another one.

        What cannot be read back is set aside. An empty spool has no deliveries. Raises :class:`SpoolUnavailable` when
        the disk does not let us read; another segment is the oldest then, so that one does not hold up the others.
        """
        return await self._translated(self._read_oldest)

    async def drop_oldest(self) -> None:
        """Delete the segment last read: the store has all of it. Raises :class:`SpoolUnavailable`; call again then."""
        await self._translated(self._drop_oldest)

    async def _append_batch(self, payloads: Sequence[bytes]) -> list[bool]:
        return await self._in_thread(lambda: self._write(payloads))

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _translated(self, work: Callable[[], Result]) -> Result:
        try:
            return await self._in_thread(work)
        except OSError as exc:
            raise SpoolUnavailable(f"the spool cannot be read or tidied: {_code(exc)}") from exc

    # From here on: in the spool's thread, or before there is one.

    def _recover(self) -> None:
        for path in sorted(self.folder.iterdir(), key=lambda path: (len(path.name), path.name)):
            if (name := _NAME.fullmatch(path.name)) and path.is_file() and not path.is_symlink():
                segment = _Segment(path, bytes.fromhex(name[2]))
                self._last_number = int(name[1])
                self._recover_segment(segment)
        if self._segments:
            log.warning("spool_found", folder=str(self.folder), records=self.records, bytes=self.bytes)

    def _recover_segment(self, segment: _Segment) -> None:
        try:
            segment.records = len(_examine(segment))
            segment.size = segment.path.stat().st_size
            if not segment.records:
                self._delete(segment.path)
                return
        except OSError as exc:
            # The other segments are no worse for it, and deliveries can be taken: try this one again when draining.
            log.error("spool_segment_skipped", segment=segment.path.name, error=_code(exc))
        self._segments.append(segment)
        self.records += segment.records
        self.bytes += segment.size

    def _write(self, payloads: Sequence[bytes]) -> list[bool]:
        """Append those payloads that fit under the cap, with one fsync; for each, whether it did."""
        fitted = []
        room = self.max_bytes - self.bytes
        for payload in payloads:
            size = HEAD_BYTES + len(payload)
            fitted.append(size <= room)
            room -= size if fitted[-1] else 0
        taken = [payload for payload, fits in zip(payloads, fitted, strict=True) if fits]
        if taken:
            self._write_durably(taken)
        return fitted

    def _write_durably(self, payloads: Sequence[bytes]) -> None:
        segment, file = self._active or self._begin()
        data = memoryview(b"".join(part for payload in payloads for part in (frame(payload, segment.key), payload)))
        written = 0
        try:
            while written < len(data):
                written += os.write(file, data[written:])
            _sync_data(file)
        except OSError:
            self._abandon(segment, file)
            raise
        segment.size += len(data)
        segment.records += len(payloads)
        self.bytes += len(data)
        self.records += len(payloads)
        if segment.size >= self._segment_bytes:
            self._seal()

    def _begin(self) -> tuple[_Segment, int]:
        self._last_number += 1
        key = secrets.token_bytes(KEY_BYTES)
        path = self.folder / f"{self._last_number:012d}-{key.hex()}.spool"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_APPEND, 0o600)
        try:
            _sync_folder(self.folder)
        except OSError:
            os.close(file)
            raise
        self._active = _Segment(path, key), file
        self._segments.append(self._active[0])
        return self._active

    def _abandon(self, segment: _Segment, file: int) -> None:
        """Cut off what was not confirmed, and never append here again.

        After a failed fsync the system holds the lost pages for written; a second fsync would succeed and prove
        nothing. If cutting fails too, the reader will find the torn tail.
        """
        try:
            os.ftruncate(file, segment.size)
        except OSError as exc:
            log.error("spool_truncation_failed", segment=segment.path.name, error=_code(exc))
        self._seal()

    def _seal(self) -> None:
        """Append to the current segment no more; one that is still empty is removed."""
        if self._active is None:
            return
        (segment, file), self._active = self._active, None
        os.close(file)
        if not segment.records:
            self._segments.remove(segment)
            segment.path.unlink(missing_ok=True)

    def _try_disk(self) -> None:
        trial = self.folder / "trial"
        file = os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(file, bytes(4096))
            _sync_data(file)
        finally:
            os.close(file)
            trial.unlink()

    def _read_oldest(self) -> list[list[Verified]]:
        if not self._segments:
            return []
        segment = self._segments[0]
        if self._active and self._active[0] is segment:
            self._seal()
        try:
            return _examine(segment)
        except FileNotFoundError:
            log.error("spool_segment_lost", segment=segment.path.name, records=segment.records)
            return []
        except OSError:
            self._segments.rotate(-1)
            raise

    def _drop_oldest(self) -> None:
        segment = self._segments[0]
        self._delete(segment.path)
        self._segments.popleft()
        self.records -= segment.records
        self.bytes -= segment.size

    def _delete(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        _sync_folder(self.folder)


def _examine(segment: _Segment) -> list[list[Verified]]:
    """All deliveries of *segment*. Sets aside what is damaged and cuts off what is torn; a second look finds neither.

    Raises :class:`OSError`; then nothing of the segment may be deleted.
    """
    data = segment.path.read_bytes()
    deliveries = []
    for stretch in scan(data, segment.key):
        if stretch.kind is Kind.TORN:
            log.warning("spool_tail_truncated", segment=segment.path.name, bytes=stretch.end - stretch.start)
            _cut(segment.path, stretch.start)
            continue
        try:
            if stretch.kind is Kind.DAMAGED:
                raise CorruptEvent("the checksum does not match")
            deliveries.append(unpack(data[stretch.payload]))
        except CorruptEvent as exc:
            _set_aside(segment.path, stretch.start, data[stretch.start : stretch.end], str(exc))
    return deliveries


def _set_aside(segment: Path, offset: int, data: bytes, why: str) -> None:
    target = segment.with_name(f"{segment.name}.{offset}.corrupt")
    if target.exists() and target.stat().st_size == len(data):
        return
    file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(file, "wb") as aside:
        aside.write(data)
        aside.flush()
        os.fsync(file)
    _sync_folder(segment.parent)
    log.error("spool_record_damaged", kept_in=target.name, bytes=len(data), why=why)


def _cut(path: Path, size: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        os.ftruncate(file, size)
        os.fsync(file)
    finally:
        os.close(file)


def _make_folder(folder: Path) -> None:
    """Make *folder* so that it is there after a power cut. One that exists keeps its mode: it may be shared."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync_folder(folder.parent)


def _lock(folder: Path) -> int:
    file = os.open(folder / "lock", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise SpoolUnusable(
            f"another process keeps its spool in {folder}: end it, or give each process a folder of its own"
        ) from None
    return file


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _code(exc: OSError) -> str:
    """The name of an error, such as ENOSPC; its text would hold a path."""
    return errno.errorcode.get(exc.errno or 0, type(exc).__name__)
