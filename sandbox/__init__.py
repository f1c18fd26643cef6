"""A local imitation of the Truto API that really delivers signed webhooks, for development and tests."""

from sandbox.app import create_app
from sandbox.config import SandboxConfig
from sandbox.errors import StateFileError

__all__ = ["SandboxConfig", "StateFileError", "create_app"]
