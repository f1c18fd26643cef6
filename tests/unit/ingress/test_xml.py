"""XML becomes fields that references can name, within bounds, and without a document type."""

from __future__ import annotations

import hmac
import time
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import MalformedEvent
from ingress.answers import Refusal
from ingress.sources.loading import read_source
from ingress.verification.outcome import Accepted
from ingress.xml import MAX_DEPTH, MAX_ELEMENTS, read_xml
from tests.unit.ingress.sources.senders import SECRET, of_headers, verify

SALESFORCE = b"""<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">
 <soapenv:Body>
  <notifications xmlns="http://soap.sforce.com/2005/09/outbound">
   <OrganizationId>00D1</OrganizationId>
   <Notification>
    <Id>04l1</Id>
    <sObject xsi:type="sf:Contact" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
     <sf:Id xmlns:sf="urn:x">003</sf:Id></sObject>
   </Notification>
  </notifications>
 </soapenv:Body>
</soapenv:Envelope>"""

WEBHOOK = {
    "signature_verification": {
        "format": "hmac",
        "config": {"compare_with": "{{headers.x-signature}}", "parts": ["raw_body"]},
    }
}
EVENT = {"id": "{{body.Envelope.Body.notifications.Notification.Id}}"}


def outcome_of(body: bytes, media: str = "text/xml; charset=utf-8", **options: Any) -> Any:
    options = {"media_types": ["xml"], **options}
    on = read_source("s", {"webhook": WEBHOOK, "secrets": [SECRET], "options": options}, {})
    made = hmac.digest(SECRET.encode(), body, "sha256").hex()
    return verify(on, of_headers({"x-signature": made, "content-type": media}, body))


@pytest.mark.parametrize("media", ["text/xml; charset=utf-8", "application/xml", "application/soap+xml"])
def test_an_outbound_message_is_an_event_with_its_type_and_id(media: str) -> None:
    event = {"type": "{{body.Envelope.Body.notifications.OrganizationId}}", "id": EVENT["id"]}
    outcome = outcome_of(SALESFORCE, media, event=event)
    assert isinstance(outcome, Accepted)
    (made,) = outcome.events
    assert (made.type, made.id, made.raw) == ("00D1", "04l1", SALESFORCE)
    notification = orjson.loads(made.body)["Envelope"]["Body"]["notifications"]["Notification"]
    assert notification == {"Id": "04l1", "sObject": {"@type": "sf:Contact", "Id": "003"}}


def test_repeated_elements_are_a_list_and_text_beside_attributes_stays() -> None:
    assert read_xml(b'<a><b>1</b><b x="2">3</b><c/>tail</a>') == {
        "a": {"b": ["1", {"@x": "2", "#text": "3"}], "c": "", "#text": "tail"}
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_an_encoding_that_is_declared_is_read(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><a>caf\u00e9</a>'
    assert read_xml(text.encode(encoding)) == {"a": "caf\u00e9"}


LAUGHS = b"".join(b'<!ENTITY l%d "%b">' % (n, b"&l%d;" % (n - 1) * 10 if n else b"lol") for n in range(10))
HOSTILE = {
    "billion laughs": b"<!DOCTYPE a [" + LAUGHS + b"]><a>&l9;</a>",
    "quadratic": b'<!DOCTYPE a [<!ENTITY l "' + b"x" * 10_000 + b'">]><a>' + b"&l;" * 1000 + b"</a>",
    "a file": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    "an address": b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x.dtd"><a/>',
    "a parameter": b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:1/">%x;]><a/>',
}


@pytest.mark.bad_input(246)
@pytest.mark.parametrize("body", HOSTILE.values(), ids=list(HOSTILE))
def test_a_document_type_is_refused_unread(body: bytes) -> None:
    outcome = outcome_of(body)
    assert isinstance(outcome, Refusal)
    assert (outcome.status, outcome.reason) == (400, "xml_document_type")


@pytest.mark.bad_input(247)
@pytest.mark.parametrize(
    "body",
    [b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1), b"<a>" + b"<b/>" * (2 * MAX_ELEMENTS) + b"</a>"],
    ids=["deep", "many"],
)
def test_too_many_elements_are_refused(body: bytes) -> None:
    outcome = outcome_of(body)
    assert (outcome.status, outcome.reason) == (400, "too_complex")


@pytest.mark.bad_input(247)
def test_the_most_elements_are_read_in_little_time() -> None:
    began = time.thread_time()
    read_xml(b"<a>" + b"<b>x</b>" * (MAX_ELEMENTS - 1) + b"</a>")
    assert time.thread_time() - began < 2


@pytest.mark.bad_input(245)
def test_xml_is_refused_where_the_source_takes_json_and_json_where_it_takes_xml() -> None:
    assert outcome_of(b'{"event":"x"}').reason == "not_xml"
    assert outcome_of(b"<a/>", "application/json", media_types=["json", "xml"]).reason == "not_json"
    form = "application/x-www-form-urlencoded"
    assert outcome_of(b"<a/>", form, media_types=["form", "xml"]).reason == "media_type_mismatch"


@pytest.mark.parametrize("body", [b"", b"<", b"<a>", b"<a></b>", b"<a/><b/>", b"<a>&x;</a>", b"\xff\xfe", b"\x00"])
def test_what_is_no_xml_is_malformed(body: bytes) -> None:
    assert outcome_of(body).status == 400


@given(st.binary(max_size=200) | st.text("<>/=\"'&;![]?abx \n", max_size=200).map(str.encode))
def test_whatever_comes_is_read_or_malformed(body: bytes) -> None:
    with suppress(MalformedEvent):
        orjson.dumps(read_xml(body))
