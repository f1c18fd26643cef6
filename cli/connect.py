"""``truto-worker connect``: one webhook in Truto that leads here, proven by an event that was handled."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator

from cli.connecting import Connector, Wish
from cli.dev_folder import FOLDER
from cli.errors import CheckFailedError, CliError
from cli.handling import read_handling
from cli.opening import has_store, store_urls, with_sources_store
from cli.printing import print_json, printable
from cli.processes import Processes, end_in_order, port_is_free
from cli.settings import STORED, WorkerSettings, read_settings
from cli.steps import Steps
from cli.subscription import target_of
from events import ConfigError, Store
from events.embedded import EmbeddedRedis
from events.errors import RedisNotStarted
from truto import AsyncTruto, TrutoError

_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
_DEFAULT_PORT = 8000
_NEXT = "Connected. Look at everything else: truto-worker doctor"
_NEXT_HERE = (
    "Connected, and what ran here ends now. For good, set REDIS_URL and run `truto-worker ingress` and "
    "`truto-worker worker`; then `connect` once more, and `doctor`."
)


class ConnectSettings(WorkerSettings):
    """What ``connect`` and ``doctor`` read: what workers do, and what they have to know of the ingress."""

    truto_webhook_secret: SecretStr | None = None
    public_url: str | None = None

    @field_validator("public_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None:
            target_of(value)
        return value

    @property
    def webhook_secrets(self) -> list[str]:
        """The secrets of the environment, newest first, without ``stored``."""
        text = self.truto_webhook_secret.get_secret_value() if self.truto_webhook_secret else ""
        return [part for one in text.split(",") if (part := one.strip()) and part != STORED]


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    url: str | None
    write: Path | None
    show: bool
    new_secret: bool
    as_json: bool


def run_connect(options: Options) -> int:
    """Connect; 0 when Truto's test event was handled, 1 with one sentence that names what is to be put right.

    Raises ``ConfigError`` for settings, handlers and workflows that cannot be used.
    """
    end_in_order()
    steps = Steps(quiet=options.as_json)
    try:
        with _served_here(steps) if not has_store() else _as_it_is():
            return with_sources_store(lambda store: _connect(store, options, steps))
    except (CliError, RedisNotStarted, TrutoError) as exc:
        return _failed(steps, str(exc), as_json=options.as_json)
    except KeyboardInterrupt:
        return _failed(steps, "interrupted: run it again, it goes on from what is there", as_json=options.as_json)


async def _connect(store: Store, options: Options, steps: Steps) -> int:
    urls = store_urls()
    settings = read_settings(ConnectSettings, redis_url=" ".join(urls))
    handling = read_handling(settings.handlers, settings.workflows_dir)
    if handling.faults:
        raise ConfigError("\n".join(handling.faults))
    wanted = handling.wanted(settings.truto_sources)
    if wanted is not None and not wanted:
        raise ConfigError("HANDLERS: no handler or workflow takes an event of Truto's: write one first")
    token = settings.truto_api_token.get_secret_value()
    target = _target(options.url or settings.public_url, settings.truto_api_url)
    wish = Wish(target, wanted, options.write, options.show, options.new_secret)
    async with AsyncExitStack() as opened:
        truto = AsyncTruto(token=token, base_url=settings.truto_api_url, deadline_seconds=15)
        opened.push_async_callback(truto.aclose)
        stores = [store, *map(Store.connect, urls[1:])]
        for other in stores[1:]:
            opened.push_async_callback(other.close)
        connector = Connector(truto, stores, token, settings.webhook_secrets, wish, steps)
        try:
            await connector.run()
        except (CheckFailedError, TrutoError) as exc:
            return _failed(steps, printable(exc, 600), as_json=options.as_json)
    if options.as_json:
        print_json({"ok": True, **steps.told, "steps": steps.rows})
    else:
        print(_NEXT_HERE if steps.told.get("served_here") else _NEXT)
    return 0


def _failed(steps: Steps, sentence: str, *, as_json: bool) -> int:
    if as_json:
        print_json({"ok": False, "fault": sentence, **steps.told, "steps": steps.rows})
    else:
        sys.stdout.flush()
        print(f"Not connected: {sentence}", file=sys.stderr)
    return 1


def _target(url: str | None, api_url: str) -> str:
    if not url:
        raise ConfigError("--url: name the public address of the ingress, such as https://you.example")
    try:
        target = target_of(url)
    except ValueError as exc:
        raise ConfigError(f"--url: {exc}") from None
    if urlsplit(target).scheme == "http" and urlsplit(api_url).hostname not in _LOCAL:
        raise ConfigError("--url: Truto delivers to https addresses alone")
    return target


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@contextmanager
def _served_here(steps: Steps) -> Iterator[None]:
    """Redis, an ingress and a worker in this folder, for the time of the block: nothing says where others are."""
    port = int(os.environ.get("PORT") or _DEFAULT_PORT)
    if not port_is_free(port):
        raise CheckFailedError(
            f"REDIS_URL is not set, and port {port} is taken by another process",
            "set REDIS_URL to the Redis of your ingress, or PORT to a free one for an ingress that is started here",
        )
    FOLDER.mkdir(exist_ok=True)
    started = time.perf_counter()
    with ExitStack() as stack:
        redis = stack.enter_context(EmbeddedRedis(FOLDER / "redis"))
        processes = stack.enter_context(Processes(logs=FOLDER))
        environment = {
            "REDIS_URL": redis.url,
            "TRUTO_WEBHOOK_SECRET": f"{STORED},{given}" if (given := _given_secrets()) else STORED,
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "ADMIN_PORT": "off",
            "LOG_FORMAT": "json",
        }
        read_settings(ConnectSettings, redis_url=redis.url)
        ingress = processes.start("ingress", ["ingress"], environment)
        processes.start("worker", ["worker"], environment)
        processes.wait_until_up(ingress, f"http://127.0.0.1:{port}/readyz")
        took = time.perf_counter() - started
        steps.told["served_here"] = True
        steps.say(
            "here", f"REDIS_URL is not set: Redis, ingress (port {port}) and worker run in {FOLDER} meanwhile", took
        )
        yield


def _given_secrets() -> str:
    parts = (part.strip() for part in os.environ.get("TRUTO_WEBHOOK_SECRET", "").split(","))
    return ",".join(part for part in parts if part and part != STORED)
