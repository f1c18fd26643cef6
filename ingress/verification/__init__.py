"""Decide whether a delivery is authentic, and which events it carries. Performs no I/O.

Read on in ``pipeline``.
"""

from ingress.verification.head import RawHeaders, check_head

__all__ = ["RawHeaders", "check_head"]
