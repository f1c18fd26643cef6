"""``truto-worker integrations …``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Json

integrations = typer.Typer(
    help="Integrations: check, call and test their definitions here, push them to Truto.", rich_markup_mode=None
)

IntegrationPaths = Annotated[
    list[Path] | None, typer.Argument(metavar="[FILE|FOLDER]...", help="Default: integrations/.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and change nothing.")]


@integrations.command("check")
def check_integrations(paths: IntegrationPaths = None, json: Json = False) -> None:
    """Check definitions. Prints every fault with file, keys and reason, and exits with code 2 if there is one."""
    from cli.integrations import check_integrations

    raise typer.Exit(check_integrations(paths or [], as_json=json))


@integrations.command("call")
def call_method(
    resource: Annotated[str, typer.Argument(help="The resource, or `_` for an action.")],
    method: Annotated[str, typer.Argument(help="Its method, or the name of the action.")],
    account: Annotated[Path, typer.Option(help="File with the account: its `context`, as in Truto's API.")],
    integration: Annotated[
        Path | None, typer.Option(help="The definition; default: the only one in integrations/.")
    ] = None,
    id: Annotated[str | None, typer.Option(help="Id of the record.")] = None,  # noqa: A002  as placeholders call it
    query: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Query of the caller; repeat it.")
    ] = None,
    body: Annotated[
        str | None, typer.Option(help="Body of the caller: JSON, @FILE, or `-` for standard input.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Most records of a list; 0 for all.")] = 100,
    wait: Annotated[float, typer.Option(min=0, max=3600, help="Longest wait for a rate limit (s).")] = 60.0,
    trace: Annotated[
        bool, typer.Option("--trace", help="Show requests, answers and expressions; secrets masked.")
    ] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the call for `integrations test`; secrets masked.")
    ] = False,
    json: Json = False,
) -> None:
    """Run one method for one account, against the product itself. Exits 1 when it, or the definition, refuses.

    Reaches the hosts of the definition and public addresses only, and what INTEGRATIONS_HTTP_ALLOW names. New
    credentials are written into the account's file.
    """
    from cli.integration_call import CallOptions, call_method, read_body, read_query

    options = CallOptions(
        resource=resource,
        method=method,
        integration=integration,
        account=account,
        id=id,
        query=read_query(query or []),
        body=None if body is None else read_body(body),
        has_body=body is not None,
        records=limit,
        wait_seconds=wait,
        shows_trace=trace,
        records_call=record,
        as_json=json,
    )
    raise typer.Exit(call_method(options))


@integrations.command("test")
def run_tests(paths: IntegrationPaths = None, json: Json = False) -> None:
    """Test definitions without a network: their `examples.response`, and the calls recorded beside them.

    Exits 1 when a test fails, or there is none.
    """
    from cli.integrations import run_tests

    raise typer.Exit(run_tests(paths or [], as_json=json))


@integrations.command("push")
def push_integrations(
    paths: IntegrationPaths = None,
    dry_run: DryRun = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where Truto's override has keys that the file lacks: they go away.")
    ] = False,
    json: Json = False,
) -> None:
    """Replace the overrides in Truto by those of the files; create and install what is not there.

    Truto replaces an override whole. Exits 1 when a file was refused for that. Needs TRUTO_API_TOKEN.
    """
    from cli.integration_push import push_integrations

    raise typer.Exit(push_integrations(paths or [], dry_run=dry_run, replace=replace, as_json=json))


@integrations.command("pull")
def pull_integrations(
    folder: Annotated[Path | None, typer.Argument(help="Where to; default: integrations/.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that differ.")] = False,
    json: Json = False,
) -> None:
    """Write the environment integrations of Truto into files. Exits 1 when a file that differs was kept.

    Needs TRUTO_API_TOKEN.
    """
    from cli.integration_push import pull_integrations

    raise typer.Exit(pull_integrations(folder, force=force, as_json=json))


@integrations.command("diff")
def diff_integrations(paths: IntegrationPaths = None, json: Json = False) -> None:
    """Show what a push would change, and what it would remove. Exits 1 when something would. Needs TRUTO_API_TOKEN."""
    from cli.integration_push import diff_integrations

    raise typer.Exit(diff_integrations(paths or [], as_json=json))
