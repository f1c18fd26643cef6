"""Workflows in worker processes as they are deployed, killed while a step runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from events import Store
from events.embedded import EmbeddedRedis
from tests.integration.worker.processes import Team
from tests.integration.worker.workflow_shop import results, run_ends
from tests.integration.worker.workshop import delivered, eventually, is_empty

ACTIONS = """
from workflows import action


@action("say")
async def speak(config, step):
    say(config["word"])
    return config["word"]


@action("kill")
async def kill(config, step):
    say("kill")
    if not (HERE / config["once"]).exists():
        (HERE / config["once"]).touch()
        os.kill(os.getpid(), 9)
    return "lived"
"""

WORKFLOW = """
trigger_name: order:paid
config:
  run_if: payload.n = 1
  steps:
    - {action: say, config: {word: a}}
    - {action: kill, config: {once: first}}
    - {action: say, config: '{"word": "b" & payload.n}'}
    - {action: say, config: {word: c}}
"""


@pytest.fixture
def team(tmp_path: Path, redis_server: EmbeddedRedis) -> Team:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "flow.yaml").write_text(WORKFLOW)
    return Team(tmp_path, redis_server.url, ACTIONS)


async def test_a_worker_that_is_killed_in_a_step_repeats_none_that_is_done(store: Store, team: Team) -> None:
    event = delivered(data={"n": 1})
    await store.accept([event])
    with team.worker() as process:
        await eventually(lambda: process.poll() is not None, seconds=20)
        assert process.returncode == -9
    with team.worker():
        run = await run_ends(store, event, "completed", seconds=20)
        await eventually(lambda: is_empty(store))  # the run ends before the work that carried it
    assert team.said() == ["a", "kill", "kill", "b1", "c"]
    assert results(run) == ["a", "lived", "b1", "c"]


async def test_a_worker_does_not_start_with_workflows_that_have_faults(
    store: Store, team: Team, tmp_path: Path
) -> None:
    (tmp_path / "workflows" / "flow.yaml").write_text(WORKFLOW.replace("action: say", "action: sing"))
    (tmp_path / "workflows" / "other.json").write_text('{"trigger_name": "a", "config": {"run_if": "("}}')
    with team.worker() as process:
        await eventually(lambda: process.poll() is not None, seconds=20)
        assert process.returncode == 2
    told = (tmp_path / "worker.log").read_text()
    assert "workflows/flow.yaml: config.steps.0.action: 'sing' is not an action" in told
    assert "workflows/other.json: config.run_if: is not valid JSONata" in told
