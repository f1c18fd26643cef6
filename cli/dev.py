"""``truto-worker dev``: everything on this machine, with handlers that reload."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cli.dev_folder import FOLDER, announced, own_secret
from cli.dev_webhook import PlatformSettings, own_webhook
from cli.errors import CliError
from cli.listening import bind_or_refuse
from cli.processes import Process, Processes, end_in_order
from cli.reach import reach_patiently
from cli.settings import DEFAULT_ADMIN_PORT, DEFAULT_WORKFLOWS, read_settings
from cli.tunnel import tunnel_to
from events import ConfigError
from events.connecting import check_url
from events.embedded import EmbeddedRedis
from events.errors import RedisNotStarted
from truto import TrutoError
from truto.samples import INTEGRATION, SYNC_JOB_ID
from worker.loading import BUILT_IN, handler_folders, own_package

SANDBOX_TOKEN = "sandbox-token"  # noqa: S105  the documented token of a local imitation
TENANT_SECRET = "whsec_dHJ1dG8td29ya2VyLWRldi10ZW5hbnQtc2VjcmV0"  # noqa: S105  for the sandbox's own inbox

_OF_DEPLOYMENTS = ("CONFIRM_REPLICAS", "NOTIFY_URLS", "REDIS_SHARD", "SPOOL_DIR")
_LINK_TOKEN_KEY = "dev-link-token-key"  # noqa: S105  only on loopback, only in dev


@dataclass(frozen=True, slots=True)
class Platform:
    """The real Truto, and how it reaches this machine: at *url*, else through a tunnel, made by *command* if given."""

    url: str | None = None
    command: str | None = None


def run_dev(
    *, port: int, sandbox_port: int, redis_url: str | None, verbose: bool, platform: Platform | None = None
) -> int:
    """Run until Ctrl-C; 0 then, 1 when a process other than the reloading worker fails.

    With a *platform*, that takes the place of the sandbox. Raises ``ConfigError`` for a port in use, a Redis that
    cannot be one, and where the extra ``dev`` is not installed.
    """
    plan = _Plan(port, sandbox_port, redis_url, verbose)
    end_in_order()
    console = Console(highlight=False, soft_wrap=True)
    try:
        with ExitStack() as stack:
            if platform is None:
                _run(stack, console, plan)
            else:
                _run_with_truto(stack, console, plan, platform)
    except KeyboardInterrupt:
        console.print("\nStopped.")
    except (CliError, RedisNotStarted, TrutoError) as exc:
        console.print(str(exc), markup=False)
        return 1
    return 0


@dataclass(frozen=True, slots=True)
class _Plan:
    """What ``dev`` was asked for, checked."""

    port: int
    sandbox_port: int
    redis_url: str | None
    verbose: bool

    def __post_init__(self) -> None:
        try:
            importlib.import_module("watchfiles")
        except ImportError:
            raise ConfigError("`dev` needs what the extra `dev` installs: pip install 'truto-worker[dev]'") from None
        if self.port == self.sandbox_port:
            raise ConfigError("--port and --sandbox-port are the same")
        for port, option in ((self.port, "--port"), (self.sandbox_port, "--sandbox-port")):
            for one in bind_or_refuse("127.0.0.1", port, option):
                one.close()
        if self.redis_url is not None:
            check_url(self.redis_url)


def _run(stack: ExitStack, console: Console, plan: _Plan) -> None:
    redis_url = plan.redis_url or stack.enter_context(EmbeddedRedis(FOLDER / "redis")).url
    environment = dev_environment(redis_url, own_secret(), plan.port, plan.sandbox_port)
    if plan.verbose:
        environment["LOG_FORMAT"] = "console"
    processes = stack.enter_context(Processes())
    ingress_url, sandbox_url = f"http://127.0.0.1:{plan.port}", f"http://127.0.0.1:{plan.sandbox_port}"
    webhook_url = f"{ingress_url}/webhooks/truto"
    sandbox = processes.start(
        "sandbox", ["sandbox", "--port", str(plan.sandbox_port), "--webhook-url", webhook_url], environment
    )
    ingress = processes.start("ingress", ["ingress"], environment)
    processes.wait_until_up(sandbox, f"{sandbox_url}/")
    processes.wait_until_up(ingress, f"{ingress_url}/readyz")
    stack.enter_context(announced(ingress_url, sandbox_url))
    _say_hello(console, plan, ingress_url, sandbox_url)
    worker = processes.start("worker", ["worker", "--suggest"], environment)
    _reload_on_change(processes, worker, environment, console)


def _run_with_truto(stack: ExitStack, console: Console, plan: _Plan, platform: Platform) -> None:
    """The same, with a webhook in the real Truto that leads here."""
    settings = read_settings(PlatformSettings)
    redis_url = plan.redis_url or stack.enter_context(EmbeddedRedis(FOLDER / "redis")).url
    public_url = platform.url or stack.enter_context(tunnel_to(plan.port, platform.command))
    webhook = stack.enter_context(own_webhook(settings, public_url))
    environment = {
        **dict.fromkeys(_OF_DEPLOYMENTS, ""),
        "LOG_FORMAT": "console" if plan.verbose else os.environ.get("LOG_FORMAT") or "brief",
        "REDIS_URL": redis_url,
        "TRUTO_WEBHOOK_SECRET": webhook.secret,
        "TRUTO_API_TOKEN": settings.truto_api_token.get_secret_value(),
        "TRUTO_API_URL": settings.truto_api_url,
        # The webhook of a deployment is none of ours.
        "RECONCILE": "off",
        "WEBHOOK_KEEPALIVE": "off",
        "HOST": "127.0.0.1",
        "PORT": str(plan.port),
    }
    processes = stack.enter_context(Processes())
    ingress_url = f"http://127.0.0.1:{plan.port}"
    ingress = processes.start("ingress", ["ingress"], environment)
    processes.wait_until_up(ingress, f"{ingress_url}/readyz")
    asyncio.run(reach_patiently(webhook.target, [webhook.secret]))
    left = f"; {webhook.removed} of an earlier run removed" if webhook.removed else ""
    console.print(
        f"""
  truto      environment {webhook.environment}, webhook {webhook.id} for all event types{left}
  ingress    {ingress_url}/webhooks/truto, from outside {public_url}
  redis      {redis_url if plan.redis_url else f"its own, with data in {FOLDER / 'redis'}"}

  Real events of your Truto environment come here until Ctrl-C, which removes the webhook.
  Handlers reload when you save them, in {own_folder()}. -v prints every log line.
""",
        markup=False,
    )
    worker = processes.start("worker", ["worker", "--suggest"], environment)
    _reload_on_change(processes, worker, environment, console)


def dev_environment(redis_url: str, secret: str, port: int, sandbox_port: int) -> dict[str, str]:
    """The settings of a local run against the sandbox. Nothing of a deployment that the environment names is used."""
    sandbox_url = f"http://127.0.0.1:{sandbox_port}"
    defaults = {"SYNC_JOBS": f"{INTEGRATION}={SYNC_JOB_ID}", "LOG_FORMAT": "brief"}
    return {
        **{name: os.environ.get(name) or value for name, value in defaults.items()},
        # An empty value counts as none: no spool, replica or operator of a deployment is meant.
        **dict.fromkeys(_OF_DEPLOYMENTS, ""),
        "REDIS_URL": redis_url,
        "TRUTO_WEBHOOK_SECRET": secret,
        "TRUTO_API_TOKEN": SANDBOX_TOKEN,
        "TRUTO_API_URL": sandbox_url,
        "LINK_TOKEN_KEY": _LINK_TOKEN_KEY,
        "TENANT_NOTIFY_SECRET": TENANT_SECRET,
        "TENANT_NOTIFY_URL": f"{sandbox_url}/inbox/{{tenant_id}}",
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }


def _say_hello(console: Console, plan: _Plan, ingress_url: str, sandbox_url: str) -> None:
    redis = f"{plan.redis_url} (--redis)" if plan.redis_url else f"its own, with data in {FOLDER / 'redis'}"
    if os.environ.get("REDIS_URL") and not plan.redis_url:
        redis += "; REDIS_URL is not used (--redis)"
    console.print(
        f"""
  redis      {redis}
  ingress    {ingress_url}/webhooks/truto
  sandbox    {sandbox_url}/          a Truto of your own: accounts, runs, deliveries, tenant inbox
  connect    {sandbox_url}/connect   a Connect button at work; metrics: http://127.0.0.1:{DEFAULT_ADMIN_PORT}/metrics

  Try:  truto-worker send integrated_account:active

  Handlers reload when you save them, in {own_folder()}. -v prints every log line. Ctrl-C stops everything.
""",
        markup=False,
    )


def own_folder() -> str:
    """Where a team's own handlers belong, for people."""
    return f"{own_package(_packages()).replace('.', '/')}/"


def _packages() -> list[str]:
    return (os.environ.get("HANDLERS") or BUILT_IN).split(",")


def _watched() -> list[str]:
    """The folders of handlers and workflows that exist now."""
    workflows = Path(os.environ.get("WORKFLOWS_DIR") or DEFAULT_WORKFLOWS)
    return [*handler_folders(_packages()), *([str(workflows)] if workflows.is_dir() else [])]


def _reload_on_change(processes: Processes, worker: Process, environment: Mapping[str, str], console: Console) -> None:
    while True:
        changed = _changed(lambda: processes.check_all_but(worker))  # noqa: B023  called before the next turn
        console.print(f"Reloading handlers: {', '.join(changed)} changed.", markup=False)
        processes.stop(worker)
        worker = processes.start("worker", ["worker", "--suggest"], environment)


def _changed(check: Callable[[], None]) -> list[str]:
    """Wait until handlers or workflows change, or a folder of them appears; the names. Calls *check* often."""
    from watchfiles import PythonFilter, watch

    folders = _watched()
    wanted = PythonFilter(extra_extensions=[".yaml", ".yml", ".json"])
    for changes in watch(*folders, watch_filter=wanted, yield_on_timeout=True, rust_timeout=500):
        check()
        if changes:
            return sorted({Path(path).name for _, path in changes})
        if new := set(_watched()) - set(folders):
            return sorted(Path(path).name for path in new)
    return []
