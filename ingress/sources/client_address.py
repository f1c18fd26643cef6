"""The address of who called: the peer's, or what trusted proxies say of it."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from ingress.verification.head import RawHeaders, values_of

_LISTED = "forwarded-for"
_WITH_PORT = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}|\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?", re.ASCII)


def forwarded_address(headers: RawHeaders, name: str, proxies: int) -> str:
    """The address that the outermost of so many trusted *proxies* saw, from the header *name*; ``""`` where none is.

    Each proxy appends the address of who called it, in the same line or in one of its own, so what stands further left
    is the caller's own word. Lines are joined for ``X-Forwarded-For`` and its like alone: of two lines of a header that
    holds one address, which one a proxy wrote cannot be told.
    """
    lines = [value.decode("latin-1") for value in values_of(headers, name.encode("latin-1", "replace"))]
    if len(lines) > 1 and not name.endswith(_LISTED):
        return ""
    hops = ",".join(lines).split(",")
    return hops[-proxies].strip() if len(hops) >= proxies else ""


def read_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address in *text*, with or without a port (Azure: ``192.0.2.1:5678``, ``[2001:db8::1]:443``), or ``None``."""
    if found := _WITH_PORT.fullmatch(text):
        text = found[1] or found[2]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
