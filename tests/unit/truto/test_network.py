"""Where ``http_request`` may connect to: which addresses are public, and that only checked ones are connected to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from truto.errors import AddressRefused, TransportError
from truto.network import Allowed, CheckedNetwork, is_public, restricted

PUBLIC = "93.184.216.34"
INSIDE = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"),
    *("168.63.129.16", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("192.0.0.192", "192.0.0.8", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.1"),
    *("203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *(
        "::",
        "::1",
        "::7f00:1",
        "::808:808",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "feff::1",
    ),
    *("ff02::1", "100::1", "2001::1", "2001:2::1", "2001:10::1", "2001:db8::1", "3fff::1", "5f00::1", "4000::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    *("64:ff9b:1::808:808", "2002:7f00:1::", "2002:808:808::1", "2001:0:808:808::1"),
]
OUTSIDE = [
    *(PUBLIC, "8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "168.63.129.17"),
    *("192.0.1.1", "198.17.0.1", "198.20.0.1", "223.255.255.255", "11.0.0.1", "169.253.0.1", "192.167.0.1"),
    *("2606:2800:220:1::1", "2001:4860:4860::8888", "2a00:1450::1", "3ffe::1", "2001:200::1"),
    *("::ffff:8.8.8.8", "64:ff9b::808:808"),
]
# Python calls these global; nobody needs them here. What it calls so besides differs between its releases.
STRICTER = tuple(
    map(
        ipaddress.ip_network,
        (
            "168.63.129.16/32",
            "192.0.0.0/24",
            "192.88.99.0/24",
            "2001::/23",
            "2002::/16",
            "3fff::/20",
            "4000::/2",
            "8000::/1",
        ),
    )
)


@pytest.mark.bad_input(228)
@pytest.mark.parametrize("address", INSIDE)
def test_an_address_that_is_not_global_unicast_is_inside(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@given(number=st.integers(0, 2**32 - 1))
@example(number=int(ipaddress.IPv4Address("168.63.129.16")))
def test_ipv4_is_judged_as_python_does_but_stricter(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    theirs = address.is_global and not address.is_multicast and not address.is_reserved
    excepted = any(address in network for network in STRICTER if network.version == 4)
    assert is_public(address) is (theirs and not excepted)


@given(number=st.integers(0, 2**128 - 1) | st.integers(2**125, 2**126 - 1) | st.integers(2**112, 2**112 + 2**110))
def test_ipv6_is_never_public_where_python_says_it_is_not(number: int) -> None:
    address = ipaddress.IPv6Address(number)
    theirs = address.is_global and not (address.is_multicast or address.is_reserved or address.is_site_local)
    carries = address.ipv4_mapped is not None or address in ipaddress.ip_network("64:ff9b::/96")
    excepted = any(address in network for network in STRICTER if network.version == 6)
    if not carries:
        assert is_public(address) is (theirs and not excepted and address in ipaddress.ip_network("2000::/3"))


@pytest.mark.bad_input(228)
@given(number=st.integers(0, 2**32 - 1))
def test_an_ipv4_address_inside_of_another_is_no_more_public_than_itself(number: int) -> None:
    public = is_public(ipaddress.IPv4Address(number))
    for prefix, shift in (("::ffff:0:0", 0), ("64:ff9b::", 0)):
        assert is_public(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + (number << shift))) is public
    for prefix, shift in (("::", 0), ("::ffff:0:0:0", 0), ("2002::", 80), ("64:ff9b:1::", 0)):
        assert not is_public(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + (number << shift)))


# -- the allow list ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "host", "port", "allowed"),
    [
        ("billing", "billing", 80, True),
        ("billing", "billing.evil.example", 80, False),
        ("billing:8080", "billing", 8080, True),
        ("billing:8080", "billing", 80, False),
        ("BILLING", "billing", 80, True),
        ("münchen.example", "xn--mnchen-3ya.example", 80, True),
        ("10.0.0.0/8", "any", 80, True),
        ("10.0.0.1", "any", 80, True),
        ("10.0.0.1:81", "10.0.0.1", 81, True),
        ("fd00::/8", "any", 80, False),
        ("192.168.0.0/16", "any", 80, False),
    ],
)
def test_an_operator_s_list_opens_what_it_names(entry: str, host: str, port: int, allowed: bool) -> None:
    assert Allowed.parse([entry]).includes(host, port, ipaddress.ip_address("10.0.0.1")) is allowed


@pytest.mark.parametrize("entry", ["a b/c", "user@host", "host:port", "http://a/b", ":80", "host:99999", "10.0.0.1/8"])
def test_an_allow_list_with_an_odd_entry_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="neither host"):
        Allowed.parse([entry])


# -- connecting --------------------------------------------------------------------------------------------------------


class Wires(httpcore.AsyncNetworkBackend):
    """A network that notes where it is led; the addresses that are *down* do not answer."""

    def __init__(self, *down: str) -> None:
        self.down = down
        self.tried: list[tuple[str, int]] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.tried.append((host, port))
        if host in self.down:
            raise httpcore.ConnectError("nobody there")
        return httpcore.AsyncMockStream([])


class Names:
    """Answers to look-ups of a name, one after the other; the last one for ever after."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def getaddrinfo(self, host: str, port: int, **_: object) -> list[Any]:
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_UNSPEC, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


async def connect(
    monkeypatch: pytest.MonkeyPatch, names: Names, wires: Wires, times: int = 1, allowed: Allowed | None = None
) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names.getaddrinfo)
    network = CheckedNetwork(wires, allowed or Allowed())
    for _ in range(times):
        await network.connect_tcp("name.example", 443, timeout=1)


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    names, wires = Names([PUBLIC]), Wires()
    await connect(monkeypatch, names, wires)
    assert (names.asked, wires.tried) == (["name.example"], [(PUBLIC, 443)])


@pytest.mark.bad_input(226)
async def test_a_name_that_changes_its_answer_is_checked_for_each_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    names, wires = Names([PUBLIC], ["127.0.0.1"]), Wires()
    with pytest.raises(AddressRefused, match="private network"):
        await connect(monkeypatch, names, wires, times=2)
    assert wires.tried == [(PUBLIC, 443)]


@pytest.mark.bad_input(227)
@pytest.mark.parametrize("found", [[PUBLIC, "10.0.0.1"], ["fec0::1", PUBLIC], ["169.254.169.254"]], ids=str)
async def test_one_address_inside_refuses_the_name(monkeypatch: pytest.MonkeyPatch, found: list[str]) -> None:
    wires = Wires()
    with pytest.raises(AddressRefused):
        await connect(monkeypatch, Names(found), wires)
    assert wires.tried == []


async def test_an_allowed_name_may_lead_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    wires = Wires()
    await connect(monkeypatch, Names(["10.0.0.1"]), wires, allowed=Allowed.parse(["name.example:443"]))
    assert wires.tried == [("10.0.0.1", 443)]


async def test_the_next_address_is_tried_where_one_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    wires = Wires("2606:2800::1")
    await connect(monkeypatch, Names(["2606:2800::1", "2606:2800::1", PUBLIC]), wires)
    assert wires.tried == [("2606:2800::1", 443), (PUBLIC, 443)]


async def test_a_name_with_many_dead_addresses_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [f"93.184.216.{number}" for number in range(100)]
    wires = Wires(*found)
    with pytest.raises(httpcore.ConnectError):
        await connect(monkeypatch, Names(found), wires)
    assert len(wires.tried) == 4


async def test_a_name_without_an_address_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TransportError, match="no address"):
        await connect(monkeypatch, Names([]), Wires())


async def test_httpx_keeps_its_network_where_we_put_ours() -> None:
    """A contract with httpx and httpcore: both names are private."""
    async with httpx.AsyncClient(transport=restricted(httpx.AsyncHTTPTransport(verify=False), Allowed())) as client:
        with pytest.raises(AddressRefused):
            await client.get("http://127.0.0.1:1/")
