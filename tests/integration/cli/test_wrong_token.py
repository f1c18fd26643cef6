"""A worker whose token Truto does not accept."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from events import Store
from events.embedded import EmbeddedRedis
from sandbox import SandboxConfig, create_app
from tests.integration.worker.workshop import delivered
from tests.servers import serve


def start(redis_url: str, api_url: str, folder: Path, token: str) -> subprocess.Popen[str]:
    environment = {"REDIS_URL": redis_url, "TRUTO_API_URL": api_url, "TRUTO_API_TOKEN": token, "STORE_CHECK": "off"}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "truto_worker", "worker"],
        cwd=folder,
        env={"PATH": "", **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_a_token_that_truto_refuses_ends_the_worker_with_code_2_and_costs_no_event_an_attempt(
    redis_server: EmbeddedRedis, store: Store, tmp_path: Path
) -> None:
    event = delivered("integrated_account:active")
    await store.accept([event])
    async with serve(create_app(SandboxConfig(token="the-right-one"))) as api_url:
        worker = start(redis_server.url, api_url, tmp_path, "a-wrong-one")
        _, said = await _communicate(worker)
    assert worker.returncode == 2
    assert "TRUTO_API_TOKEN: Truto does not accept it (401)" in said
    assert '"event":"api_token_refused"' in said
    assert "a-wrong-one" not in said
    view = await store.inspection.overview()
    assert (view.ready + view.waiting, view.dead) == (1, 0)


async def _communicate(worker: subprocess.Popen[str]) -> tuple[str, str]:
    return await asyncio.to_thread(worker.communicate, None, 60)
