"""The commands of ``truto-worker new``."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import Json

new = typer.Typer(rich_markup_mode=None, help="Write a project of your own, or add to it. Never overwrites a file.")


@new.command()
def app(name: Annotated[str, typer.Argument(help="Of the project and its folder.")], json: Json = False) -> None:
    """Write a project of your own: handlers, tests, and what a deployment needs."""
    from cli.new import new_app, say

    then = f"Next:  cd {name}; pip install -r requirements.txt; pytest; truto-worker dev"
    raise typer.Exit(say(new_app(name), as_json=json, then=then))


@new.command()
def handler(
    event_type: Annotated[str, typer.Argument(help="For example record:updated; `truto-worker send --list` has all.")],
    json: Json = False,
) -> None:
    """Write a handler for an event type, and its test."""
    from cli.new import new_handler, say

    then = f"Next:  pytest; with `truto-worker dev` running:  truto-worker send {event_type}"
    raise typer.Exit(say(new_handler(event_type), as_json=json, then=then))


@new.command()
def source(
    name: Annotated[str, typer.Argument(help="Of the source: deliveries come to /webhooks/NAME.")],
    preset: Annotated[str | None, typer.Option(help="Its sender; default: the preset called as the source.")] = None,
    json: Json = False,
) -> None:
    """Add a sender to the file of sources."""
    from cli.new import new_source, say

    then = "Next:  set its secret in .env, then  truto-worker sources check"
    raise typer.Exit(say(new_source(name, preset), as_json=json, then=then))


@new.command()
def workflow(name: Annotated[str, typer.Argument(help="Of the workflow and its file.")], json: Json = False) -> None:
    """Write a workflow to begin with."""
    from cli.new import new_workflow, say

    then = "Next:  truto-worker workflows check"
    raise typer.Exit(say(new_workflow(name), as_json=json, then=then))
