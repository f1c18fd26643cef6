"""``truto-worker dev``: everything on this machine, with handlers that reload."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import uuid
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from dotenv import load_dotenv
from rich.console import Console

from cli.errors import CliError
from cli.processes import Process, Processes
from cli.settings import DEFAULT_ADMIN_PORT, DEFAULT_WORKFLOWS, STORED
from events.embedded import EmbeddedRedis
from events.errors import RedisNotStarted
from truto.samples import INTEGRATION, SYNC_JOB_ID

FOLDER = Path(".truto-worker")
"""Where ``dev`` keeps its Redis data and its secret; delete it to start afresh."""

SANDBOX_TOKEN = "sandbox-token"  # noqa: S105  the documented token of a local imitation
TENANT_SECRET = "whsec_dHJ1dG8td29ya2VyLWRldi10ZW5hbnQtc2VjcmV0"  # noqa: S105  for the sandbox's own inbox

_SECRET_FILE = "dev-secret"  # noqa: S105  a file's name
_LINK_TOKEN_KEY = "dev-link-token-key"  # noqa: S105  only on loopback, only in dev


def run_dev(*, port: int, sandbox_port: int) -> int:
    """Run until Ctrl-C; 0 then, 1 when a process other than the reloading worker fails."""
    load_dotenv()
    # SIGINT too: a shell that starts us in the background has it ignored, and Python then leaves it so.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    console = Console(highlight=False, soft_wrap=True)
    try:
        with ExitStack() as stack:
            _run(stack, console, port, sandbox_port)
    except KeyboardInterrupt:
        console.print("\nStopped.")
    except (CliError, RedisNotStarted) as exc:
        console.print(str(exc), markup=False)
        return 1
    return 0


def _run(stack: ExitStack, console: Console, port: int, sandbox_port: int) -> None:
    redis_url = os.environ.get("REDIS_URL")
    if not redis_url:
        redis_url = stack.enter_context(EmbeddedRedis(FOLDER / "redis")).url
    environment = dev_environment(redis_url, _own_secret(), port, sandbox_port)
    processes = stack.enter_context(Processes())
    ingress_url, sandbox_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{sandbox_port}"
    webhook_url = f"{ingress_url}/webhooks/truto"
    sandbox = processes.start(
        "sandbox", ["sandbox", "--port", str(sandbox_port), "--webhook-url", webhook_url], environment
    )
    ingress = processes.start("ingress", ["ingress"], environment)
    worker = processes.start("worker", ["worker", "--suggest"], environment)
    processes.wait_until_up(sandbox, f"{sandbox_url}/")
    processes.wait_until_up(ingress, f"{ingress_url}/readyz")
    _say_hello(console, ingress_url, sandbox_url)
    _reload_on_change(processes, worker, environment, console)


def dev_environment(redis_url: str, secret: str, port: int, sandbox_port: int) -> dict[str, str]:
    """The settings of a local run against the sandbox; most can be overridden by the environment."""
    sandbox_url = f"http://127.0.0.1:{sandbox_port}"
    defaults = {
        "SYNC_JOBS": f"{INTEGRATION}={SYNC_JOB_ID}",
        "LOG_FORMAT": "console",
        "LINK_TOKEN_KEY": _LINK_TOKEN_KEY,
        "TENANT_NOTIFY_SECRET": TENANT_SECRET,
        "TENANT_NOTIFY_URL": f"{sandbox_url}/inbox/{{tenant_id}}",
    }
    fixed = {
        "REDIS_URL": redis_url,
        "TRUTO_WEBHOOK_SECRET": secret,
        "TRUTO_API_TOKEN": SANDBOX_TOKEN,
        "TRUTO_API_URL": sandbox_url,
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }
    return {**{name: os.environ.get(name) or value for name, value in defaults.items()}, **fixed}


def read_dev_secret(folder: Path = FOLDER) -> str | None:
    """The webhook secret of the last ``dev`` in this folder; ``None`` when there was none."""
    try:
        return (folder / _SECRET_FILE).read_text().strip() or None
    except OSError:
        return None


def _own_secret() -> str:
    given = os.environ.get("TRUTO_WEBHOOK_SECRET", "").split(",")[0].strip()
    secret = (given if given != STORED else None) or read_dev_secret() or str(uuid.uuid4())
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / _SECRET_FILE
    file.touch(mode=0o600)
    file.write_text(secret)
    return secret


def _say_hello(console: Console, ingress_url: str, sandbox_url: str) -> None:
    console.print(
        f"""
  ingress    {ingress_url}/webhooks/truto     (health: {ingress_url}/readyz)
  figures    http://127.0.0.1:{DEFAULT_ADMIN_PORT}/metrics           (or where ADMIN_PORT says)
  link token {ingress_url}/api/truto/link-token   (Authorization: Bearer {_LINK_TOKEN_KEY})
  sandbox    {sandbox_url}/                     (a Truto of your own: accounts, runs, deliveries, tenant inbox)

  Try:  truto-worker send integrated_account:active
        curl -X POST {sandbox_url}/sandbox/connect -H 'content-type: application/json' -d '{{"tenant_id":"acme-2"}}'

  Handlers reload when you save them. Ctrl-C stops everything.
""",
        markup=False,
    )


def _reload_on_change(processes: Processes, worker: Process, environment: Mapping[str, str], console: Console) -> None:
    from watchfiles import PythonFilter, watch

    folders = handler_folders((os.environ.get("HANDLERS") or "handlers").split(","))
    workflows = Path(os.environ.get("WORKFLOWS_DIR") or DEFAULT_WORKFLOWS)
    if workflows.is_dir():
        folders.append(str(workflows))
    wanted = PythonFilter(extra_extensions=[".yaml", ".yml", ".json"])
    for changes in watch(*folders, watch_filter=wanted, yield_on_timeout=True, rust_timeout=500):
        if changes:
            names = ", ".join(sorted({Path(path).name for _, path in changes}))
            console.print(f"Reloading handlers: {names} changed.", markup=False)
            processes.stop(worker)
            worker = processes.start("worker", ["worker", "--suggest"], environment)
        processes.check_all_but(worker)


def handler_folders(packages: Iterable[str]) -> list[str]:
    """The folders in which these packages' modules lie, the current directory's first. Unknown ones are left out."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    found: list[str] = []
    for package in packages:
        spec = importlib.util.find_spec(package.strip())
        if spec is not None and spec.submodule_search_locations:
            found.extend(spec.submodule_search_locations)
        elif spec is not None and spec.origin:
            found.append(spec.origin)
    return found


def interrupt(signum: int, frame: FrameType | None) -> None:
    """End a command by a signal as Ctrl-C does."""
    raise KeyboardInterrupt
