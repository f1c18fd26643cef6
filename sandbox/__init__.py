"""A local imitation of the Truto API that really delivers signed webhooks, for development and tests."""

from sandbox.app import create_app
from sandbox.config import SandboxConfig

__all__ = ["SandboxConfig", "create_app"]
