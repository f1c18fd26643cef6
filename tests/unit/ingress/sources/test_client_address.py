"""Who called is what the trusted proxies say, in whatever spelling, and never what the caller writes in front of it."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.sources.client_address import forwarded_address, read_address

CLIENT = "203.0.113.7"


def lines(*values: str, name: str = "x-forwarded-for") -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for value in values]


@pytest.mark.bad_input(242)
@pytest.mark.parametrize(
    ("text", "address"),
    [
        (CLIENT, CLIENT),
        (f"{CLIENT}:51234", CLIENT),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        (f"[::ffff:{CLIENT}]:443", CLIENT),
        (f"::ffff:{CLIENT}", CLIENT),  # the peer, where one socket listens for IPv4 and IPv6
    ],
)
def test_an_address_is_read_with_or_without_a_port(text: str, address: str) -> None:
    assert read_address(text) == ip_address(address)


@pytest.mark.parametrize(
    "text", ["", "unknown", f"{CLIENT}:", f"{CLIENT}:x", "[2001:db8::1", "a:1", f"{CLIENT}:1:2", "_h"]
)
def test_anything_else_is_no_address(text: str) -> None:
    assert read_address(text) is None


@pytest.mark.bad_input(243)
def test_several_lines_are_one_list_in_their_order() -> None:
    assert forwarded_address(lines("10.0.0.1", f"10.0.0.2, {CLIENT}"), "x-forwarded-for", 1) == CLIENT


@pytest.mark.bad_input(243)
def test_two_lines_of_a_header_for_one_address_say_nothing() -> None:
    assert forwarded_address(lines(CLIENT, CLIENT, name="x-real-ip"), "x-real-ip", 1) == ""


def test_with_two_trusted_proxies_the_outer_one_counts() -> None:
    assert forwarded_address(lines(f"6.6.6.6, {CLIENT}, 10.0.0.9"), "x-forwarded-for", 2) == CLIENT


@pytest.mark.bad_input(244)
def test_fewer_entries_than_trusted_proxies_say_nothing() -> None:
    assert forwarded_address(lines(CLIENT), "x-forwarded-for", 2) == ""
    assert forwarded_address([], "x-forwarded-for", 1) == ""


@pytest.mark.bad_input(244)
@given(
    forged=st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126)), max_size=5),
    inner=st.lists(st.just("10.0.0.9"), max_size=3),
)
def test_what_the_caller_wrote_never_counts(forged: list[str], inner: list[str]) -> None:
    told = lines(*forged, ", ".join([CLIENT, *inner]))
    assert forwarded_address(told, "x-forwarded-for", 1 + len(inner)) == CLIENT
