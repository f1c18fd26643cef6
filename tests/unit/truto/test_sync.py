"""The blocking client: the same calls without ``await``, from any thread."""

from __future__ import annotations

import ast
import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.unit.truto import sync_stub
from truto import NotFound, SyncJob, TransportError, Truto

TOKEN = "token-of-the-test"
Handler = Callable[[httpx.Request], Any]


def client(handler: Handler, **options: Any) -> Truto:
    return Truto(token=TOKEN, base_url="http://api.test", transport=httpx.MockTransport(handler), **options)


def answer(value: object) -> Handler:
    return lambda _request: httpx.Response(200, json=value)


def two_pages(request: httpx.Request) -> httpx.Response:
    more = "next_cursor" not in request.url.params
    records = [{"id": "1"}, {"id": "2"}] if more else [{"id": "3"}]
    return httpx.Response(200, json={"result": records, "next_cursor": "c" if more else None})


def test_a_call_answers_its_typed_result() -> None:
    with client(answer({"id": "1", "label": "jobs"})) as truto:
        job = truto.sync_jobs.get("1")
    assert type(job) is SyncJob
    assert job.label == "jobs"


def test_an_error_is_raised_as_it_is() -> None:
    with client(lambda _: httpx.Response(404)) as truto, pytest.raises(NotFound):
        truto.sync_jobs.get("1")


def test_a_loop_walks_all_pages() -> None:
    with client(two_pages) as truto:
        jobs = truto.sync_jobs.list()
        assert [job.id for job in jobs] == ["1", "2", "3"]
        assert [[job.id for job in page] for page in jobs.pages()] == [["1", "2"], ["3"]]


def test_a_loop_that_is_left_early_leaves_nothing_behind() -> None:
    with client(two_pages) as truto:
        for job in truto.unified("crm", "contacts").list(integrated_account_id="a"):
            assert job == {"id": "1"}
            break
        assert truto.sync_jobs.list() is not None


def test_bodies_that_come_and_go_in_chunks() -> None:
    seen: list[bytes] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        return httpx.Response(200, content=b"file", headers={"content-type": "image/png"})

    chunks: Iterator[bytes] = iter([b"a", b"b"])
    with client(handle) as truto:
        files = truto.proxy("files")
        with files.download("1", integrated_account_id="a") as file:
            assert file.content_type == "image/png"
            assert b"".join(file) == b"file"
        with files.download("1", integrated_account_id="a") as file:
            assert file.read() == b"file"
        with pytest.raises(Exception, match="not JSON"):
            files.upload(chunks, content_type="image/png", integrated_account_id="a")
    assert seen[-1] == b"ab"


def test_views_share_the_connections_and_close_nothing() -> None:
    keys: list[str | None] = []

    def handle(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers.get("idempotency-key"))
        return httpx.Response(200, json={"id": "1"})

    with client(handle) as truto:
        with truto.keyed("k") as view:
            view.sync_jobs.create(label="x")
            view.close()
        truto.within(5).sync_jobs.create(label="y")
    assert keys == ["k:1", None]


def test_threads_share_a_client() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"id": request.url.path.rpartition("/")[2]})

    with client(handle) as truto, ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda number: truto.sync_jobs.get(str(number)).id, range(50))
        assert list(found) == [str(number) for number in range(50)]


def test_a_closed_client_says_so_and_its_thread_is_gone() -> None:
    truto = client(answer({"id": "1"}))
    assert "truto" in {thread.name for thread in threading.enumerate()}
    truto.close()
    truto.close()
    assert "truto" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(RuntimeError, match="closed"):
        truto.sync_jobs.get("1")


def test_closing_ends_the_calls_of_other_threads() -> None:
    begun = threading.Event()

    async def handle(_request: httpx.Request) -> httpx.Response:
        begun.set()
        await asyncio.sleep(60)
        return httpx.Response(200)

    truto = client(handle)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(truto.sync_jobs.get, "1")
        begun.wait()
        truto.close()
        with pytest.raises(TransportError, match="closed during"):
            call.result()


def test_a_loop_outlives_its_client_without_harm() -> None:
    truto = client(two_pages)
    records = iter(truto.sync_jobs.list())
    next(records)
    truto.close()
    del records


def test_waiting_inside_its_own_loop_is_refused() -> None:
    async def admit(_account: str | None) -> None:
        truto.sync_jobs.get("1")

    with client(answer({"id": "1"}), admit=admit) as truto, pytest.raises(RuntimeError, match="wait for itself"):
        truto.sync_jobs.get("1")


def test_wrong_options_start_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match="token"):
        Truto(token="")
    assert threading.active_count() == before


def test_the_token_shows_nowhere_and_private_parts_stay_private() -> None:
    with client(answer({})) as truto:
        assert repr(truto) == "Truto(base_url='http://api.test')"
        assert TOKEN not in repr(truto.webhooks) + repr(truto.keyed("k"))
        assert "webhooks" in dir(truto)
        with pytest.raises(AttributeError):
            truto._token  # type: ignore[attr-defined] # noqa: B018, SLF001 - that it is not there is the point


def test_the_types_are_those_of_the_asyncio_client() -> None:
    """Otherwise run ``python -m tests.unit.truto.sync_stub``."""
    written = ast.parse(sync_stub.STUB.read_text())
    made = ast.parse(sync_stub.stub())
    assert _members(written) == _members(made)


def _members(tree: ast.Module) -> dict[str, list[str]]:
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {
        node.name: ["".join(ast.unparse(member).split()) for member in node.body if not isinstance(member, ast.Expr)]
        for node in classes
    }
