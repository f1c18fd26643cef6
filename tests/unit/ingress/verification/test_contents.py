"""Bodies are read at a bounded cost, and refused by what they would become, however they are spelled."""

from __future__ import annotations

import time
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import MalformedEvent
from ingress.multipart import envelope_part
from ingress.verification.complexity import MAX_PARTS, MAX_VALUES, check_complexity
from ingress.verification.contents import MAX_UNPROVEN_FORM_BYTES, read_body, read_fields, sorted_fields

FORM = [(b"content-type", b"application/x-www-form-urlencoded")]
TEN_MEGABYTES = 10 * 1024 * 1024


def keys(number: int, colon: bytes) -> bytes:
    return b"{" + b",".join(b'"%06x"%b1' % (each, colon) for each in range(number)) + b"}"


@pytest.mark.bad_input(156)
@pytest.mark.parametrize("colon", [b":", b" :", b"\t:", b"\r\n :", b"  \n :"], ids=repr)
def test_too_many_keys_are_too_many_with_any_whitespace(colon: bytes) -> None:
    check_complexity(keys(MAX_PARTS - 2, colon))
    with pytest.raises(MalformedEvent, match="keys"):
        check_complexity(keys(MAX_PARTS - 1, colon))


@pytest.mark.bad_input(157)
@pytest.mark.parametrize("value", [b'"a"', b"0.1", b"null", b' "a" ', b"1\n"], ids=repr)
def test_a_million_values_are_too_many_of_any_kind(value: bytes) -> None:
    check_complexity(b"[" + b",".join([value] * MAX_VALUES) + b"]")
    with pytest.raises(MalformedEvent, match="values"):
        check_complexity(b"[" + b",".join([value] * (MAX_VALUES + 1)) + b"]")


def test_colons_in_texts_are_no_keys() -> None:
    check_complexity(b'{"text":"' + b"12:34:56 " * 100_000 + b'"}')


def test_counting_ten_megabytes_costs_little() -> None:
    body = b"{" + b'"k" :1,' * (TEN_MEGABYTES // 7) + b"}"
    began = time.thread_time()
    with pytest.raises(MalformedEvent):
        check_complexity(body)
    assert time.thread_time() - began < 0.3


def test_an_attachment_of_a_form_is_no_json_to_be_counted() -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="e"\r\n\r\n{"event":"x"}\r\n'
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.csv"\r\n\r\n'
        + b"1,2,3\n" * 600_000
        + b"\r\n--b--\r\n"
    )
    assert envelope_part(b"multipart/form-data; boundary=b", body) == b'{"event":"x"}'


# -- forms -------------------------------------------------------------------------------------------------------------


@given(st.text("%=&+;aF4C3 \u00e9\r\n", max_size=40))
def test_a_form_is_read_as_the_standard_library_reads_it(text: str) -> None:
    expected: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        expected.setdefault(name, []).append(value)
    read = read_fields(text.encode())
    found = {name: value if isinstance(value, list) else [value] for name, value in read.items()}
    assert found == expected


@pytest.mark.bad_input(158)
def test_ten_megabytes_of_escapes_are_read_in_a_fraction_of_a_second() -> None:
    body = b"a=" + b"%41" * (TEN_MEGABYTES // 3 - 10)
    began = time.thread_time()
    assert read_body(FORM, body).value == {"a": "A" * (TEN_MEGABYTES // 3 - 10)}
    assert time.thread_time() - began < 0.9


@pytest.mark.bad_input(158)
@pytest.mark.parametrize(
    "body", [b"a=" + b"%" * 1000, b"a=" + b"%4" * 1000, b"&" * 1000], ids=["signs", "cut", "fields"]
)
def test_a_form_that_would_cost_more_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedEvent) as caught:
        read_body(FORM, body)
    assert caught.value.reason == "form_malformed"


def test_a_percent_sign_that_escapes_nothing_stays() -> None:
    assert read_body(FORM, b"discount=10%&b=%zz%41").value == {"discount": "10%", "b": "%zzA"}


@pytest.mark.bad_input(160)
@pytest.mark.parametrize(
    ("form", "signed"),
    [
        (b"", b""),
        (b"B=2&A=1", b"A1B2"),
        (b"Address=%2B1855&Address=%2B1833&A=1", b"A1Address+1833Address+1855"),
        (b"A=1&A=1&A=0", b"A0A1"),
        (b"a=1&B=2", b"B2a1"),
        (b"A=&B=x+y", b"ABx y"),
        ("A=\u00e9".encode(), "A\u00e9".encode()),
    ],
)
def test_the_fields_of_a_form_are_sorted_and_joined_with_each_distinct_value_once(form: bytes, signed: bytes) -> None:
    assert sorted_fields(form) == signed


def test_fields_are_sorted_for_strangers_only_up_to_a_size() -> None:
    sorted_fields(b"a=" + b"x" * (MAX_UNPROVEN_FORM_BYTES - 2))
    with pytest.raises(MalformedEvent):
        sorted_fields(b"a=" + b"x" * (MAX_UNPROVEN_FORM_BYTES - 1))
