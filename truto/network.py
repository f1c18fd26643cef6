"""Where requests that others describe may connect to: public addresses, and nothing inside our own network.

A name is resolved and all its addresses are checked for each new connection, which is then made to one of them: a name
that changes its answer between check and use gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

import httpcore
import httpx

from truto.errors import AddressRefused, TransportError

_MAX_TRIED = 4

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


# All that is not global unicast (IANA's special-purpose registries). Listed here because `ipaddress.is_global` differs
# between releases of Python.
_INSIDE = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared with a carrier; Alibaba's metadata is at 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's wire server, although its address is a public one
        "169.254.0.0/16",  # link-local; most clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata is at 192.0.0.192
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
        # Global unicast is 2000::/3. Around it: loopback, mapped, NAT64; unique, link- and site-local; multicast.
        "::/3",
        "4000::/2",
        "8000::/1",
        "2001::/23",  # protocol assignments; Teredo
        "2001:db8::/32",
        "2002::/16",  # 6to4 leads to any IPv4 address
        "3fff::/20",
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Whether *address* is global unicast, and not the metadata service of a cloud.

    An IPv6 address that stands for an IPv4 one (mapped, or of NAT64) is judged by that one.
    """
    if isinstance(address, ipaddress.IPv6Address):
        carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address.ipv4_mapped
        if carried is not None:
            return is_public(carried)
    return not _is_within(address, _INSIDE)


def _is_within(address: Address, networks: Iterable[_Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


@dataclass(frozen=True, slots=True)
class Allowed:
    """Internal addresses that are allowed: ``host``, ``host:port`` or networks such as ``10.0.0.0/8``.

    Raises :class:`ValueError` for an entry that is none of these.
    """

    hosts: frozenset[tuple[str, int | None]] = frozenset()
    networks: tuple[_Network, ...] = ()

    @classmethod
    def parse(cls, entries: Sequence[str]) -> Allowed:
        """Read the value of a setting such as ``WORKFLOWS_HTTP_ALLOW``, already split."""
        hosts, networks = set(), []
        for entry in filter(None, entries):
            try:
                networks.append(ipaddress.ip_network(entry))
            except ValueError:
                hosts.add(_host_and_port(entry))
        return cls(frozenset(hosts), tuple(networks))

    def includes(self, host: str, port: int, address: Address) -> bool:
        """Whether this address is allowed for this host name, given in lower-case ASCII."""
        return (
            is_public(address)
            or not self.hosts.isdisjoint({(host, None), (host, port)})
            or _is_within(address, self.networks)
        )


def _host_and_port(entry: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(f"//{entry}")
        host, port = httpx.URL(f"http://{parts.netloc}").raw_host.decode("ascii"), parts.port
    except (ValueError, httpx.InvalidURL):
        host, port = "", None
    if not host or "/" in entry or "@" in entry:
        raise ValueError(f"{entry!r} is neither host, host:port nor a network such as 10.0.0.0/8")
    return host, port


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects through *network*, but only to public addresses and those that are *allowed*."""

    def __init__(self, network: httpcore.AsyncNetworkBackend, allowed: Allowed) -> None:
        self._network = network
        self._allowed = allowed

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of *host* that answers.

        Raises :class:`AddressRefused` before any connection is made, :class:`TransportError` if there is no address,
        and httpcore's errors if none answers.
        """
        addresses = (await self._checked(host, port))[:_MAX_TRIED]
        for last, address in enumerate(addresses, start=1 - len(addresses)):
            try:
                each = None if timeout is None else timeout / len(addresses)
                return await self._network.connect_tcp(str(address), port, each, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if last == 0:
                    raise
        raise TransportError(f"{host} has no address", sent=False)

    async def _checked(self, host: str, port: int) -> list[Address]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            raise TransportError(f"{host} cannot be resolved: {type(exc).__name__}", sent=False) from None
        addresses = [ipaddress.ip_address(str(entry[4][0])) for entry in found]
        if not all(self._allowed.includes(host, port, address) for address in addresses):
            raise AddressRefused("leads into a private network")
        return list(dict.fromkeys(addresses))


def restricted(transport: httpx.AsyncHTTPTransport, allowed: Allowed) -> httpx.AsyncHTTPTransport:
    """*transport*, from now on connecting through a :class:`CheckedNetwork`."""
    # httpx has no public place for a network of one's own; tests/unit/truto/test_network.py holds both names.
    pool = transport._pool  # noqa: SLF001
    pool._network_backend = CheckedNetwork(pool._network_backend, allowed)  # noqa: SLF001
    return transport
