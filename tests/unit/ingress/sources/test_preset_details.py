"""What single presets do beyond the table of senders: handshakes, claims, second signatures, lists of events."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from ingress.answers import Refusal
from ingress.errors import Faults
from ingress.sources.layers import read_preset
from ingress.sources.loading import read_source
from ingress.verification.context import Delivery
from ingress.verification.outcome import Accepted, Handshake, Outcome
from tests.unit.ingress.sources.senders import (
    ISO,
    NOTIFICATION,
    NOW,
    OTHER,
    OUTBOUND_MESSAGE,
    SECRET,
    SENDERS,
    Sender,
    b64,
    digest,
    gmail,
    gong,
    of_headers,
    plaid,
    verify,
)


def sender(preset: str) -> Sender:
    return next(one for one in SENDERS if one.preset == preset)


def cause_of(outcome: Outcome) -> str:
    assert isinstance(outcome, Refusal), outcome
    assert outcome.status == 401
    return outcome.logged_reason


# -- handshakes --------------------------------------------------------------------------------------------------------

META = {"preset": "meta", "secrets": [SECRET], "context": {"verify_token": "meatyhamhock"}}
CHALLENGE = b"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="


def meta_answers(query: bytes, given: dict[str, Any] | None = None) -> Outcome:
    return verify(read_source("meta", given or META, {}), of_headers({}, b"", method="GET", query=query))


def test_meta_s_challenge_is_answered_where_the_verify_token_is_right() -> None:
    outcome = meta_answers(CHALLENGE + b"meatyhamhock")
    assert isinstance(outcome, Handshake)
    assert (outcome.status, outcome.body) == (200, b"1158201444")
    assert outcome.headers["content-type"] == "text/plain"


@pytest.mark.bad_input(279)
@pytest.mark.parametrize("token", [b"", b"wrong", b"meatyhamhock&hub.verify_token=meatyhamhock", b"MEATYHAMHOCK"])
def test_another_verify_token_has_no_challenge_answered(token: bytes) -> None:
    outcome = meta_answers(CHALLENGE + token)
    assert isinstance(outcome, Handshake)
    assert (outcome.status, outcome.body) == (403, b"")


@pytest.mark.bad_input(279)
@pytest.mark.parametrize("query", [CHALLENGE, CHALLENGE.removesuffix(b"&hub.verify_token=")])
def test_without_a_configured_verify_token_no_challenge_is_answered(query: bytes) -> None:
    outcome = meta_answers(query, {"preset": "meta", "secrets": [SECRET]})
    assert isinstance(outcome, Handshake)
    assert (outcome.status, outcome.body) == (403, b"")


def test_the_unsigned_ping_of_hibob_is_answered_and_makes_no_event() -> None:
    outcome = verify(sender("hibob").source(), of_headers({}, b'{"text":"Ping test"}'))
    assert isinstance(outcome, Handshake)
    assert (outcome.status, outcome.body) == (200, b"")


def test_a_ping_of_hibob_with_an_event_in_it_makes_no_event_either() -> None:
    body = b'{"text":"Ping test","type":"employee.joined"}'
    assert isinstance(verify(sender("hibob").source(), of_headers({}, body)), Handshake)


def test_gusto_s_first_request_brings_the_verification_token() -> None:
    source = read_source("gusto", {"preset": "gusto"}, {})
    outcome = verify(source, of_headers({}, orjson.dumps({"verification_token": SECRET})))
    assert isinstance(outcome, Handshake)
    assert outcome.enrols
    signed = sender("gusto").delivery(sender("gusto").raw, SECRET)
    assert isinstance(verify(source, signed, webhook_secret=SECRET), Accepted)
    assert isinstance(verify(source, signed, webhook_secret=OTHER), Refusal)


# -- signatures in the body --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["token", "triggeredAt", "signature"])
def test_lever_s_signature_covers_its_token_and_time(field: str) -> None:
    event = orjson.loads(sender("lever").raw)
    for value in (f"{event[field]}0", "", None, [event[field]]):
        outcome = sender("lever").verify(of_headers({}, orjson.dumps({**event, field: value})))
        assert isinstance(outcome, Refusal), value
        assert outcome.status == 401


@pytest.mark.parametrize("field", ["token", "timestamp", "signature"])
def test_mailgun_s_signature_covers_its_token_and_time(field: str) -> None:
    event = orjson.loads(sender("mailgun").raw)
    for value in (f"{event['signature'][field]}0", "", None, {"a": 1}):
        changed = {**event, "signature": {**event["signature"], field: value}}
        outcome = sender("mailgun").verify(of_headers({}, orjson.dumps(changed)))
        assert isinstance(outcome, Refusal), value
        assert outcome.status == 401


@pytest.mark.parametrize("preset", ["lever", "mailgun"])
@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'{"signature":{}}', b'{"signature":"x"}'])
def test_a_body_that_holds_no_signature_is_refused(preset: str, body: bytes) -> None:
    assert isinstance(sender(preset).verify(of_headers({}, body)), Refusal)


# -- a token in the address --------------------------------------------------------------------------------------------

SALESFORCE = sender("salesforce")


@pytest.mark.parametrize(
    "query",
    [b"", b"token=", b"token=wrong", b"Token=%s", b"token=%s&token=%s", b"token=%s+", b"token=Bearer+%s"],
)
def test_a_salesforce_message_without_the_token_is_refused(query: bytes) -> None:
    query = query.replace(b"%s", SALESFORCE.secret.encode())
    delivery = of_headers({"content-type": "text/xml"}, SALESFORCE.raw, query=query)
    assert isinstance(SALESFORCE.verify(delivery), Refusal)


def test_the_token_of_salesforce_counts_in_the_address_alone() -> None:
    headers = {"content-type": "text/xml", "authorization": f"Bearer {SALESFORCE.secret}", "token": SALESFORCE.secret}
    assert isinstance(SALESFORCE.verify(of_headers(headers, SALESFORCE.raw)), Refusal)


def test_a_salesforce_message_is_one_event_for_each_notification() -> None:
    parts = [NOTIFICATION % ("04l1", "Account"), NOTIFICATION % ("04l2", "Contact")]
    outcome = SALESFORCE.verify(SALESFORCE.delivery((OUTBOUND_MESSAGE % "".join(parts)).encode(), SALESFORCE.secret))
    assert isinstance(outcome, Accepted), outcome
    assert [(event.type, event.id) for event in outcome.events] == [
        ("Account", "00D24xxx:04l1"),
        ("Contact", "00D24xxx:04l2"),
    ]
    told = orjson.loads(outcome.events[1].body)
    assert (told["OrganizationId"], told["sObject"]["Name"]) == ("00D24xxx", "Jones & Co")
    assert "SessionId" not in told


def test_salesforce_is_answered_with_an_acknowledgement() -> None:
    import xml.etree.ElementTree as ET

    answer = SALESFORCE.source().answer
    assert answer is not None
    ack = ET.fromstring(answer.body).find(".//{http://soap.sforce.com/2005/09/outbound}Ack")
    assert ack is not None
    assert ack.text == "true"


@pytest.mark.parametrize(
    ("body", "type"),
    [
        (b'{"event":"envelope-completed"}', "envelope-completed"),
        (
            b"<DocuSignEnvelopeInformation xmlns='http://www.docusign.net/API/3.0'><EnvelopeStatus>"
            b"<Status>Completed</Status></EnvelopeStatus></DocuSignEnvelopeInformation>",
            "Completed",
        ),
    ],
    ids=["json", "xml"],
)
def test_docusign_s_json_and_xml_are_read(body: bytes, type: str) -> None:  # noqa: A002
    one = sender("docusign")
    kind = "text/xml" if body.startswith(b"<") else "application/json"
    headers = {"content-type": kind, "x-docusign-signature-1": b64(digest(SECRET, body))}
    outcome = one.verify(of_headers(headers, body))
    assert isinstance(outcome, Accepted), outcome
    assert outcome.events[0].type == type


# -- claims ------------------------------------------------------------------------------------------------------------

PUSH = sender("gmail-push")


def pushed(**claims: Any) -> Delivery:
    return of_headers({**gmail(PUSH.raw, PUSH.secret, **claims), "content-type": "application/json"}, PUSH.raw)


@pytest.mark.bad_input(276)
@pytest.mark.parametrize(
    ("claims", "cause"),
    [
        ({"email": "stranger@other.iam.gserviceaccount.com"}, "jwt_claim"),
        ({"email": None}, "jwt_claim"),
        ({"email": ["gmail-push@project.iam.gserviceaccount.com"]}, "jwt_claim"),
        ({"email_verified": False}, "jwt_claim"),
        ({"email_verified": "true"}, "jwt_claim"),
        ({"email_verified": 1}, "jwt_claim"),
        ({"aud": "https://stranger.example/"}, "jwt_audience"),
        ({"iss": "https://stranger.example"}, "jwt_issuer"),
        ({"exp": int(NOW) - 60}, "jwt_expired"),
    ],
)
def test_what_google_signed_for_somebody_else_is_refused(claims: dict[str, Any], cause: str) -> None:
    assert cause_of(PUSH.verify(pushed(**claims))) == cause


@pytest.mark.bad_input(278)
@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"audience": "https://you.example"}, "claims.email"),
        ({"claims": {"email": "a@b.example"}}, "audience"),
        ({"audience": ["https://you.example", ""], "claims": {"email": "a@b.example"}}, "audience"),
        ({"audience": "https://you.example", "claims": {"email": ""}}, "claims.email"),
    ],
)
def test_gmail_push_does_not_start_without_its_audience_and_account(options: dict[str, Any], path: str) -> None:
    with pytest.raises(Faults, match=rf"gmail\.options\.jwt\.{path}: is empty; say what the sender's tokens claim"):
        read_source("gmail", {"preset": "gmail-push", "options": {"jwt": options}}, {})


@pytest.mark.parametrize("given", [{}, {"client_id": "c"}, {"client_id": "c", "secret": " "}])
def test_plaid_does_not_start_without_the_credentials_by_which_its_keys_are_asked_for(given: dict[str, str]) -> None:
    with pytest.raises(Faults, match=r"plaid\.options\.jwt\.key_request\.fields\.secret: is empty; say what of yours"):
        read_source("plaid", {"preset": "plaid", "options": {"jwt": {"key_request": {"fields": given}}}}, {})


BANK = sender("plaid")


@pytest.mark.parametrize(("seconds", "cause"), [(299, ""), (300, ""), (301, "jwt_too_old"), (-31, "jwt_not_yet")])
def test_a_token_of_plaid_s_is_good_for_five_minutes(seconds: int, cause: str) -> None:
    delivery = of_headers({**plaid(BANK.raw, BANK.secret), "content-type": "application/json"}, BANK.raw)
    outcome = BANK.verify(delivery, now=NOW + seconds)
    assert cause_of(outcome) == cause if cause else isinstance(outcome, Accepted)


CALL = sender("gong")


@pytest.mark.bad_input(277)
@pytest.mark.parametrize(
    "address", ["https://partner.example", "https://you.example:8443", "http://you.example", "https://you.example/in"]
)
def test_what_gong_signed_for_another_address_is_refused(address: str) -> None:
    source = read_source("gong", CALL.given(), {}, public_url=address)
    assert cause_of(verify(source, CALL.delivery(CALL.raw, CALL.secret))) == "jwt_claim"


@pytest.mark.bad_input(277)
def test_what_gong_signed_for_another_source_is_refused() -> None:
    delivery = of_headers(gong(CALL.raw, CALL.secret), CALL.raw, path="/webhooks/other")
    assert cause_of(CALL.verify(delivery)) == "jwt_claim"


def test_gong_s_token_counts_until_it_expires() -> None:
    delivery = CALL.delivery(CALL.raw, CALL.secret)
    assert isinstance(CALL.verify(delivery, now=NOW + 60), Accepted)
    assert cause_of(CALL.verify(delivery, now=NOW + 120)) == "jwt_expired"


# -- CloudEvents -------------------------------------------------------------------------------------------------------

CLOUD = sender("cloudevents")
BINARY: dict[str, Any] = {"ce-specversion": "1.0", "ce-type": "com.example.made", "ce-source": "/shop", "ce-id": "ce-1"}


def asked(preset: str, method: str, **headers: str) -> Outcome:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return sender(preset).verify(of_headers(named, b"", method=method))


def test_cloudevents_ask_by_options_whether_they_may_come() -> None:
    outcome = asked("cloudevents", "OPTIONS", webhook_request_origin="events.example", webhook_request_rate="120")
    assert isinstance(outcome, Handshake)
    assert outcome.status == 200
    assert (outcome.headers["webhook-allowed-origin"], outcome.headers["webhook-allowed-rate"]) == ("*", "*")
    assert outcome.headers["allow"] == "POST"


def test_an_options_request_that_asks_for_nothing_is_no_handshake() -> None:
    outcome = asked("cloudevents", "OPTIONS")
    assert isinstance(outcome, Refusal)
    assert outcome.status in (401, 405)


@pytest.mark.parametrize("data", [{"total": 7}, {"id": "of the data", "type": "of.the.data"}], ids=["plain", "alike"])
def test_a_cloudevent_in_binary_mode_is_named_by_its_headers(data: dict[str, Any]) -> None:
    outcome = CLOUD.verify(CLOUD.delivery(orjson.dumps(data), CLOUD.secret, **BINARY))
    assert isinstance(outcome, Accepted)
    (event,) = outcome.events
    assert (event.type, event.id, orjson.loads(event.body)) == ("com.example.made", "/shop:ce-1", data)
    assert event.headers["ce-source"] == "/shop"


def test_one_cloudevent_is_the_same_in_either_mode() -> None:
    structured = CLOUD.verify(CLOUD.delivery(CLOUD.raw, CLOUD.secret))
    binary = CLOUD.verify(CLOUD.delivery(b"{}", CLOUD.secret, **BINARY))
    assert isinstance(structured, Accepted)
    assert isinstance(binary, Accepted)
    assert structured.events[0].key == binary.events[0].key


def test_a_cloudevent_of_another_source_with_the_same_id_is_another_event() -> None:
    keys = set()
    for place in ("/shop", "/other"):
        outcome = CLOUD.verify(CLOUD.delivery(b"{}", CLOUD.secret, **{**BINARY, "ce-source": place}))
        assert isinstance(outcome, Accepted)
        keys.add(outcome.events[0].key)
    assert len(keys) == 2


def test_cloudevents_with_their_token_in_the_address_are_taken_by_a_source_of_one_s_own() -> None:
    preset = read_preset("cloudevents")
    del preset["documents"]
    preset["webhook"]["signature_verification"]["config"]["compare_with"] = "Bearer {{query.access_token}}"
    source = read_source("s", {**preset, "secrets": [CLOUD.secret]}, {})
    right, wrong = (
        verify(source, of_headers({"content-type": CLOUD.content_type}, CLOUD.raw, query=b"access_token=" + token))
        for token in (CLOUD.secret.encode(), b"a" * 20)
    )
    assert isinstance(right, Accepted)
    assert cause_of(wrong) == "signature_mismatch"


# -- Trello ------------------------------------------------------------------------------------------------------------

DASH = {"action": {"id": "a-1", "type": "updateCard", "data": {"name": "en \u2013 dash, \U0001f600"}}}


def of_trello(signed: bytes, body: bytes) -> Delivery:
    made = digest(SECRET, signed, b"https://you.example/webhooks/sender", algorithm="sha1")
    return of_headers({"content-type": "application/json", "x-trello-webhook": b64(made)}, body)


def test_trello_asks_by_head_whether_the_address_is_there() -> None:
    outcome = asked("trello", "HEAD")
    assert isinstance(outcome, Handshake)
    assert outcome.status == 200


@pytest.mark.parametrize("cut", [False, True], ids=["utf-8", "binary"])
def test_trello_s_text_may_be_signed_as_node_s_binary_string_or_as_utf_8(cut: bool) -> None:
    """Trello's documents: "if you take the en-dash character, … it will show up as a buffer of [19]"."""
    body = orjson.dumps(DASH)
    units = body.decode().encode("utf-16-le")
    signed = bytes(units[place] for place in range(0, len(units), 2)) if cut else body
    assert (b"en \x13 dash" in signed) is cut
    assert isinstance(sender("trello").verify(of_trello(signed, body)), Accepted)


def test_trello_s_signature_does_not_tell_characters_with_one_low_byte_apart() -> None:
    """What its scheme leaves open; docs/security.md says so."""
    signed, other = b'{"action":{"id":"A"}}', '{"action":{"id":"\u0141"}}'.encode()
    assert isinstance(sender("trello").verify(of_trello(signed, other)), Accepted)


def test_another_text_of_trello_s_is_refused() -> None:
    body = orjson.dumps(DASH)
    outcome = sender("trello").verify(of_trello(body, body.replace("\u2013".encode(), b"-")))
    assert cause_of(outcome) == "signature_mismatch"


# -- two signatures ----------------------------------------------------------------------------------------------------


def boxed(**signatures: str) -> Delivery:
    body = sender("box").raw
    headers = {f"box-signature-{name}": b64(digest(key, body, ISO)) for name, key in signatures.items()}
    return of_headers({**headers, "box-delivery-timestamp": ISO}, body)


def test_either_signature_of_box_is_enough() -> None:
    """While one key is exchanged, the other is the one that both sides know."""
    assert isinstance(sender("box").verify(boxed(primary=SECRET, secondary=OTHER)), Accepted)
    assert isinstance(sender("box").verify(boxed(primary=OTHER, secondary=SECRET)), Accepted)
    assert cause_of(sender("box").verify(boxed(primary=OTHER, secondary=OTHER))) == "signature_mismatch"


def test_either_of_the_first_two_signatures_of_docusign_is_enough() -> None:
    one = sender("docusign")
    for signatures, taken in (((SECRET, OTHER), True), ((OTHER, SECRET), True), ((OTHER, OTHER), False)):
        headers = {
            f"x-docusign-signature-{number}": b64(digest(key, one.raw)) for number, key in enumerate(signatures, 1)
        }
        assert isinstance(one.verify(of_headers(headers, one.raw)), Accepted) is taken


def test_the_stand_in_for_a_missing_second_signature_proves_nothing() -> None:
    one = sender("docusign")
    for headers in ({"x-docusign-signature-1": "-"}, {"x-docusign-signature-2": b64(digest(SECRET, one.raw))}):
        assert isinstance(one.verify(of_headers(headers, one.raw)), Refusal)


def test_each_of_paddle_s_signatures_is_tried() -> None:
    """While a key is exchanged there may be several, and the time stands before them."""
    one, moment = sender("paddle"), str(int(NOW))
    made = [digest(key, f"{moment}:", one.raw).hex() for key in (OTHER, SECRET)]
    header = f"ts={moment};h1={made[0]};h1={made[1]}"
    assert isinstance(one.verify(of_headers({"paddle-signature": header}, one.raw)), Accepted)
    for changed in (f"ts={int(NOW) + 1};h1={made[1]}", f"h1={made[1]}", f"ts={moment};ts={moment};h1={made[1]}"):
        assert isinstance(one.verify(of_headers({"paddle-signature": changed}, one.raw)), Refusal)


# -- headers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "name", "value"),
    [
        ("greenhouse", "greenhouse-event-id", "8d6f"),
        ("attio", "idempotency-key", "a-1"),
        ("box", "box-delivery-timestamp", ISO),
    ],
)
def test_an_event_keeps_what_names_its_delivery(preset: str, name: str, value: str) -> None:
    one = sender(preset)
    outcome = one.verify(one.delivery(one.raw, one.secret))
    assert isinstance(outcome, Accepted), outcome
    assert outcome.events[0].headers[name] == value


# -- events ------------------------------------------------------------------------------------------------------------


def accepted(preset: str, event: Any) -> Accepted:
    body = orjson.dumps(event)
    outcome = sender(preset).verify(sender(preset).delivery(body, sender(preset).secret))
    assert isinstance(outcome, Accepted), outcome
    return outcome


def quickbooks(*entities: dict[str, str]) -> Any:
    return {"eventNotifications": [{"realmId": "1185883450", "dataChangeEvent": {"entities": list(entities)}}]}


CUSTOMER = {"name": "Customer", "id": "1", "operation": "Create", "lastUpdated": "2015-10-05T14:42:19-0700"}


def test_an_older_notification_of_quickbooks_is_one_event_for_each_entity() -> None:
    events = accepted("quickbooks", quickbooks(CUSTOMER, {**CUSTOMER, "name": "Vendor"})).events
    assert [event.type for event in events] == ["Customer", "Vendor"]
    assert [orjson.loads(event.body)["realmId"] for event in events] == ["1185883450"] * 2


@pytest.mark.parametrize(
    "change",
    [{"name": "Vendor"}, {"id": "2"}, {"operation": "Update"}, {"lastUpdated": "2015-10-05T14:42:20-0700"}],
    ids=lambda change: next(iter(change)),
)
def test_two_changes_of_quickbooks_are_two_events(change: dict[str, str]) -> None:
    (one,) = accepted("quickbooks", quickbooks(CUSTOMER)).events
    (two,) = accepted("quickbooks", quickbooks({**CUSTOMER, **change})).events
    assert one.id != two.id


def test_what_quickbooks_sends_in_another_shape_is_an_event_as_it_is() -> None:
    (event,) = accepted("quickbooks", {"type": "new.shape", "id": "1"}).events
    assert (event.type, orjson.loads(event.body)) == ("new.shape", {"type": "new.shape", "id": "1"})


def test_one_cloud_event_of_quickbooks_in_two_deliveries_is_one_event() -> None:
    given = sender("quickbooks").event
    (alone,) = accepted("quickbooks", given).events
    first, second = accepted("quickbooks", [*given, {**given[0], "id": "other"}]).events
    assert alone.id == first.id != second.id


def test_an_older_and_a_newer_event_of_one_object_are_two_at_greenhouse_onboarding() -> None:
    one, two = (
        verify(
            sender("greenhouse").source(),
            of_headers({"signature": "sha256 " + digest(SECRET, body).hex()}, body),
        )
        for body in (b'{"event_type":"x","id":"o-1","payload":{}}', b'{"event_type":"x","id":"o-2","payload":{}}')
    )
    assert isinstance(one, Accepted)
    assert isinstance(two, Accepted)
    assert [one.events[0].id, two.events[0].id] == ["o-1", "o-2"]
