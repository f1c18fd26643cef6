"""Spool files as bytes: what is found again after any cut or flip, and that no sender can plant a record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import CorruptEvent
from events.event import Verified
from events.records import HEAD_BYTES, Kind, frame, pack, scan, unpack

KEY = bytes(range(16))
PAYLOADS = [b"first", b"", b"third \xf5tw\x01 with a mark", b"last one"]
texts = st.text(max_size=20)
deliveries = st.lists(
    st.builds(
        Verified,
        source=texts,
        type=texts,
        id=texts,
        body=st.binary(max_size=200),
        headers=st.dictionaries(texts, texts, max_size=3),
        raw=st.binary(max_size=50),
        secret_position=st.integers(0, 9),
        bytes_apart=st.just(0),  # only the store is given bodies apart
        digest_apart=st.none(),
        subject=st.none(),  # it is read from the body again
    ),
    max_size=4,
)


def framed(payloads: list[bytes], key: bytes = KEY) -> bytes:
    return b"".join(frame(payload, key) + payload for payload in payloads)


def found(data: bytes, kind: Kind = Kind.RECORD) -> list[bytes]:
    """The payloads of the records in *data*, or the bytes of its other stretches."""
    stretches = [stretch for stretch in scan(data, KEY) if stretch.kind is kind]
    return [data[s.payload] if kind is Kind.RECORD else data[s.start : s.end] for s in stretches]


@given(deliveries)
def test_a_delivery_comes_back_as_it_was(delivery: list[Verified]) -> None:
    assert unpack(pack(delivery)) == delivery


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_records_come_back_in_order(payloads: list[bytes]) -> None:
    assert found(framed(payloads)) == payloads


@pytest.mark.parametrize("cut", range(HEAD_BYTES + len(PAYLOADS[-1])))
def test_a_tail_torn_anywhere_costs_the_last_record_only(cut: int) -> None:
    whole = framed(PAYLOADS[:-1])
    torn = framed(PAYLOADS)[: len(whole) + cut]
    assert found(torn) == PAYLOADS[:-1]
    assert b"".join(found(torn, Kind.TORN)) == torn[len(whole) :]
    assert found(torn, Kind.DAMAGED) == []


def test_a_file_that_grew_without_its_contents_is_torn() -> None:
    data = framed(PAYLOADS) + bytes(5000)
    assert found(data) == PAYLOADS
    assert found(data, Kind.TORN) == [bytes(5000)]


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
@pytest.mark.parametrize("hit", range(len(PAYLOADS)))
def test_a_flip_anywhere_costs_one_record_and_nothing_goes_unnoticed(hit: int, mask: int) -> None:
    data = framed(PAYLOADS)
    start = len(framed(PAYLOADS[:hit]))
    for offset in range(start, len(framed(PAYLOADS[: hit + 1]))):
        flipped = bytearray(data)
        flipped[offset] ^= mask
        assert found(bytes(flipped)) == PAYLOADS[:hit] + PAYLOADS[hit + 1 :]
        (damaged,) = found(bytes(flipped), Kind.DAMAGED)
        assert damaged == flipped[start : start + HEAD_BYTES + len(PAYLOADS[hit])]


@given(st.binary(max_size=400), st.data())
def test_any_bytes_are_divided_without_gap_or_overlap(noise: bytes, data: st.DataObject) -> None:
    whole = framed(PAYLOADS)
    at = data.draw(st.integers(0, len(whole)))
    mixed = whole[:at] + noise + whole[at:]
    edges = [(stretch.start, stretch.end) for stretch in scan(mixed, KEY)]
    assert b"".join(mixed[start:end] for start, end in edges) == mixed
    assert set(found(mixed)) <= set(PAYLOADS)


def test_a_frame_inside_a_damaged_body_is_not_taken_for_a_record() -> None:
    planted = framed([b"forged"], key=bytes(16))
    data = bytearray(framed([b"body: " + planted, b"next"]))
    data[6] ^= 1  # a byte of the length, so that the next head has to be searched for
    assert found(bytes(data)) == [b"next"]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\n",
        b"no json\n",
        b"{}\nrest",
        b"7\n",
        b"[7]\n",
        b"[{}]\n",
        b'[{"lengths":[]}]\n',
        b'[{"lengths":[-1,0]}]\n',
        b'[{"lengths":[true,0]}]\n',
        b'[{"lengths":[0,0],"source":"s","type":1,"id":"i","headers":{},"secret_position":0}]\n',
        b'[{"lengths":[0,0],"source":"s","type":"t","id":"i","headers":[],"secret_position":0}]\n',
        b'[{"lengths":[0,0],"source":"s","type":"t","id":"i","headers":{"a":1},"secret_position":0}]\n',
        b'[{"lengths":[9,0],"source":"s","type":"t","id":"i","headers":{},"secret_position":0}]\n',
        b"[]\nrest",
    ],
)
def test_what_is_no_delivery_is_corrupt(payload: bytes) -> None:
    with pytest.raises(CorruptEvent):
        unpack(payload)
