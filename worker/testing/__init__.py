"""Test handlers as they run: no services, no network, and a clock that you move.

With pytest, ask for the fixture ``truto``; elsewhere, ``async with TrutoKit() as truto``. Needs the extra ``test``.
"""

from worker.testing.api import Api, ApiCall
from worker.testing.kit import Delivered, Run, TrutoKit
from worker.testing.notifications import Notification

__all__ = ["Api", "ApiCall", "Delivered", "Notification", "Run", "TrutoKit"]
