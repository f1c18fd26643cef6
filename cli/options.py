"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]
SourcesPath = Annotated[
    Path | None, typer.Option("--file", help="Default: SOURCES_FILE, else sources.yaml in this folder.")
]
