"""An action that does nothing, for workflows whose cost is to be seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflows import StepContext, action


@action("noop")
async def noop(config: Mapping[str, Any], step: StepContext) -> None:
    """Do nothing."""
