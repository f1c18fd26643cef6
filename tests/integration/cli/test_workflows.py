"""``truto-worker workflows``: files here, rows in the sandbox, runs in the store."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from events import Store
from tests.integration.cli.commands import Commands
from tests.integration.worker.workflow_shop import Shop, flow, run_ends, say
from tests.integration.worker.workshop import delivered, working
from tests.servers import free_port
from truto.documents import read_document
from worker.registry import Registry

JOB = "51b79ace-a7b4-4077-93ba-8048a06ece2b"
PLAIN: dict[str, Any] = {
    "trigger_name": "integrated_account:connected",
    "config": {
        "run_if": "integration.name = 'calcom'",
        "steps": [{"type": "run", "action": "run_sync_job", "config": f'{{"sync_job_id": "{JOB}"}}'}],
    },
}
OURS = {
    "trigger_name": "order:paid",
    "config": {"steps": [{"type": "run", "action": "sleep", "config": {"seconds": 1}}]},
}


@pytest.fixture
def workflows(tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one workflow, where commands look for them; no handlers beside it."""
    folder = tmp_path / "workflows"
    folder.mkdir()
    (folder / "first.json").write_text(json.dumps(PLAIN))
    return folder


def test_check_tells_what_each_is_and_where_it_can_run(commands: Commands, workflows: Path) -> None:
    (workflows / "second.yaml").write_text(json.dumps(OURS))
    printed = commands("workflows", "check")
    assert printed.code == 0
    assert "2 workflows, no faults" in printed.out
    assert "first" in printed.out
    assert "(here and in Truto)" in printed.out
    assert "second" in printed.out
    assert "(here only)" in printed.out
    assert "here it also runs on integrated_account:active" in printed.out
    rows = commands("workflows", "check", "--json").json["workflows"]
    assert [row["name"] for row in rows] == ["first", "second"]
    assert rows[1]["only_here"]


def test_check_names_every_fault_with_its_file_and_place(commands: Commands, workflows: Path) -> None:
    (workflows / "a.yaml").write_text("trigger_name: a\nconfig: {actions: []}")
    (workflows / "b.yaml").write_text("trigger_name: a\ntrigger_name: b")
    (workflows / "c.json").write_text(
        json.dumps(flow({"action": "sing"}, {"action": "sleep", "config": {"seconds": -1}}))
    )
    (workflows / "d.json").write_text(json.dumps(flow({"action": "wait_for_event", "config": "{}"})))
    (workflows / "e.json").write_text(json.dumps(flow({"action": "notify_operators", "config": {}})))
    (workflows / "first.yaml").write_text(json.dumps(PLAIN))
    (workflows / "g h.yaml").write_text(json.dumps(PLAIN))
    (workflows / "i.json").write_bytes(b"\xff")
    wait = {"event": "a", "match": "("}
    (workflows / "j.json").write_text(json.dumps(flow({"action": "wait_for_event", "config": wait, "timeout": 1})))
    (workflows / "k.json").write_text(json.dumps(flow({"action": "wait_for_event", "config": wait})))
    printed = commands("workflows", "check")
    assert printed.code == 2
    for fault in (
        "a.yaml: config.actions: ",
        "b.yaml: line 1: the key 'trigger_name' is there twice",
        "c.json: config.steps.0.action: 'sing' is not an action",
        "d.json: config.steps.0.config: must be an object whose `event`",
        "e.json: config.steps.0.config.title: is missing",
        "first.yaml: first.json has the same name",
        "g h.yaml: the file's name has",
        "i.json: is not UTF-8",
        "j.json: config.steps.0.config: timeout and retry",
        "k.json: config.steps.0.config.match: is not valid JSONata",
    ):
        assert fault in printed.err
    assert commands("workflows", "check", "nowhere").code == 2


def test_a_dry_run_tells_what_would_be_called(commands: Commands, workflows: Path) -> None:
    printed = commands("workflows", "test", "workflows/first.json")
    assert printed.code == 0
    assert "would be completed (nothing was called)" in printed.out
    assert 'integration.name = "calcom"' in printed.out
    assert JOB in printed.out


def test_a_dry_run_tells_why_not(commands: Commands, workflows: Path, tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text(
        json.dumps({"event": "integrated_account:active", "payload": {"integration": {"name": "zendesk"}}})
    )
    printed = commands("workflows", "test", "workflows/first.json", "--event", str(event))
    assert printed.code == 0
    assert "would be skipped" in printed.out
    assert 'why not: it gave false; integration.name is "zendesk"' in printed.out


def test_a_dry_run_that_would_fail_exits_with_1(commands: Commands, workflows: Path, tmp_path: Path) -> None:
    miss = '{"sync_job_id": $mapValues(integration.name, {})}'
    step = {"action": "run_sync_job", "config": miss, "cron_expression": "0 * * * *"}
    (workflows / "miss.json").write_text(json.dumps(flow(step, trigger="integrated_account:*")))
    assert commands("workflows", "test", "workflows/miss.json").code == 2  # which event?
    printed = commands("workflows", "test", "workflows/miss.json", "--type", "integrated_account:active", "--json")
    assert printed.code == 1
    assert printed.json["status"] == "failed"
    assert "must be a UUID, not 'calcom'" in printed.json["error"]
    (workflows / "wrong.json").write_text(json.dumps(flow(run_if="payload + 1")))
    printed = commands("workflows", "test", "workflows/wrong.json")
    assert printed.code == 1
    assert "config.run_if" in printed.out


def test_a_dry_run_takes_results_of_earlier_steps(commands: Commands, workflows: Path, tmp_path: Path) -> None:
    steps: list[dict[str, Any]] = [
        {"action": "sleep", "config": {"seconds": 1}},
        {"action": "notify_tenant", "config": '{"kind": $previous.kind}'},
        {"action": "sleep", "config": {"seconds": 1}, "run_if": "false"},
    ]
    (workflows / "follow.json").write_text(json.dumps(flow(*steps)))
    results = tmp_path / "results.json"
    results.write_text('[{"kind": "told"}]')
    told = commands("workflows", "test", "workflows/follow.json", "--results", str(results), "--json").json
    assert told["steps"][1]["config"] == {"kind": "told"}
    assert told["steps"][2]["skipped"] is True
    results.write_text("{}")
    assert commands("workflows", "test", "workflows/follow.json", "--results", str(results)).code == 2
    results.write_text("[")
    assert commands("workflows", "test", "workflows/follow.json", "--event", str(results)).code == 2
    assert commands("workflows", "test", "workflows/follow.json", "--event", "nowhere.json").code == 2


def test_a_push_creates_then_finds_its_row_again(commands: Commands, workflows: Path, truto: str) -> None:
    assert commands("workflows", "diff").code == 1
    assert commands("workflows", "push", "--dry-run", "--json").json["workflows"][0]["action"] == "create"
    made = commands("workflows", "push", "--json").json["workflows"][0]
    assert made["action"] == "create"
    assert commands("workflows", "push", "--json").json["workflows"][0] == {**made, "action": "unchanged"}
    changed = {**PLAIN, "config": {**PLAIN["config"], "run_if": "true"}}
    (workflows / "first.json").write_text(json.dumps(changed))
    printed = commands("workflows", "diff")
    assert printed.code == 1
    assert "+  run_if: 'true'" in printed.out
    pushed = commands("workflows", "push")
    assert pushed.code == 0
    assert "update" in pushed.out
    assert made["id"] in pushed.out
    assert "Put the id into a file that has none" in pushed.out
    assert commands("workflows", "diff").code == 0


def test_a_push_refuses_what_truto_cannot_run_and_sends_nothing(
    commands: Commands, workflows: Path, truto: str
) -> None:
    (workflows / "ours.json").write_text(json.dumps(OURS))
    printed = commands("workflows", "push")
    assert printed.code == 2
    assert "ours.json: config.steps.0.action: Truto knows run_sync_job only" in printed.err
    assert "ours.json: trigger_name: Truto starts workflows on integrated_account:active only" in printed.err
    assert commands("workflows", "diff", "workflows/first.json", "--json").json["workflows"][0]["action"] == "create"


def test_a_pull_writes_files_and_leaves_alone_what_differs(commands: Commands, workflows: Path, truto: str) -> None:
    (workflows / "first.json").write_text(json.dumps({**PLAIN, "label": "First sync!"}))
    made = commands("workflows", "push", "--json").json["workflows"][0]
    (pulled,) = commands("workflows", "pull", "fresh", "--json").json
    assert pulled == {"action": "written", "file": "fresh/first-sync.yaml"}
    document = read_document(Path("fresh/first-sync.yaml").read_text())
    assert (document["id"], document["label"]) == (made["id"], "First sync!")
    assert commands("workflows", "pull", "fresh", "--json").json[0]["action"] == "unchanged"
    Path("fresh/first-sync.yaml").write_text(json.dumps({**PLAIN, "id": made["id"], "config": {}}))
    kept = commands("workflows", "pull", "fresh")
    assert kept.code == 1
    assert "overwrite with --force" in kept.out
    assert commands("workflows", "pull", "fresh", "--force", "--json").json[0]["action"] == "written"
    assert commands("workflows", "diff", "fresh").code == 0
    assert "only in Truto" not in commands("workflows", "diff", "fresh").out


def test_a_file_with_an_id_is_that_row(commands: Commands, workflows: Path, truto: str) -> None:
    named = {**PLAIN, "id": "4a4de828-f4c9-4bea-8ef4-2d705aec43bc"}
    (workflows / "first.json").write_text(json.dumps(named))
    assert commands("workflows", "push", "--json").json["workflows"][0]["id"] == named["id"]
    (workflows / "first.json").unlink()
    (workflows / "other.json").write_text(json.dumps({**PLAIN, "label": "Other"}))
    printed = commands("workflows", "diff", "--json").json
    assert printed["workflows"][0]["action"] == "unchanged"
    assert printed["only_in_truto"] == []


def test_without_truto_the_exit_code_is_1(commands: Commands, workflows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert commands("workflows", "push").code == 2
    monkeypatch.setenv("TRUTO_API_TOKEN", "t")
    monkeypatch.setenv("TRUTO_API_URL", f"http://127.0.0.1:{free_port()}")
    printed = commands("workflows", "diff")
    assert printed.code == 1
    assert "Truto did not do it" in printed.err


class _Refusing(BaseHTTPRequestHandler):
    """A Truto without workflows, which takes none."""

    details: Any = None

    def do_GET(self) -> None:
        self._answer(200, {"result": [], "next_cursor": None})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(400, {"statusCode": 400, "error": "Bad Request", "message": "No", "details": self.details})

    def _answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    ("details", "told"),
    [
        ({"failures": [{"path": "config.steps.0", "message": "is odd"}]}, "  - config.steps.0: is odd"),
        ({"failures": ["one", {"code": 7}]}, '  - one\n  - {"code": 7}'),
        ("only text", "  - only text"),
        ({"failures": [{"path": "a", "message": "\x1b[31mred\nline"}]}, "  - a: "),
    ],
    ids=["failures", "odd-failures", "text", "control-characters"],
)
def test_a_refused_push_tells_the_details(
    commands: Commands, workflows: Path, monkeypatch: pytest.MonkeyPatch, details: Any, told: str
) -> None:
    server = HTTPServer(("127.0.0.1", 0), type("Refusing", (_Refusing,), {"details": details}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        monkeypatch.setenv("TRUTO_API_TOKEN", "t")
        monkeypatch.setenv("TRUTO_API_URL", f"http://127.0.0.1:{server.server_port}")
        printed = commands("workflows", "push")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert printed.code == 1
    assert "Truto did not do it: POST /workflow: 400 No" in printed.err
    assert told in printed.err
    assert "\x1b" not in printed.err


def test_runs_are_listed_and_one_is_shown_with_its_trace(commands: Commands) -> None:
    async def work(store: Store) -> list[str]:
        registry = Registry()
        shop = Shop(registry)
        shop.register(
            flow(say("a"), {"action": "give_up"}),
            skipped=flow(run_if="payload.n = 8"),
            napping=flow(say("b"), {"action": "sleep", "config": {"seconds": 600}}),
        )
        event = delivered(data={"n": 7})
        async with working(store, registry):
            await store.accept([event])
            found = [
                await run_ends(store, event, "failed"),
                await run_ends(store, event, "skipped", "skipped"),
                await run_ends(store, event, "running", "napping"),
            ]
        await shop.services.aclose()
        return [run.id for run in found]

    failed, skipped, napping = commands.on_store(work)
    listed = commands("workflows", "runs")
    assert listed.code == 0
    assert "it is of no use" in listed.out
    assert len(commands("workflows", "runs", "--json").json) == 3
    assert [run["id"] for run in commands("workflows", "runs", "--status", "skipped", "--json").json] == [skipped]
    assert [run["id"] for run in commands("workflows", "runs", "--workflow", "flow", "--json").json] == [failed]
    assert commands("workflows", "runs", "--workflow", "nothing").out == "no runs\n"
    assert commands("workflows", "runs", "--status", "lost").code == 2
    shown = commands("workflows", "show", failed)
    assert shown.code == 0
    assert "step 0 say: done" in shown.out
    assert "step 1 give_up: failed" in shown.out
    assert "error: it is of no use" in shown.out
    told = commands("workflows", "show", skipped, "--json").json
    assert told["trace"][0]["why"] == "it gave false; payload.n is 7"
    waiting = commands("workflows", "show", napping)
    assert "due " in waiting.out
    assert "step 0 say: done" in waiting.out
    assert commands("workflows", "show", "nope").code == 1
