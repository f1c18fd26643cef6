"""The command line. Exit codes: 0 ok, 1 the thing asked for failed, 2 usage or configuration."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from worker.errors import ConfigError

app = typer.Typer(
    name="truto-worker",
    help="The webhook worker for teams that build on Truto: verifies, keeps and handles every event.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]


@app.command()
def demo(json: Json = False) -> None:
    """Show the whole promise in one run.

    Real HTTP, a real Redis, real processes; no account needed.

    Exits 0 only if every hop was observed.
    """
    from cli.demo import run_demo

    raise typer.Exit(run_demo(as_json=json))


@app.command()
def dev(
    port: Annotated[int, typer.Option(help="Port of the ingress.")] = 8000,
    sandbox_port: Annotated[int, typer.Option(help="Port of the sandbox.")] = 8100,
) -> None:
    """Run everything here.

    Redis, sandbox, ingress, and a worker that reloads your handlers when you save them.
    """
    from cli.dev import run_dev

    raise typer.Exit(run_dev(port=port, sandbox_port=sandbox_port))


@app.command()
def ingress() -> None:
    """Receive deliveries. Needs REDIS_URL and TRUTO_WEBHOOK_SECRET; README.md lists all settings."""
    from cli.serving import run_ingress

    run_ingress()


@app.command()
def worker(
    suggest: Annotated[
        bool, typer.Option(help="Print a handler ready to paste for events that nobody wants (dev does).")
    ] = False,
) -> None:
    """Run handlers. Needs REDIS_URL and TRUTO_API_TOKEN; README.md lists all settings."""
    from cli.serving import run_worker

    run_worker(suggest=suggest)


@app.command()
def sandbox(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8100,
    webhook_url: Annotated[
        str | None, typer.Option(help="Deliver all events there, signed with TRUTO_WEBHOOK_SECRET.")
    ] = None,
    step_seconds: Annotated[float, typer.Option(help="Time between two steps of a lifecycle.")] = 0.2,
) -> None:
    """Imitate the Truto API and deliver signed webhooks.

    Accepts TRUTO_API_TOKEN (default: sandbox-token) as its token; TENANT_NOTIFY_SECRET is for its tenant inbox.
    """
    from cli.sandbox import run_sandbox

    run_sandbox(host=host, port=port, webhook_url=webhook_url, step_seconds=step_seconds)


@app.command()
def send(
    event_type: Annotated[str | None, typer.Argument(help="For example integrated_account:active.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="JSON file with the payload, `-` for standard input; default: a sample.")
    ] = None,
    url: Annotated[str, typer.Option(help="Base URL of the ingress.")] = "http://127.0.0.1:8000",
    source: Annotated[str, typer.Option(help="Source to deliver to.")] = "truto",
    list_types: Annotated[bool, typer.Option("--list", help="Show the event types Truto is known to send.")] = False,
    json: Json = False,
) -> None:
    """Sign a realistic sample event and deliver it, as Truto would.

    Signs with the first TRUTO_WEBHOOK_SECRET, else with that of a running `truto-worker dev` in this folder.
    """
    from cli.send import list_event_types, send_event

    if list_types:
        list_event_types(as_json=json)
        return
    if event_type is None:
        raise typer.BadParameter("name an event type, or use --list", param_hint="EVENT_TYPE")
    raise typer.Exit(send_event(event_type, data=data, url=url, source=source, as_json=json))


def main() -> None:
    """Run the command line; configuration errors end with code 2 and one message that names them all."""
    try:
        app()
    except ConfigError as exc:
        print("truto-worker cannot start:", file=sys.stderr)
        for line in str(exc).splitlines():
            print(f"  - {line}", file=sys.stderr)
        sys.exit(2)
