"""The command line. Exit codes: 0 ok, 1 the thing asked for failed, 2 usage or configuration."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.event_commands import events, explain
from cli.integration_commands import integrations
from cli.new_commands import new
from cli.options import Json, SourcesPath
from cli.source_commands import sources
from cli.workflow_commands import workflows
from events import ConfigError

if TYPE_CHECKING:
    from cli.selection import Selection

app = typer.Typer(
    name="truto-worker",
    help="The webhook worker for teams that build on Truto: verifies, stores and handles every event.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_SERVICES = frozenset({"demo", "dev", "ingress", "sandbox", "worker"})
"""The commands that start a long-running process."""


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
    redis: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Work on this Redis instead of one of its own; REDIS_URL is not used."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every log line of every process.")] = False,
    truto: Annotated[
        bool, typer.Option("--truto", help="Work with the real Truto (TRUTO_API_TOKEN) instead of the sandbox.")
    ] = False,
    tunnel: Annotated[bool, typer.Option("--tunnel", help="With --truto: a public address through pinggy.")] = False,
    tunnel_command: Annotated[
        str | None,
        typer.Option(help="As --tunnel, by a command such as `cloudflared tunnel --url http://127.0.0.1:{port}`."),
    ] = None,
    url: Annotated[str | None, typer.Option(help="With --truto: a public address that leads here already.")] = None,
) -> None:
    """Run everything here.

    Redis, sandbox, ingress, and a worker that reloads your handlers when you save them. Prints a line for each event.
    """
    from cli.dev import Platform, run_dev

    ways = (url is not None) + (tunnel or tunnel_command is not None)
    if truto and ways != 1:
        raise typer.BadParameter("name one way from Truto to this machine", param_hint="--tunnel or --url")
    if ways and not truto:
        raise typer.BadParameter("is for the real Truto", param_hint="--truto")
    platform = Platform(url, tunnel_command) if truto else None
    raise typer.Exit(run_dev(port=port, sandbox_port=sandbox_port, redis_url=redis, verbose=verbose, platform=platform))


@app.command()
def ingress() -> None:
    """Receive deliveries. Needs REDIS_URL and TRUTO_WEBHOOK_SECRET or SOURCES_FILE; README.md lists all settings."""
    from cli.serving import run_ingress

    run_ingress()


@app.command()
def worker(
    suggest: Annotated[bool, typer.Option(help="Print a handler to paste for events without one (dev does).")] = False,
) -> None:
    """Run handlers. Needs REDIS_URL and TRUTO_API_TOKEN; README.md lists all settings."""
    from cli.working import run_worker

    run_worker(suggest=suggest)


@app.command()
def sandbox(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8100,
    webhook_url: Annotated[
        str | None, typer.Option(help="Deliver all events there, signed with TRUTO_WEBHOOK_SECRET.")
    ] = None,
    step_seconds: Annotated[float, typer.Option(help="Time between two steps of a lifecycle.")] = 0.2,
    state: Annotated[Path | None, typer.Option(help="File that keeps the state from run to run.")] = None,
    rate_limits: Annotated[bool, typer.Option(help="Answer 429 where Truto would.")] = True,
    link_token_url: Annotated[
        str | None, typer.Option(help="Link-token route for the page /connect; default: that of --webhook-url.")
    ] = None,
    integration: Annotated[
        list[Path] | None,
        typer.Option(help="Definition to install, or a folder of them: calls of its accounts go to the real product."),
    ] = None,
) -> None:
    """Imitate the Truto API and deliver signed webhooks.

    Accepts TRUTO_API_TOKEN (default: sandbox-token) as its token; TENANT_NOTIFY_SECRET is for its tenant inbox,
    LINK_TOKEN_KEY for its page /connect. docs/sandbox.md tells what it imitates.
    """
    from cli.sandbox import run_sandbox

    run_sandbox(
        host=host,
        port=port,
        webhook_url=webhook_url,
        step_seconds=step_seconds,
        state=state,
        rate_limits=rate_limits,
        link_token_url=link_token_url,
        integrations=integration or (),
    )


@app.command()
def send(
    event_type: Annotated[str | None, typer.Argument(help="For example integrated_account:active, or push.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="File with the payload (of Truto) or the body, `-` for standard input; default: a sample."),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="Base URL of the ingress; default: that of a `truto-worker dev` here, else port 8000."),
    ] = None,
    source: Annotated[str, typer.Option(help="Source to deliver to.")] = "truto",
    event: Annotated[str | None, typer.Option(help="The event's type, as the argument.")] = None,
    file: SourcesPath = None,
    list_types: Annotated[bool, typer.Option("--list", help="List the event types that Truto sends.")] = False,
    json: Json = False,
) -> None:
    """Sign a realistic sample event and deliver it, as Truto would, or as the sender of a configured source.

    Signs with the first TRUTO_WEBHOOK_SECRET, else with that of a running `truto-worker dev` in this folder; for
    another source with its newest secret, in the headers its sender uses. The body of --data is sent as it is then.
    """
    from cli.send import ingress_here, is_configured, list_event_types, send_event, send_to_source

    if list_types:
        list_event_types(as_json=json)
        return
    if event_type is not None and event is not None:
        raise typer.BadParameter("name the event type once", param_hint="--event")
    event_type = event_type or event
    url = url or ingress_here()
    if is_configured(source, file):
        raise typer.Exit(send_to_source(source, event=event_type, data=data, url=url, file=file, as_json=json))
    if event_type is None:
        raise typer.BadParameter("name an event type, or use --list", param_hint="EVENT_TYPE")
    raise typer.Exit(send_event(event_type, data=data, url=url, source=source, as_json=json))


@app.command("notify-key")
def notify_key(
    tenant: Annotated[str | None, typer.Option(help="Id of a tenant that gets messages (TENANT_NOTIFY_URL).")] = None,
    host: Annotated[str | None, typer.Option(help="Host or host:port that http_request sends to.")] = None,
    json: Json = False,
) -> None:
    """Show the key with which one tenant, or one host, checks what you send it.

    Derived from TENANT_NOTIFY_SECRET or WORKFLOWS_HTTP_SECRET. Treat it as a secret: it is for that one receiver.
    """
    from cli.notify_key import show_keys

    if (tenant is None) == (host is None):
        raise typer.BadParameter("name one receiver", param_hint="--tenant or --host")
    show_keys(tenant=tenant, host=host, as_json=json)


@app.command()
def connect(
    url: Annotated[str | None, typer.Option(help="Public address of the ingress; default: PUBLIC_URL.")] = None,
    write: Annotated[Path | None, typer.Option(help="File to write a new secret to, for example .env.")] = None,
    show: Annotated[bool, typer.Option("--print", help="Print a new secret, also where it is kept elsewhere.")] = False,
    new_secret: Annotated[
        bool, typer.Option("--new-secret", help="Replace the webhook by one with a new secret.")
    ] = False,
    json: Json = False,
) -> None:
    """Connect Truto to this installation: checks the way, registers the webhook, and has its test event handled.

    Needs TRUTO_API_TOKEN and REDIS_URL; without REDIS_URL it runs Redis, an ingress and a worker here meanwhile.
    A second run changes only what differs.
    """
    from cli.connect import Options, run_connect

    raise typer.Exit(run_connect(Options(url, write, show, new_secret, json)))


@app.command()
def doctor(
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="A line for everything, not only for faults.")
    ] = False,
    json: Json = False,
) -> None:
    """Look whether everything is as it should be, and say what to do where it is not.

    Settings, versions, Redis, queue, workers, handlers, workflows, sources, spool; Truto's token and webhook, and the
    way from there to the ingress. Exits 1 when something has to be done. Shows no secret.
    """
    from cli.doctor import run_doctor

    raise typer.Exit(run_doctor(verbose=verbose, as_json=json))


@app.command()
def reconcile(
    since: Annotated[str, typer.Option(help="How far to look back: 90s, 10m, 2h, at most 24h.")] = "2h",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be recovered, and change nothing.")
    ] = False,
    list_lost: Annotated[bool, typer.Option("--list", help="Print what could not be recovered so far.")] = False,
    json: Json = False,
) -> None:
    """Get back what Truto has sent and what never arrived: compares its delivery log with what is here.

    Workers do this by themselves every RECONCILE_EVERY seconds. Needs REDIS_URL and TRUTO_API_TOKEN.
    """
    from cli.enrolment import read_length
    from cli.reconcile import list_unrecoverable, reconcile_now

    if list_lost:
        raise typer.Exit(list_unrecoverable(as_json=json))
    try:
        seconds = read_length(since)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint="--since") from None
    raise typer.Exit(reconcile_now(since=seconds, dry_run=dry_run, as_json=json))


Fingerprint = Annotated[str | None, typer.Option(help="Only those with this cause (see dead-letters --group).")]
EventType = Annotated[str | None, typer.Option("--type", help="Only those of this event type.")]


app.command()(events)
app.command()(explain)

dead_letters = typer.Typer(rich_markup_mode=None)
app.add_typer(dead_letters, name="dead-letters")


@dead_letters.callback(invoke_without_command=True)
def list_dead_letters(
    context: typer.Context,
    group: Annotated[bool, typer.Option("--group", help="Show causes with counts.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Number of dead letters to show, newest first; 0 shows all.")] = 20,
    json: Json = False,
) -> None:
    """Show the dead letters and their causes, or discard some.

    Needs REDIS_URL, or a `truto-worker dev` that runs in this folder. To run them again: truto-worker replay.
    """
    if context.invoked_subcommand is not None:
        return
    from cli.dead_letters import group_dead_letters, list_dead_letters

    raise typer.Exit(group_dead_letters(as_json=json) if group else list_dead_letters(limit=limit, as_json=json))


@dead_letters.command("discard")
def discard_dead_letters(
    why: Annotated[str, typer.Option(help="The reason, for the event's history.")],
    names: Annotated[list[str] | None, typer.Argument(metavar="MEMBER|ID", help="Which ones.")] = None,
    fingerprint: Fingerprint = None,
    event_type: EventType = None,
    json: Json = False,
) -> None:
    """Discard dead letters for good: removes the payload, and adds the reason to the history.

    Exits 1 when one that was named is not there, or none fits.
    """
    from cli.dead_letters import discard_dead_letters

    if not why.strip():
        raise typer.BadParameter("say why, for whoever asks later", param_hint="--why")
    selection = _selection(names, fingerprint=fingerprint, type=event_type)
    raise typer.Exit(discard_dead_letters(selection, why=why.strip(), as_json=json))


@app.command()
def replay(
    names: Annotated[list[str] | None, typer.Argument(metavar="MEMBER|ID", help="Which ones.")] = None,
    fingerprint: Fingerprint = None,
    event_type: EventType = None,
    handler: Annotated[str | None, typer.Option(help="Only those of this handler.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    parked: Annotated[bool, typer.Option("--parked", help="Parked work instead of dead letters.")] = False,
    afresh: Annotated[bool, typer.Option("--afresh", help="Also repeat finished steps of handlers.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run, and change nothing.")] = False,
    rate: Annotated[
        float | None, typer.Option(min=0.01, max=100_000, help="Limit per second; default: all at once.")
    ] = None,
    json: Json = False,
) -> None:
    """Run dead letters again, with all their attempts.

    Passes the duplicate guard on purpose; the history of each event says that it was replayed. Several filters must
    all fit. Exits 1 when one that was named is not there, or no filter fits.
    """
    from cli.replay import replay

    if parked and afresh:
        raise typer.BadParameter("--afresh is for dead letters")
    selection = _selection(names, fingerprint=fingerprint, type=event_type, handler=handler, everything=everything)
    raise typer.Exit(replay(selection, parked=parked, afresh=afresh, dry_run=dry_run, rate=rate, as_json=json))


def _selection(
    names: list[str] | None,
    *,
    fingerprint: str | None,
    type: str | None,  # noqa: A002  as the option is called
    handler: str | None = None,
    everything: bool = False,
) -> Selection:
    from cli.selection import Selection

    try:
        return Selection(tuple(names or ()), fingerprint, type, handler, everything)
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from None


app.add_typer(new, name="new", no_args_is_help=True)
app.add_typer(sources, name="sources", no_args_is_help=True)
app.add_typer(workflows, name="workflows", no_args_is_help=True)
app.add_typer(integrations, name="integrations", no_args_is_help=True)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from importlib import metadata  # slow, and no other command needs it

        print(f"truto-worker {metadata.version('truto-worker')}")
        raise typer.Exit


def _read_env_file(file: Path) -> None:
    if not file.is_file():
        return
    from dotenv import load_dotenv

    try:
        load_dotenv(file)
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{file.resolve()} cannot be read: {exc}") from None


def _heading(arguments: list[str]) -> str:
    """The heading of the faults that follow."""
    groups = {group.name for group in app.registered_groups}
    words = arguments[: 2 if groups.intersection(arguments[:1]) else 1]
    command = " ".join(word for word in words if not word.startswith("-"))
    return "truto-worker cannot start:" if command in _SERVICES else f"truto-worker {command} failed:"


def main() -> None:
    """Run the command line; configuration errors end with code 2 and one message that names them all.

    Settings that the environment does not have are taken from ``.env`` in the working directory.
    """
    try:
        _read_env_file(Path(".env"))
        app()
    except ConfigError as exc:
        print(_heading(sys.argv[1:]), file=sys.stderr)
        for line in str(exc).splitlines():
            print(f"  - {line}", file=sys.stderr)
        sys.exit(2)
