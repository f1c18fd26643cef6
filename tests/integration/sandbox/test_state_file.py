"""What outlives the process, and files that cannot be used."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import pytest

from sandbox import SandboxConfig, StateFileError, create_app
from sandbox.state import State
from sandbox.statefile import StateFile, dump, restore
from tests.integration.sandbox.conftest import SECRET, Receiver, eventually, open_sandbox
from truto.samples import ACCOUNT_ID, SYNC_JOB_ID

MINE = {"integrated_account_id": ACCOUNT_ID}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


async def test_everything_but_the_logs_survives_a_restart(path: Path) -> None:
    async with open_sandbox(state_file=path) as api:
        await api.post("/unified/crm/contacts", params=MINE, json={"first_name": "Jane"})
        await api.delete("/proxy/users/5", params=MINE)
        gate = (await api.post("/static-gate", json={"name": "g"})).json()
        hook = (await api.post("/webhook", json={"target_url": "http://127.0.0.1:9/x"})).json()
        link = (await api.post("/link-token", json={"tenant_id": "late"})).json()["link_token"]
        token = (await api.post("/integrated-account/token", json=MINE)).json()["integrated_account_token"]
        url = (await api.post("/file", files={"file": ("a.bin", b"\x00\xff")})).json()["url"]
        await api.put("/sandbox/faults", json={"latency_seconds": 0.001})
    async with open_sandbox(state_file=path) as api:
        assert (await api.get("/unified/crm/contacts/26", params=MINE)).json()["first_name"] == "Jane"
        assert (await api.post("/proxy/users", params=MINE, json={"name": "new"})).json()["id"] == "6"
        assert (await api.get("/static-gate")).json()["result"][0]["id"] == gate["id"]
        assert (await api.get(f"/webhook/{hook['id']}")).json()["target_url"] == hook["target_url"]
        assert (await api.post("/sandbox/connect", json={"link_token": link})).json()["tenant_id"] == "late"
        assert (await api.get(url)).content == b"\x00\xff"
        assert (await api.get("/sandbox/faults")).json()["latency_seconds"] == 0.001
        assert (await api.get("/sandbox/calls")).json()["result"][0]["path"] == "/unified/crm/contacts/26"
        headers = {"Authorization": f"Bearer {token}"}
        assert (await api.get("/integrated-account/me", headers=headers)).json()["id"] == ACCOUNT_ID


async def test_what_was_under_way_goes_on(path: Path, receiver: Receiver) -> None:
    body = {"sync_job_id": SYNC_JOB_ID, **MINE}
    async with open_sandbox(state_file=path, step_seconds=60) as api:
        account = (await api.post("/sandbox/connect", json={"tenant_id": "t"})).json()
        waiting = (await api.post("/sync-job-run", json=body)).json()
        halfway = (await api.post("/sync-job-run", json=body)).json()
        await api.patch(f"/sync-job-run/{halfway['id']}", json={"status": "running"})
    async with open_sandbox(state_file=path, webhook_url=None) as api:
        await api.post("/webhook", json={"target_url": receiver.url})
        await eventually(lambda: bool(receiver.of("integrated_account:active")))
        await eventually(lambda: bool(receiver.of("sync_job_run:completed")))
        assert receiver.of("integrated_account:active")[0]["payload"]["id"] == account["id"]
        assert receiver.of("sync_job_run:completed")[0]["payload"]["id"] == waiting["id"]
        assert (await api.get(f"/sync-job-run/{halfway['id']}")).json()["status"] == "failed"


async def test_it_is_written_while_the_sandbox_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.statefile._EVERY_SECONDS", 0.005)
    async with open_sandbox(state_file=path) as api:
        await eventually(path.exists)
        await api.post("/sync-job", json={"label": "brand new"})
        await eventually(lambda: b"brand new" in path.read_bytes())


def test_only_its_owner_can_read_it_and_nothing_is_left_beside_it(path: Path) -> None:
    state = State.seeded(SandboxConfig())
    file = StateFile(path)
    file.save(state)
    written = path.stat()
    assert written.st_mode & 0o777 == 0o600
    file.save(state)
    assert path.stat().st_mtime_ns == written.st_mtime_ns
    assert [each.name for each in path.parent.iterdir()] == ["state"]


def test_what_is_restored_is_what_was_saved() -> None:
    state, other = State.seeded(SandboxConfig()), State()
    restore(other, dump(state))
    assert dump(other) == dump(state)
    (install,) = other.installs.rows()
    assert install["integration"] is other.platform["/integration"].get(install["integration_id"])


def test_a_table_of_another_version_is_passed_over() -> None:
    dumped = dump(State.seeded(SandboxConfig()))
    dumped["tables"]["dragons"] = {"rows": [], "next": 1}
    restore(State(), dumped)


GOOD = hashlib.sha256(b"{}").hexdigest()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not a state of the sandbox"),
        (b"\xff\xfe\n{}", "is not a state of the sandbox"),
        (b'{"accounts": []}', "is not a state of the sandbox"),
        (b"truto-sandbox-state 2 %s\n{}" % GOOD.encode(), "has format 2"),
        (b"truto-sandbox-state 1 %s\n{" % GOOD.encode(), "is damaged"),
    ],
    ids=["empty", "binary", "json", "newer", "cut"],
)
def test_a_file_that_cannot_be_used_is_refused_and_left_alone(path: Path, content: bytes, why: str) -> None:
    path.write_bytes(content)
    with pytest.raises(StateFileError, match=why) as caught:
        create_app(SandboxConfig(state_file=path))
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def test_a_place_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateFileError, match="cannot be read"):
        StateFile(tmp_path).load(State())
    with pytest.raises(StateFileError, match="cannot be written"):
        StateFile(tmp_path / "no" / "such" / "folder").save(State())


def test_a_sandbox_that_could_not_save_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(StateFileError, match="cannot be written: No such file"):
        create_app(SandboxConfig(state_file=tmp_path / "no" / "folder"))


def test_trouble_with_the_disk_is_told_once_and_mended_by_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state, folder = State.seeded(SandboxConfig()), tmp_path / "later"
    file = StateFile(folder / "state")
    for _ in range(2):
        file.try_to_save(state)
    (told,) = caplog.records
    assert "cannot be written" in told.getMessage()
    assert told.exc_info is None
    folder.mkdir()
    file.try_to_save(state)
    assert (folder / "state").exists()


async def test_a_configured_webhook_is_there_in_a_restored_state(path: Path, receiver: Receiver) -> None:
    async with open_sandbox(state_file=path):
        pass
    async with open_sandbox(state_file=path, webhook_url=receiver.url, webhook_secret=SECRET) as api:
        await touch(api)
        await eventually(lambda: bool(receiver.events))
        receiver.check_signatures()


async def touch(api: httpx.AsyncClient) -> None:
    assert (await api.patch(f"/integrated-account/{ACCOUNT_ID}", json={"context": {}})).status_code == 200
