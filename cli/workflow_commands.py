"""``truto-worker workflows …``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Json

workflows = typer.Typer(help="Workflows: check, test, push to Truto, and show runs.", rich_markup_mode=None)

WorkflowPaths = Annotated[
    list[Path] | None, typer.Argument(metavar="[FILE|FOLDER]...", help="Default: WORKFLOWS_DIR, else workflows/.")
]


@workflows.command("check")
def check_workflows(paths: WorkflowPaths = None, json: Json = False) -> None:
    """Check the workflows. Prints every fault with file, keys and reason, and exits with code 2 if there is one."""
    from cli.workflows import check_workflows

    raise typer.Exit(check_workflows(paths or [], as_json=json))


@workflows.command("test")
def try_workflow(
    file: Annotated[Path, typer.Argument(help="The workflow.")],
    event: Annotated[
        Path | None, typer.Option(help="JSON file with an event as it is delivered, `-` for standard input.")
    ] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="Its type; without --event, of a sample.")] = None,
    results: Annotated[Path | None, typer.Option(help="JSON file with an array of the results of the steps.")] = None,
    json: Json = False,
) -> None:
    """Evaluate a workflow for one event, with the trace of every expression. Nothing is called.

    Exits 1 when the run would fail. Steps that were not run have the result {"dry_run": true}.
    """
    from cli.workflows import try_workflow

    raise typer.Exit(try_workflow(file, event=event, event_type=event_type, results=results, as_json=json))


@workflows.command("runs")
def list_workflow_runs(
    workflow: Annotated[str | None, typer.Option(help="Only those of this workflow.")] = None,
    status: Annotated[str | None, typer.Option(help="created, running, completed, failed or skipped.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    json: Json = False,
) -> None:
    """Show the runs under way, then those that have ended, newest first.

    Needs REDIS_URL, or a `truto-worker dev` that runs in this folder.
    """
    from cli.workflows import list_runs

    if status not in (None, "created", "running", "completed", "failed", "skipped"):
        raise typer.BadParameter("one of created, running, completed, failed, skipped", param_hint="--status")
    raise typer.Exit(list_runs(workflow=workflow, status=status, limit=limit, as_json=json))


@workflows.command("show")
def show_workflow_run(run_id: Annotated[str, typer.Argument(metavar="ID")], json: Json = False) -> None:
    """Show one run: its steps, what they returned, and what every expression saw. Exits 1 when it is not known."""
    from cli.workflows import show_run

    raise typer.Exit(show_run(run_id, as_json=json))


@workflows.command("push")
def push_workflows(
    paths: WorkflowPaths = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and change nothing.")] = False,
    json: Json = False,
) -> None:
    """Create or update the workflows in Truto. Refuses them all, with code 2, when Truto could not run one.

    Needs TRUTO_API_TOKEN.
    """
    from cli.workflow_push import push_workflows

    raise typer.Exit(push_workflows(paths or [], dry_run=dry_run, as_json=json))


@workflows.command("pull")
def pull_workflows(
    folder: Annotated[Path | None, typer.Argument(help="Where to; default: workflows/.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that differ.")] = False,
    json: Json = False,
) -> None:
    """Write the workflows of Truto into files. Exits 1 when a file that differs was kept. Needs TRUTO_API_TOKEN."""
    from cli.workflow_push import pull_workflows

    raise typer.Exit(pull_workflows(folder, force=force, as_json=json))


@workflows.command("diff")
def diff_workflows(paths: WorkflowPaths = None, json: Json = False) -> None:
    """Show what a push would change. Exits 1 when something would. Needs TRUTO_API_TOKEN."""
    from cli.workflow_push import diff_workflows

    raise typer.Exit(diff_workflows(paths or [], as_json=json))
