"""Everything this package raises on purpose, apart from outcomes of runs (:mod:`worker.errors`, :mod:`truto.errors`).

::

    WorkflowsError
    └── HttpRequestFailed   the other side of ``http_request`` did not answer, or asked to try again later
"""

from __future__ import annotations


class WorkflowsError(Exception):
    """Base of everything raised here on purpose; catching it never hides a bug."""


class HttpRequestFailed(WorkflowsError):
    """The server did not answer, or asked to try again later."""
