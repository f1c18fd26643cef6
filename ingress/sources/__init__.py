"""The configured senders: what ``sources.yaml`` says, and what is made of it.

Only the source for Truto itself is imported here. ``ingress.sources.loading`` reads files, and brings pydantic and the
presets with it.
"""

from ingress.sources.source import Source, truto_source

__all__ = ["Source", "truto_source"]
