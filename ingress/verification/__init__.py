"""Decide whether a delivery is authentic, and which events it carries. Performs no I/O.

``truto`` is the short way for Truto's own deliveries, ``pipeline`` the way for every other source.
"""

from ingress.verification.head import RawHeaders, check_head
from ingress.verification.truto import check_delivery

__all__ = ["RawHeaders", "check_delivery", "check_head"]
