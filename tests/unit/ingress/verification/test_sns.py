"""``sns``: messages of Amazon SNS, of the source's own topics."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given as chosen
from hypothesis import strategies as st

from ingress.answers import Refusal
from ingress.errors import Faults
from ingress.sources.loading import read_source
from ingress.sources.source import Source
from ingress.verification.certificates import read_certificate
from ingress.verification.explaining import explain_delivery
from ingress.verification.outcome import Accepted, Ignored
from ingress.verification.pipeline import verify_delivery
from tests.unit.ingress.sources.certified import ADDRESS_OF, CERTIFICATES, PAYPAL, SNS, certificate_of, signed_message
from tests.unit.ingress.sources.senders import NOW, OTHER_TOPIC, TOPIC, of_headers, verify

TEXT = {"content-type": "text/plain; charset=UTF-8"}
URL = ADDRESS_OF["aws-sns"]
NOTIFICATION = {
    "Type": "Notification",
    "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
    "TopicArn": TOPIC,
    "Subject": "My First Message",
    "Message": 'Hello world!\n{"a": 1}',
    "Timestamp": "2023-11-14T22:13:20.655Z",
}
SUBSCRIBE = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=" + TOPIC + "&Token=2336412f37"
CONFIRMATION = {
    "Type": "SubscriptionConfirmation",
    "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
    "Token": "2336412f37",
    "TopicArn": TOPIC,
    "Message": "You have chosen to subscribe to the topic.\nTo confirm the subscription, visit the SubscribeURL.",
    "SubscribeURL": SUBSCRIBE,
    "Timestamp": "2023-11-14T22:13:20.655Z",
}


def source(*topics: str, **options: Any) -> Source:
    return read_source("s", {"preset": "aws-sns", "secrets": list(topics or (TOPIC,)), "options": options}, {})


def sent(message: Any, on: Source | None = None, **more: Any) -> Any:
    return verify(on or source(), of_headers(TEXT, orjson.dumps(message)), keys=CERTIFICATES, **more)


def cause(outcome: Any) -> str:
    assert isinstance(outcome, Refusal), outcome
    assert (outcome.status, outcome.reason) == (401, "signature_mismatch")
    return outcome.logged_reason


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("left_out", ["", "Subject"])
def test_a_notification_is_taken_in_either_version(version: str, left_out: str) -> None:
    message = {name: value for name, value in NOTIFICATION.items() if name != left_out}
    outcome = sent(signed_message(message, version=version))
    assert isinstance(outcome, Accepted), outcome
    (event,) = outcome.events
    assert (event.type, event.id) == ("Notification", NOTIFICATION["MessageId"])


def test_the_end_of_a_subscription_is_an_event() -> None:
    outcome = sent(signed_message({**CONFIRMATION, "Type": "UnsubscribeConfirmation"}))
    assert isinstance(outcome, Accepted)
    assert outcome.events[0].type == "UnsubscribeConfirmation"


def test_a_message_of_a_later_topic_is_told() -> None:
    outcome = sent(signed_message(NOTIFICATION), source(OTHER_TOPIC, TOPIC))
    assert isinstance(outcome, Accepted)
    assert outcome.secret_position == 1


TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40)
SIGNED = [*NOTIFICATION, "Signature"]


@pytest.mark.parametrize("name", SIGNED)
@chosen(data=st.data())
def test_no_change_of_what_is_signed_is_taken(name: str, data: st.DataObject) -> None:
    message = signed_message(NOTIFICATION)
    value = data.draw(TEXTS | st.just(message[name] + " ") | st.none() | st.integers(0, 9) | st.lists(TEXTS))
    if value == message[name]:
        return
    cause(sent({**message, name: value}))


@chosen(message=st.recursive(st.none() | TEXTS | st.integers(0, 9), lambda inner: st.dictionaries(TEXTS, inner)))
def test_no_body_breaks_anything(message: Any) -> None:
    cause(sent(message))
    if isinstance(message, dict):
        cause(sent({**signed_message(NOTIFICATION), **dict.fromkeys(("Type", "Signature"), message)}))


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b"null", b'"Notification"'])
def test_what_is_no_message_is_refused(body: bytes) -> None:
    assert cause(verify(source(), of_headers(TEXT, body))) == "signature_missing"


@pytest.mark.parametrize("version", ["0", "3", "", "2 "])
def test_another_version_is_refused(version: str) -> None:
    assert cause(sent({**signed_message(NOTIFICATION), "SignatureVersion": version})) == "signature_malformed"


def test_one_version_s_signature_is_not_taken_for_the_other_s() -> None:
    assert cause(sent({**signed_message(NOTIFICATION), "SignatureVersion": "1"})) == "signature_mismatch"


ELSEWHERE = [
    "https://sns.us-east-1.amazonaws.com.evil.example/a.pem",
    "https://evil.example/sns.us-east-1.amazonaws.com/a.pem",
    "https://sns.us-east-1.amazonaws.com@evil.example/a.pem",
    "https://evil.example#sns.us-east-1.amazonaws.com/a.pem",
    "http://sns.us-east-1.amazonaws.com/a.pem",
    "https://sns.us-east-1.amazonaws.com:8443/a.pem",
    "https://sns.s3.amazonaws.com/a.pem",
    "https://sns.s3-us-west-2.amazonaws.com/a.pem",
    "https://sns.s3-website-us-east-1.amazonaws.com/a.pem",
    "https://s3.us-east-1.amazonaws.com/sns/a.pem",
    "https://sqs.us-east-1.amazonaws.com/a.pem",
    "https://sns.us-east-1.amazonaws.com/../a.pem",
    "https://sns.us-east-1.amazonaws.com/x/a.pem",
    "https://sns.us-east-1.amazonaws.com/a.pem?x=1",
    "https://sns.us-east-1.amazonaws.com/?Action=x&a.pem",
    "https://sns.us-east-1.amazonaws.com/a.pem\n",
    "https://sns.us-east-1.amazonaws.com\\a.pem",
    "https://snsxus-east-1.amazonaws.com/a.pem",
    "HTTPS://SNS.US-EAST-1.AMAZONAWS.COM/a.pem",
    "https://169.254.169.254/a.pem",
    "file:///etc/a.pem",
    "",
]


@pytest.mark.bad_input(265)
@pytest.mark.parametrize("url", ELSEWHERE)
def test_a_certificate_elsewhere_is_refused_even_if_it_were_known(url: str) -> None:
    message = {**signed_message(NOTIFICATION), "SigningCertURL": url}
    on = source()
    keys = {url: CERTIFICATES[URL]}
    outcome = verify_delivery(on, of_headers(TEXT, orjson.dumps(message)), on.account({}), now=NOW, keys=keys)
    assert cause(outcome) == "certificate_address"


@pytest.mark.parametrize("region", ["us-east-1", "us-gov-west-1", "ap-southeast-2", "cn-north-1", "mx-central-1"])
def test_the_regions_of_amazon_are_known(region: str) -> None:
    end = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    message = {**signed_message(NOTIFICATION), "SigningCertURL": f"https://sns.{region}.{end}/S-0a.pem"}
    assert cause(sent(message)) == "certificate_unknown"


@pytest.mark.bad_input(266)
@pytest.mark.parametrize("topic", [OTHER_TOPIC, TOPIC + "2", TOPIC[:-1], "", "*", TOPIC.upper()])
def test_a_message_of_somebody_else_s_topic_is_refused_before_any_certificate_is_wanted(topic: str) -> None:
    message = signed_message({**NOTIFICATION, "TopicArn": topic})
    on = source()
    outcome = verify_delivery(on, of_headers(TEXT, orjson.dumps(message)), on.account({}), now=NOW)
    assert cause(outcome) == "topic_unknown"


@pytest.mark.bad_input(266)
@pytest.mark.parametrize("topic", ["orders", "*", "arn:aws:sns:us-east-1:123456789012:*", "arn:aws:sqs:us-east-1:1:q"])
def test_what_is_no_topic_is_refused_at_load(topic: str) -> None:
    with pytest.raises(Faults, match="must be the ARN of a topic"):
        source(topic)


@pytest.mark.bad_input(266)
def test_a_source_without_a_topic_is_refused_at_load() -> None:
    with pytest.raises(Faults, match=r"s\.secrets"):
        read_source("s", {"preset": "aws-sns"}, {})


@pytest.mark.bad_input(267)
def test_one_signature_does_not_fit_two_messages() -> None:
    """The same lines, cut otherwise: another id would be another event."""
    message = signed_message(NOTIFICATION)
    shifted = {**message, "MessageId": f"{message['MessageId']}\nSubject\n{message['Subject']}"}
    del shifted["Subject"]
    assert cause(sent(shifted)) == "signed_value_unusable"


@pytest.mark.bad_input(267)
@pytest.mark.parametrize("name", [name for name in NOTIFICATION if name != "Message"])
def test_only_the_message_may_hold_line_breaks(name: str) -> None:
    cause(sent(signed_message({**NOTIFICATION, name: f"{NOTIFICATION[name]}\n"})))


def test_a_signed_subscription_is_to_be_confirmed_at_its_address() -> None:
    outcome = sent(signed_message(CONFIRMATION))
    assert outcome == Ignored("subscription_confirmation", visit=SUBSCRIBE)


def test_a_source_that_confirms_nothing_hands_the_confirmation_to_its_handlers() -> None:
    outcome = sent(signed_message(CONFIRMATION), source(confirm_subscriptions=False))
    assert isinstance(outcome, Accepted)
    assert outcome.events[0].type == "SubscriptionConfirmation"


@pytest.mark.bad_input(268)
@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/?Action=ConfirmSubscription&x=1",
        "https://sns.us-east-1.amazonaws.com.evil.example/?Action=ConfirmSubscription&x=1",
        "https://sns.us-east-1.amazonaws.com@evil.example/?Action=ConfirmSubscription&x=1",
        "http://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&x=1",
        "https://sns.us-east-1.amazonaws.com/?Action=DeleteTopic&x=1",
        "https://sns.s3-us-west-2.amazonaws.com/?Action=ConfirmSubscription&x=1",
        "",
    ],
)
def test_a_subscription_is_confirmed_at_amazon_s_own_address_alone(url: str) -> None:
    assert cause(sent(signed_message({**CONFIRMATION, "SubscribeURL": url}))) == "subscription_address"


@pytest.mark.bad_input(268)
def test_an_unsigned_subscription_is_refused() -> None:
    assert cause(sent({**signed_message(CONFIRMATION), "Token": "another"})) == "signature_mismatch"
    assert cause(sent(CONFIRMATION)) == "signature_missing"
    assert cause(sent(signed_message(CONFIRMATION, key=PAYPAL))) == "signature_mismatch"


@pytest.mark.bad_input(269)
@pytest.mark.parametrize(("begins", "ends"), [(2010, 2023), (2024, 2040)])
def test_a_certificate_that_is_not_valid_now_is_refused(begins: int, ends: int) -> None:
    on, body = source(), orjson.dumps(signed_message(NOTIFICATION))
    keys = {URL: read_certificate(certificate_of(SNS, begins=begins, ends=ends))}
    outcome = verify_delivery(on, of_headers(TEXT, body), on.account({}), now=NOW, keys=keys)
    assert cause(outcome) == "certificate_expired"


@pytest.mark.parametrize(("seconds", "taken"), [(7200, True), (7202, False), (-7202, False)])
def test_an_old_message_is_refused(seconds: int, taken: bool) -> None:
    outcome = sent(signed_message(NOTIFICATION), now=NOW + seconds)
    assert isinstance(outcome, Accepted) is taken
    assert taken or cause(outcome) == "timestamp_out_of_tolerance"


def test_what_is_signed_is_explained() -> None:
    on, body = source(), orjson.dumps(signed_message(NOTIFICATION))
    told = explain_delivery(on, of_headers(TEXT, body), on.account({}), now=NOW, keys=CERTIFICATES)
    assert told.taken
    assert f"certificate: {URL}" in told.lines
    assert any(line.startswith("signed: ") and "MessageId" in line for line in told.lines)
