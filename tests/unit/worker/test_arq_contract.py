"""What worker/engine.py relies on inside arq. A new arq has to pass here before the pin may move."""

from __future__ import annotations

import ast
import asyncio
import inspect
import signal
import textwrap
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from arq.worker import Function, Worker, func

SIGNATURES = {
    "main": "(self) -> None",
    "async_run": "(self) -> None",
    "_poll_iteration": "(self) -> None",
    "handle_sig": "(self, signum: signal.Signals) -> None",
    "handle_sig_wait_for_completion": "(self, signum: signal.Signals) -> None",
    "_wait_for_tasks_to_complete": "(self, signum: signal.Signals) -> None",
    "_sleep_until_tasks_complete": "(self) -> None",
    "close": "(self) -> None",
}
COROUTINES = {"main", "async_run", "_poll_iteration", "_wait_for_tasks_to_complete", "close"}
OPTIONS = {"max_jobs", "job_completion_wait", "handle_signals"}


async def nothing(ctx: dict[Any, Any]) -> None:
    pass


@pytest.fixture
async def worker() -> Worker:
    return Worker([func(nothing, name="nothing")], max_jobs=7, job_completion_wait=3, handle_signals=False)


def attributes_used(function: Any) -> set[str]:
    """The ``self.<name>`` that a function mentions."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    }


def test_the_installed_arq_is_the_pinned_one() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert version("arq") == "0.28.0"
    assert "arq==0.28.0" in project["project"]["dependencies"]


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_method_has_the_signature_we_override_or_call(name: str) -> None:
    method = getattr(Worker, name)
    assert str(inspect.signature(method)).replace("'", "") == SIGNATURES[name]


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_method_is_a_coroutine_function_or_not_as_we_assume(name: str) -> None:
    assert inspect.iscoroutinefunction(getattr(Worker, name)) == (name in COROUTINES | {"_sleep_until_tasks_complete"})


def test_the_constructor_takes_the_options_we_pass() -> None:
    assert set(inspect.signature(Worker).parameters) >= OPTIONS


async def test_the_constructor_sets_the_attributes_we_read(worker: Worker) -> None:
    assert worker.max_jobs == 7
    assert worker._job_completion_wait == 3  # noqa: SLF001 the name that the engine relies on
    assert worker.tasks == {}
    assert worker.ctx == {}
    assert worker.allow_pick_jobs is True
    assert worker.main_task is None
    assert worker.loop is asyncio.get_running_loop()
    assert (worker.jobs_complete, worker.jobs_failed, worker.jobs_retried) == (0, 0, 0)


async def test_functions_are_kept_by_name_with_their_coroutine(worker: Worker) -> None:
    function = worker.functions["nothing"]
    assert isinstance(function, Function)
    assert function.coroutine is nothing


def test_running_keeps_the_main_task_that_signals_cancel() -> None:
    assert {"main_task", "main", "loop"} <= attributes_used(Worker.async_run)


def test_draining_stops_picking_and_waits_for_tasks() -> None:
    assert {"allow_pick_jobs", "_wait_for_tasks_to_complete"} <= attributes_used(Worker.handle_sig_wait_for_completion)
    assert "tasks" in attributes_used(Worker._sleep_until_tasks_complete)  # noqa: SLF001 the engine relies on it


@pytest.mark.parametrize("name", ["handle_sig", "_wait_for_tasks_to_complete"])
def test_stopping_cancels_tasks_and_the_main_task(name: str) -> None:
    assert {"tasks", "main_task", "on_stop"} <= attributes_used(getattr(Worker, name))


def test_a_wait_for_completion_makes_signals_drain() -> None:
    source = inspect.getsource(Worker.__init__)
    assert "if self._job_completion_wait:" in source
    assert "self._add_signal_handler(signal.SIGTERM, self.handle_sig_wait_for_completion)" in source
    assert "self._add_signal_handler(signal.SIGINT, self.handle_sig_wait_for_completion)" in source


async def test_draining_waits_for_a_task_then_cancels_the_main_task(worker: Worker) -> None:
    worker.main_task = asyncio.create_task(asyncio.sleep(60))
    work = asyncio.create_task(asyncio.sleep(0.01))
    worker.tasks["one"] = work
    work.add_done_callback(lambda _: worker.tasks.pop("one"))
    worker.handle_sig_wait_for_completion(signal.SIGTERM)
    assert worker.allow_pick_jobs is False
    await asyncio.wait([worker.main_task], timeout=2)
    assert worker.main_task.cancelled()
    assert not work.cancelled()
