"""``truto-worker sources …``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Json, SourcesPath

sources = typer.Typer(help="The configured senders: check, list, enrol, forget, try, explain.", rich_markup_mode=None)


@sources.command("check")
def check_sources(file: SourcesPath = None, json: Json = False) -> None:
    """Check the file of sources. Prints every fault with its keys and reason, and exits with code 2 if there is one.

    Exits 1 where it can be used, and holds what no delivery can ever match: a misspelt name, a method not enabled.
    """
    from cli.sources import check_sources

    raise typer.Exit(check_sources(file, as_json=json))


@sources.command("list")
def list_sources(
    file: SourcesPath = None,
    presets: Annotated[bool, typer.Option("--presets", help="Show the presets instead.")] = False,
    json: Json = False,
) -> None:
    """Show the configured sources, and where the secret of each comes from; never the secret.

    Asks REDIS_URL, or a `truto-worker dev` in this folder, for what handshakes have left.
    """
    from cli.sources import list_presets, list_sources

    raise typer.Exit(list_presets(as_json=json) if presets else list_sources(file, as_json=json))


@sources.command("enrol")
def enrol_source(
    source: Annotated[str, typer.Argument(help="Its name.")],
    window: Annotated[str, typer.Option("--for", help="How long: 90s, 10m, 2h; at most 24h.")] = "10m",
    file: SourcesPath = None,
    json: Json = False,
) -> None:
    """Accept the secret of the next handshake of a source, for a while. The first usable one closes the window.

    For senders that bring their secret themselves (Asana, Notion). Without it, such handshakes are refused. A secret
    that is there already stays valid until the new one has come. Needs REDIS_URL, or a `truto-worker dev` here.
    """
    from cli.enrolment import open_enrolment, read_length
    from cli.sources import find_source

    try:
        seconds = read_length(window)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint="--for") from None
    raise typer.Exit(open_enrolment(find_source(source, file), seconds=seconds, as_json=json))


@sources.command("forget")
def forget_source(
    source: Annotated[str, typer.Argument(help="Its name.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    file: SourcesPath = None,
    json: Json = False,
) -> None:
    """Remove the values from the handshakes of a source, its secret included, and close its enrolment window.

    Asks before; exits 1 when the answer is no. Needs REDIS_URL, or a `truto-worker dev` here.
    """
    from cli.enrolment import forget_source
    from cli.sources import configured_sources

    if json and not yes:
        raise typer.BadParameter("--json needs --yes: a program cannot be asked")
    confirm = None if yes else typer.confirm
    raise typer.Exit(forget_source(source, configured_sources(file), confirm=confirm, as_json=json))


@sources.command("test")
def try_source(
    source: Annotated[str, typer.Argument(help="Its name.")], file: SourcesPath = None, json: Json = False
) -> None:
    """Verify a sample signed like the sender's, and some forgeries. Nothing is sent.

    Exits 1 when the sample is refused or cannot be signed here, or a forgery is taken.
    """
    from cli.sources import try_source

    raise typer.Exit(try_source(source, file, as_json=json))


@sources.command("explain")
def explain_delivery(
    source: Annotated[str, typer.Option(help="Source of the delivery.")],
    headers: Annotated[Path, typer.Option(help="File with its headers: lines `Name: value`, or a JSON object.")],
    body: Annotated[Path | None, typer.Option(help="File with its body, `-` for standard input.")] = None,
    method: Annotated[str, typer.Option(help="Its method.")] = "POST",
    url: Annotated[str, typer.Option(help="Its path and query, if not /webhooks/SOURCE.")] = "",
    client: Annotated[str | None, typer.Option(help="Address of the sender.")] = None,
    moment: Annotated[float | None, typer.Option("--at", help="Time of arrival (Unix time); default: now.")] = None,
    file: SourcesPath = None,
    json: Json = False,
) -> None:
    """Show why a delivery is accepted or refused: secret, signed text, digests, clock. Prints no secrets.

    Exits 1 when it would be refused. Reads REDIS_URL, if set, for what handshakes have left there.
    """
    from cli.sources import explain

    raise typer.Exit(
        explain(
            source,
            headers=headers,
            body=body,
            file=file,
            method=method,
            url=url,
            client=client,
            moment=moment,
            as_json=json,
        )
    )


@sources.command("refusals")
def list_refusals(
    source: Annotated[str | None, typer.Option(help="Those of this source.")] = None,
    limit: Annotated[int, typer.Option(min=0, max=500, help="How many, newest first.")] = 20,
    json: Json = False,
) -> None:
    """Show the last refused deliveries with their reasons. Needs REDIS_URL, or a `truto-worker dev` in this folder."""
    from cli.sources import list_refusals

    raise typer.Exit(list_refusals(source=source, limit=limit, as_json=json))
