"""What a forger makes of deliveries that a sender has signed, and what of it must never be accepted.

A *forgery* is an accepted event whose body, type or id the sender did not sign. These are none:

- another spelling of the proof that means the same: hex in capitals, the word before a token;
- an id that is made here, of the delivery (``sha256:…``), where the sender gives none;
- a type or id that the sender itself leaves unsigned, in a header (:data:`UNSIGNED`);
- the cut between the fields of a form of Twilio's, which its scheme does not cover: it signs them joined;
- any body where the sender proves itself by a credential that is not made of the body (``Sender.binds`` is false).
  There a forgery is an event that was accepted without the credential.
"""

from __future__ import annotations

import base64
import itertools
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl

import orjson

from ingress.answers import Refusal
from ingress.verification import check_head
from ingress.verification.context import Delivery
from ingress.verification.outcome import Accepted, Handshake, Ignored, Outcome
from tests.mutations import KINDS, changed
from tests.unit.ingress.sources.senders import SECRET, Sender, verify

UNSIGNED: Mapping[str, frozenset[str]] = {
    "attio": frozenset({"id"}),
    "github": frozenset({"type"}),
    "gitlab": frozenset({"type", "id"}),
    "greenhouse": frozenset({"id"}),
    "shopify": frozenset({"type"}),
}
"""The fields of an event that its sender puts into a header which nothing signs."""

_ITEM = "notificationItems.0.NotificationRequestItem"
IN_BODY: Mapping[str, Sequence[str]] = {
    "adyen": [
        f"{_ITEM}.{name}" for name in ("pspReference", "merchantReference", "eventCode", "success", "amount.value")
    ],
    "aws-sns": ("Type", "MessageId", "TopicArn", "Message", "Timestamp"),
    "lever": ("token", "triggeredAt", "signature"),
    "mailgun": ("signature.timestamp", "signature.token", "signature.signature"),
}
"""What senders sign, or prove themselves with, that sign a part of the body alone."""

_ANSWERED = frozenset({400, 401, 405, 415, 431})
_WORDS = (
    b"",
    b",",
    b"=",
    b" ",
    b".",
    b";",
    b"&",
    b"%00",
    b"\x00",
    b"\xff",
    b"v1=",
    b"v1,",
    b"v1a,",
    b"v0=",
    b"sha256=",
)
_BODIES = (b"", b"{}", b"[]", b"null", b'{"value":[]}', b'{"challenge":"c"}', b'{"type":"url_verification"}', b"a=b")
_HEADERS = (
    (b"content-type", b"text/plain"),
    (b"content-type", b"application/json"),
    (b"content-type", b"application/x-www-form-urlencoded"),
    (b"content-type", b"multipart/form-data; boundary=b"),
    (b"content-type", b"multipart/form-data; boundary=e"),
    (b"content-type", b"application/xml"),
    (b"host", b"you.example"),
    (b"x-forwarded-host", b"you.example"),
    (b"x-hook-secret", b"a secret of somebody else's"),
    (b"webhook-id", b"msg_2"),
    (b"svix-id", b"msg_2"),
)


@dataclass(frozen=True)
class Forger:
    """Makes deliveries out of two or more *genuine* ones; the same *seed* makes the same."""

    genuine: Sequence[Delivery]
    seed: int = 0

    def deliveries(self, count: int) -> Iterator[Delivery]:
        """*count* of them: half with one byte changed or one cut, each place of each in turn; half with several."""
        rng = random.Random(self.seed)
        places = list(self._places())
        rng.shuffle(places)
        single = (_edited(self.genuine, *place, rng) for place in places[: count // 2])
        several = (self._mixed(rng) for _ in itertools.count())
        made = itertools.chain(single, several)
        known = {_key(delivery) for delivery in self.genuine}
        return itertools.islice((one for one in made if _key(one) not in known), count)

    def _places(self) -> Iterator[tuple[Delivery, int, int, int]]:
        for delivery in self.genuine:
            for number, part in enumerate(_parts(delivery)):
                yield from ((delivery, number, at, kind) for at in range(len(part) + 1) for kind in range(KINDS))

    def _mixed(self, rng: random.Random) -> Delivery:
        delivery = rng.choice(self.genuine)
        for _ in range(rng.randrange(1, 4)):
            delivery = rng.choice(_MIXTURES)(self.genuine, delivery, rng)
        return delivery


def _edited(
    genuine: Sequence[Delivery], delivery: Delivery, number: int, at: int, kind: int, rng: random.Random
) -> Delivery:
    parts = _parts(delivery)
    others = _parts(rng.choice(genuine))
    parts[number] = changed(parts[number], at, kind, rng, words=_WORDS, others=others)
    return _whole(parts)


def _one_more_edit(genuine: Sequence[Delivery], delivery: Delivery, rng: random.Random) -> Delivery:
    parts = _parts(delivery)
    number = rng.randrange(len(parts))
    return _edited(genuine, delivery, number, rng.randrange(len(parts[number]) + 1), rng.randrange(KINDS), rng)


def _body_of_another(genuine: Sequence[Delivery], delivery: Delivery, rng: random.Random) -> Delivery:
    return replace(delivery, body=rng.choice([*_BODIES, *(one.body for one in genuine)]))


def _splice(genuine: Sequence[Delivery], delivery: Delivery, rng: random.Random) -> Delivery:
    other = rng.choice(genuine).body
    body = delivery.body[: rng.randrange(len(delivery.body) + 1)] + other[rng.randrange(len(other) + 1) :]
    return replace(delivery, body=body)


def _headers_of_another(genuine: Sequence[Delivery], delivery: Delivery, rng: random.Random) -> Delivery:
    other = dict(rng.choice(genuine).headers)
    return replace(
        delivery, headers=[(name, other.get(name, v) if rng.random() < 0.5 else v) for name, v in delivery.headers]
    )


def _further_headers(genuine: Sequence[Delivery], delivery: Delivery, rng: random.Random) -> Delivery:
    more = [*_HEADERS, *rng.choice(genuine).headers]
    headers = [*delivery.headers, *rng.sample(more, rng.randrange(1, 3))]
    rng.shuffle(headers)
    return replace(delivery, headers=headers)


def _another_media_type(genuine: Sequence[Delivery], delivery: Delivery, rng: random.Random) -> Delivery:
    headers = [(name, value) for name, value in delivery.headers if name != b"content-type"]
    return replace(delivery, headers=[*headers, rng.choice(_HEADERS[:6])])


def _without_a_header(genuine: Sequence[Delivery], delivery: Delivery, rng: random.Random) -> Delivery:
    headers = list(delivery.headers)
    if headers:
        headers.pop(rng.randrange(len(headers)))
    return replace(delivery, headers=headers)


def _folded(genuine: Sequence[Delivery], delivery: Delivery, rng: random.Random) -> Delivery:
    """The values of two deliveries in one header, as a proxy folds them."""
    other = dict(rng.choice(genuine).headers)
    by = rng.choice((b", ", b",", b" ", b";"))
    return replace(delivery, headers=[(n, v + by + other[n] if n in other else v) for n, v in delivery.headers])


def _another_place(genuine: Sequence[Delivery], delivery: Delivery, rng: random.Random) -> Delivery:
    query = rng.choice((b"", b"validationToken=t", b"challenge=c", b"a=1&a=2", b"secret=" + SECRET.encode()))
    return replace(delivery, query=query, method=rng.choice(("POST", "POST", "GET")))


_MIXTURES: Sequence[Callable[[Sequence[Delivery], Delivery, random.Random], Delivery]] = (
    _one_more_edit,
    _one_more_edit,
    _body_of_another,
    _splice,
    _headers_of_another,
    _further_headers,
    _another_media_type,
    _without_a_header,
    _folded,
    _another_place,
)


def _parts(delivery: Delivery) -> list[bytes]:
    """A delivery as the texts of which it consists, in a fixed order."""
    line = [delivery.body, delivery.query, delivery.path.encode("latin-1")]
    return [*line, *itertools.chain.from_iterable(delivery.headers)]


def _whole(parts: Sequence[bytes]) -> Delivery:
    body, query, path, *headers = parts
    pairs = [(name.lower(), value) for name, value in zip(headers[::2], headers[1::2], strict=True)]
    return Delivery(pairs, body, path=path.decode("latin-1"), query=query)


def _key(delivery: Delivery) -> tuple[object, ...]:
    return delivery.method, delivery.path, delivery.query, tuple(delivery.headers), delivery.body


# -- what the sender signs ---------------------------------------------------------------------------------------------


def genuine_deliveries(sender: Sender) -> list[Delivery]:
    """Two deliveries that *sender* has signed, of different bodies."""
    return [sender.delivery(body, sender.secret) for body in (sender.raw, _another_body(sender))]


def _another_body(sender: Sender) -> bytes:
    if sender.content_type.startswith("multipart/"):
        return sender.raw.replace(b"mail\r\n", b"note\r\n")
    if "xml" in sender.content_type:
        return sender.raw + b"\n"
    if not sender.raw.startswith((b"{", b"[")):
        return sender.raw + b"&Body=hi%26bye"
    event = sender.in_body(sender.secret) if sender.in_body else sender.event
    if isinstance(event, list):
        return orjson.dumps([{**event[0], "n": 2}])
    return orjson.dumps({**event, "n": 2})


@dataclass
class Judge:
    """Tells what verification makes of deliveries to *sender*'s source. ``figures`` counts the outcomes."""

    sender: Sender
    figures: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.source = self.sender.source()
        self.genuine = genuine_deliveries(self.sender)
        self._signed: dict[bytes, tuple[str, str]] = {}
        self._joined = {_joined(delivery.body) for delivery in self.genuine}
        for delivery in self.genuine:
            outcome = self._verified(delivery)
            assert isinstance(outcome, Accepted), outcome
            self._signed |= {event.body: (event.type, event.id) for event in outcome.events}

    def fault(self, delivery: Delivery) -> str | None:
        """What is wrong with the outcome of *delivery*: a forgery, a crash, an answer that nothing documents."""
        outcome = check_head(delivery.headers, self.source.media_types) or self._verified(delivery)
        self.figures[type(outcome).__name__] += 1
        match outcome:
            case Accepted():
                return self._forged(delivery, outcome)
            case Refusal():
                return _undocumented(outcome)
            case Ignored():
                shown = not self.sender.binds and self._has_the_credential(delivery)
                return None if outcome.enrols or shown else "a delivery was ignored as authentic"
            case Handshake():
                return self._shown(outcome)

    def _verified(self, delivery: Delivery) -> Outcome:
        return verify(self.source, delivery, keys=self.sender.keys)

    def _forged(self, delivery: Delivery, outcome: Accepted) -> str | None:
        if not self.sender.binds:
            return None if self._has_the_credential(delivery) else "accepted without the credential"
        for event in outcome.events:
            signed = self._signed.get(event.body)
            if signed is None and self.sender.preset == "twilio" and _joined(delivery.body) in self._joined:
                continue
            if signed is None:
                return f"nobody signed the body {event.body!r}"
            unsigned = UNSIGNED.get(self.sender.preset, frozenset())
            for name, was, given in zip(("type", "id"), signed, (event.type, event.id), strict=True):
                ours = name == "id" and given.startswith("sha256:")
                if was != given and name not in unsigned and not ours:
                    return f"nobody signed the {name} {given!r}"
        return None

    def _has_the_credential(self, delivery: Delivery) -> bool:
        if self.sender.preset == "microsoft-graph":
            notifications = json.loads(delivery.body.decode("utf-8", "replace"))["value"]
            return bool(notifications) and all(one["clientState"] == SECRET for one in notifications)
        if paths := IN_BODY.get(self.sender.preset):
            return _texts_at(paths, delivery.body) == _texts_at(paths, self.genuine[0].body)
        if self.sender.preset == "salesforce":
            given = parse_qsl(delivery.query.decode("latin-1"), keep_blank_values=True)
            return [value for name, value in given if name == "token"] == [self.sender.secret]
        name, value = next(iter(self.sender.sign(b"", self.sender.secret).items()))
        presented = [v.decode("latin-1") for n, v in delivery.headers if n == name.encode()]
        if self.sender.preset in ("gitlab", "okta"):
            return presented == [value]
        return [one.rpartition(" ")[2] for one in presented] == [value.rpartition(" ")[2]]

    def _shown(self, answer: Handshake) -> str | None:
        told = answer.body + b"".join(name.encode() + value.encode("latin-1") for name, value in answer.headers.items())
        secrets = [self.sender.secret.encode(), base64.b64encode(self.sender.secret.encode())]
        if any(secret in told for secret in secrets):
            return "a handshake shows the secret"
        if answer.update_context and not answer.enrols:
            return "a handshake left something as if it were authentic"
        return None if answer.status in (200, 401) else f"a handshake was answered with {answer.status}"


def _texts_at(paths: Sequence[str], body: bytes) -> list[str]:
    """What stands there, hex in small letters."""
    found = []
    for path in paths:
        value = json.loads(body.decode("utf-8", "replace"))
        for name in path.split("."):
            value = value[int(name) if isinstance(value, list) else name]
        found.append(str(value).lower())
    return found


def _joined(form: bytes) -> str:
    """The fields of a form as Twilio joins them, read by other code than ours."""
    return "".join(n + v for n, v in sorted(set(parse_qsl(form.decode("latin-1"), True, encoding="latin-1"))))


def _undocumented(refusal: Refusal) -> str | None:
    if refusal.logged_reason == "verification_failed":
        return f"verification broke: {refusal.detail}"
    return None if refusal.status in _ANSWERED else f"refused with {refusal.status}"


def first_fault(judge: Judge, count: int, seed: int) -> tuple[str, Delivery] | None:
    """The first fault among *count* deliveries that a forger makes, and the delivery."""
    for delivery in Forger(judge.genuine, seed).deliveries(count):
        if fault := judge.fault(delivery):
            return fault, delivery
    return None
