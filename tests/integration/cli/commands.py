"""Run commands in this process, on a store that a test has filled."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from cli.main import main
from events import Store

Result = TypeVar("Result")


@dataclass(frozen=True)
class Printed:
    """What a command left: its exit code, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Commands:
    """``truto-worker`` on the store at ``url``."""

    url: str
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Printed:
        self.monkeypatch.setattr(sys, "argv", ["truto-worker", *arguments])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = self.capsys.readouterr()
        return Printed(int(caught.value.code or 0), out, err)

    def on_store(self, work: Callable[[Store], Awaitable[Result]]) -> Result:
        """Do *work* on the same store, in a loop of its own as commands have."""

        async def run() -> Result:
            store = Store.connect(self.url)
            try:
                return await work(store)
            finally:
                await store.close()

        return asyncio.run(run())
