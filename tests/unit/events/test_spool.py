"""The spool on a real disk: what it keeps, what it refuses, and what it makes of files that were damaged."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from events import Spool, SpoolUnusable
from events.errors import SpoolFull, SpoolUnavailable
from events.event import Verified
from tests.integration.events.deliveries import delivered


@asynccontextmanager
async def opened(folder: Path, *, max_bytes: int = 1 << 20, segment_bytes: int = 1 << 20) -> AsyncIterator[Spool]:
    spool = Spool.open(folder, max_bytes=max_bytes, segment_bytes=segment_bytes)
    try:
        yield spool
    finally:
        await spool.close()


def files(folder: Path, kind: str = "spool") -> list[Path]:
    return sorted(folder.glob(f"*.{kind}"))


def python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)


async def taken(spool: Spool) -> list[str]:
    """The ids of all that waits, in order; the spool is empty then."""
    ids = []
    while not spool.empty:
        ids += [verified.id for delivery in await spool.read_oldest() for verified in delivery]
        await spool.drop_oldest()
    return ids


async def left_by_another(folder: Path, *ids: str, segment_bytes: int = 1 << 20) -> list[Path]:
    """Spool *ids*, end, and answer with the segments on the disk."""
    async with opened(folder, segment_bytes=segment_bytes) as spool:
        for event_id in ids:
            await spool.append([delivered(event_id)])
    return files(folder)


def fail(code: int) -> Callable[..., int]:
    def failing(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    return failing


async def test_deliveries_come_back_whole_and_in_order(tmp_path: Path) -> None:
    first = [delivered("a"), delivered("b")]
    second = [Verified("github", "push", "c", b"{}", {"user-agent": "x"}, b"--raw--", 1)]
    async with opened(tmp_path) as spool:
        assert await spool.read_oldest() == []
        await spool.append(first)
        await spool.append(second)
        assert (spool.records, spool.empty) == (2, False)
        assert await spool.read_oldest() == [first, second]
        await spool.drop_oldest()
        assert (spool.records, spool.bytes, spool.empty) == (0, 0, True)
    assert os.listdir(tmp_path) == ["lock"]  # noqa: PTH208


async def test_what_was_appended_is_there_for_the_next_process(tmp_path: Path) -> None:
    await left_by_another(tmp_path, "a", "b")
    async with opened(tmp_path) as spool:
        assert spool.records == 2
        assert spool.bytes == sum(path.stat().st_size for path in files(tmp_path))
        await spool.append([delivered("c")])
        assert await taken(spool) == ["a", "b", "c"]


@pytest.mark.bad_input(308)
async def test_what_is_appended_behind_the_last_number_of_twelve_digits_is_found_again(tmp_path: Path) -> None:
    (tmp_path / f"999999999999-{'00' * 16}.spool").touch()
    await left_by_another(tmp_path, "e-1")
    async with opened(tmp_path) as spool:
        assert await taken(spool) == ["e-1"]


async def test_segments_are_drained_one_by_one_in_order(tmp_path: Path) -> None:
    ids = [str(n) for n in range(12)]
    assert len(await left_by_another(tmp_path, *ids, segment_bytes=300)) > 3
    async with opened(tmp_path, segment_bytes=300) as spool:
        await spool.append([delivered("later")])
        assert await taken(spool) == [*ids, "later"]
    assert files(tmp_path) == []


async def test_what_was_read_but_not_dropped_is_read_again(tmp_path: Path) -> None:
    await left_by_another(tmp_path, "a")
    async with opened(tmp_path) as spool:
        await spool.read_oldest()
    async with opened(tmp_path) as spool:
        assert await taken(spool) == ["a"]


async def test_while_a_segment_is_read_appends_go_to_another_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        await spool.append([delivered("a")])
        await spool.read_oldest()
        await spool.append([delivered("b")])
        await spool.drop_oldest()
        assert await taken(spool) == ["b"]


async def test_concurrent_appends_are_all_kept(tmp_path: Path) -> None:
    ids = [str(n) for n in range(300)]
    async with opened(tmp_path) as spool:
        await asyncio.gather(*(spool.append([delivered(event_id)]) for event_id in ids))
        assert await taken(spool) == ids


async def test_files_are_for_the_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "spool"
    before = os.umask(0)
    try:
        await left_by_another(folder, "a")
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_folder_where_everybody_may_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(SpoolUnusable, match=f"everybody may write to {tmp_path}"):
        Spool.open(tmp_path)


async def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SpoolUnusable, match=rf"cannot keep a spool in {file}/spool: File exists \({file}\)"):
        Spool.open(file / "spool")


async def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    script = f"from events import Spool; from pathlib import Path; Spool.open(Path({str(tmp_path)!r}))"
    async with opened(tmp_path):
        other = python(script)
    assert f"another process keeps its spool in {tmp_path}" in other.stderr
    assert python(script).returncode == 0


async def test_a_second_close_does_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        await spool.close()


async def test_the_cap_holds_for_all_segments_together_and_is_freed_by_draining(tmp_path: Path) -> None:
    async with opened(tmp_path, max_bytes=2000, segment_bytes=500) as spool:
        kept = 0
        with suppress(SpoolFull):
            while kept < 1000:
                await spool.append([delivered(str(kept))])
                kept += 1
        assert sum(path.stat().st_size for path in files(tmp_path)) == spool.bytes <= 2000
        assert await taken(spool) == [str(n) for n in range(kept)]
        await spool.append([delivered("again")])


async def test_of_deliveries_at_once_those_that_fit_are_kept(tmp_path: Path) -> None:
    async with opened(tmp_path, max_bytes=2000) as spool:
        appends = [spool.append([delivered(str(n))]) for n in range(40)]
        results = await asyncio.gather(*appends, return_exceptions=True)
        kept = [str(n) for n, result in enumerate(results) if result is None]
        assert {type(result) for result in results} == {type(None), SpoolFull}
        assert await taken(spool) == kept


async def test_a_small_delivery_fits_beside_a_large_one_that_does_not(tmp_path: Path) -> None:
    async with opened(tmp_path, max_bytes=2000) as spool:
        large = spool.append([delivered("large", filler="x" * 3000)])
        results = await asyncio.gather(large, spool.append([delivered("small")]), return_exceptions=True)
        assert [type(result) for result in results] == [SpoolFull, type(None)]


async def test_a_delivery_that_the_store_could_never_take_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.spool._MAX_RECORD_BYTES", 100)
    async with opened(tmp_path) as spool:
        with pytest.raises(SpoolFull, match="of this size"):
            await spool.append([delivered("a", filler="x" * 100)])


async def test_room_is_told_by_the_cap_and_by_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as spool:
        assert await spool.has_room()
        monkeypatch.setattr("events.spool._sync_data", fail(errno.EIO))
        assert not await spool.has_room()
    async with opened(tmp_path, max_bytes=1000) as small:
        assert not await small.has_room()
    assert not (tmp_path / "trial").exists()


@pytest.mark.parametrize("cut", ["works", "fails"])
async def test_what_the_disk_did_not_confirm_is_not_kept_and_later_deliveries_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    async with opened(tmp_path) as spool:
        await spool.append([delivered("before")])
        with monkeypatch.context() as broken:
            broken.setattr("events.spool._sync_data", fail(errno.EIO))
            if cut == "fails":
                broken.setattr(os, "ftruncate", fail(errno.EIO))
            with pytest.raises(SpoolUnavailable, match="did not confirm: EIO"):
                await spool.append([delivered("during")])
        await spool.append([delivered("after")])
        # What could not be cut off may be there; the sender was told to come again, so that will be a duplicate.
        assert await taken(spool) == ["before", *(["during"] if cut == "fails" else []), "after"]


async def test_a_first_delivery_that_fails_leaves_no_empty_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as spool:
        with monkeypatch.context() as broken:
            broken.setattr("events.spool._sync_data", fail(errno.ENOSPC))
            with pytest.raises(SpoolUnavailable, match="ENOSPC"):
                await spool.append([delivered("a")])
        assert spool.empty
        with monkeypatch.context() as broken:
            broken.setattr("events.spool._sync_folder", fail(errno.EIO))
            with pytest.raises(SpoolUnavailable, match="EIO"):
                await spool.append([delivered("a")])
        assert spool.empty
    # The second one could not even be undone; the next start does.
    async with opened(tmp_path) as spool:
        assert spool.empty
    assert files(tmp_path) == []


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from events import Spool
from events.errors import SpoolUnavailable
from tests.integration.events.deliveries import delivered

async def fill(spool):
    for n in range(100):
        try:
            await spool.append([delivered(str(n), filler="x" * 300)])
        except SpoolUnavailable as exc:
            print(n, str(exc).split()[-1], await spool.has_room())
            await spool.append([delivered("small")])
            return

resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
asyncio.run(fill(Spool.open(Path(sys.argv[1]))))
"""


async def test_a_write_the_system_cuts_short_is_undone_and_what_was_confirmed_stays(tmp_path: Path) -> None:
    done = python(FULL_DISK, str(tmp_path))
    assert done.returncode == 0, done.stderr
    kept, code, room = done.stdout.split()
    assert (code, room) == ("EFBIG", "True")
    with capture_logs() as logs:
        async with opened(tmp_path) as spool:
            assert await taken(spool) == [*(str(n) for n in range(int(kept))), "small"]
    assert [line["event"] for line in logs] == ["spool_found"]
    assert int(kept) > 10
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 10_000


async def test_a_torn_tail_is_cut_off_once_and_logged(tmp_path: Path) -> None:
    (segment,) = await left_by_another(tmp_path, "a", "b")
    os.truncate(segment, segment.stat().st_size - 1)
    for lines in (["spool_tail_truncated", "spool_found"], ["spool_found"]):
        with capture_logs() as logs:
            async with opened(tmp_path) as spool:
                assert spool.records == 1
                assert spool.bytes == segment.stat().st_size
        assert [line["event"] for line in logs] == lines
    async with opened(tmp_path) as spool:
        assert await taken(spool) == ["a"]


async def test_a_segment_of_nothing_but_a_torn_tail_is_removed(tmp_path: Path) -> None:
    (segment,) = await left_by_another(tmp_path, "a")
    os.truncate(segment, 30)
    async with opened(tmp_path) as spool:
        assert spool.empty
        assert not segment.exists()


async def test_a_damaged_record_is_set_aside_once_and_the_rest_is_kept(tmp_path: Path) -> None:
    (segment,) = await left_by_another(tmp_path, "a", "hidden", "c")
    data = segment.read_bytes()
    segment.write_bytes(data.replace(b"hidden", b"hiddEn"))
    with capture_logs() as logs:
        for _ in range(2):
            async with opened(tmp_path) as spool:
                assert spool.records == 2
        async with opened(tmp_path) as spool:
            assert await taken(spool) == ["a", "c"]
    (aside,) = files(tmp_path, "corrupt")
    assert b"hiddEn" in aside.read_bytes()
    assert aside.stat().st_mode & 0o777 == 0o600
    damaged = [line for line in logs if line["event"] == "spool_record_damaged"]
    assert [line["kept_in"] for line in damaged] == [aside.name]
    assert "hid" not in str(logs)


async def test_damage_that_happens_while_it_waits_is_set_aside_when_it_is_read(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        for event_id in ("a", "hidden", "c"):
            await spool.append([delivered(event_id)])
        (segment,) = files(tmp_path)
        segment.write_bytes(segment.read_bytes().replace(b"hidden", b"hiddEn"))
        assert await taken(spool) == ["a", "c"]
    assert len(files(tmp_path, "corrupt")) == 1


async def test_a_record_whose_contents_nobody_understands_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as spool:
        await spool.append([delivered("a")])
        with monkeypatch.context() as newer:
            newer.setattr("events.spool.pack", lambda events: b"of a later version")
            await spool.append([delivered("b")])
        assert await taken(spool) == ["a"]
    (aside,) = files(tmp_path, "corrupt")
    assert aside.read_bytes().endswith(b"of a later version")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=st.binary(min_size=1, max_size=300), at=st.floats(0, 1), cut=st.integers(0, 40))
async def test_no_damage_crashes_the_start(tmp_path: Path, garbage: bytes, at: float, cut: int) -> None:
    folder = tmp_path / os.urandom(8).hex()
    *_, last = await left_by_another(folder, "a", "b", "c", "d", segment_bytes=300)
    data = bytearray(last.read_bytes())
    start = int(at * len(data))
    data[start : start + len(garbage)] = garbage
    last.write_bytes(data[: len(data) - cut])
    async with opened(folder) as spool:
        ids = await taken(spool)
    assert ids[:2] == ["a", "b"]
    assert set(ids) <= {"a", "b", "c", "d"}


async def test_other_files_and_links_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (segment,) = await left_by_another(tmp_path / "spool", "a")
    elsewhere = tmp_path / "elsewhere"
    segment.rename(elsewhere)
    segment.symlink_to(elsewhere)
    (tmp_path / "spool" / "notes.txt").touch()
    async with opened(tmp_path / "spool") as spool:
        assert spool.empty
    assert elsewhere.exists()
    assert segment.is_symlink()


async def test_a_segment_that_cannot_be_read_holds_up_neither_the_start_nor_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, _ = await left_by_another(tmp_path, "a", "b", segment_bytes=1)
    read_bytes = Path.read_bytes

    def reading(path: Path) -> bytes:
        if path == bad:
            fail(errno.EIO)()
        return read_bytes(path)

    with monkeypatch.context() as broken, capture_logs() as logs:
        broken.setattr(Path, "read_bytes", reading)
        spool = Spool.open(tmp_path)
        with pytest.raises(SpoolUnavailable, match="EIO"):
            await spool.read_oldest()
        assert [[verified.id for verified in events] for events in await spool.read_oldest()] == [["b"]]
        await spool.drop_oldest()
    assert [line["event"] for line in logs] == ["spool_segment_skipped", "spool_found"]
    assert await taken(spool) == ["a"]
    await spool.close()


async def test_a_segment_that_somebody_deleted_is_reported_and_passed_over(tmp_path: Path) -> None:
    first, _ = await left_by_another(tmp_path, "a", "b", segment_bytes=1)
    with capture_logs() as logs:
        async with opened(tmp_path) as spool:
            first.unlink()
            assert await taken(spool) == ["b"]
            assert (spool.records, spool.bytes) == (0, 0)
    assert [line["event"] for line in logs] == ["spool_found", "spool_segment_lost"]


async def test_a_segment_that_cannot_be_deleted_stays_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as spool:
        await spool.append([delivered("a")])
        await spool.read_oldest()
        with monkeypatch.context() as broken:
            broken.setattr("events.spool._sync_folder", fail(errno.EIO))
            with pytest.raises(SpoolUnavailable):
                await spool.drop_oldest()
        assert spool.records == 1
        await spool.drop_oldest()
        assert spool.empty
