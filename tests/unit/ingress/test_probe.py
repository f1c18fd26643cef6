"""Only who holds one of our secrets learns anything from a probe, and only an ingress of ours can answer it."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.probe import BODY, HEADER, MAX_AGE_SECONDS, Arrival, Probe, Prover
from ingress.verification.context import Delivery

NOW = 1_790_000_000.0
TOKEN = "an-api-token-of-truto"
SECRET = "6e17561c-a20c-44ce-b8b5-caff0bf786fe"
OURS = Prover([TOKEN], stored=True)


def delivery_of(probe: Probe, body: bytes = BODY, **headers: str) -> Delivery:
    given = {**probe.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Delivery([(name.lower().encode(), value.encode()) for name, value in given.items()], body)


def asked(probe: Probe, prover: Prover = OURS, *, now: float = NOW, body: bytes = BODY) -> Arrival | None:
    answer = prover.answer(delivery_of(probe, body), [SECRET.encode()], None, now)
    return None if answer is None else probe.read(answer)


def test_the_holder_of_the_token_learns_what_arrived() -> None:
    probe = Probe.made([TOKEN], NOW)
    arrival = asked(probe)
    assert arrival is not None
    assert (arrival.clock, arrival.stored, arrival.signature) == (NOW, True, probe.headers["X-Truto-Signature"])
    assert probe.arrived_whole(arrival)


def test_a_secret_of_the_webhook_will_do_as_well() -> None:
    assert asked(Probe.made(["another-token", SECRET], NOW)) is not None


def test_the_key_of_probes_in_redis_will_do_as_well() -> None:
    probe = Probe.made(["kept-in-redis"], NOW)
    answer = Prover([]).answer(delivery_of(probe), [], "kept-in-redis", NOW)
    assert answer is not None
    assert probe.read(answer) is not None


@pytest.mark.parametrize("kept", ["", None, 7, ["kept-in-redis"]])
def test_what_is_no_key_proves_nobody(kept: object) -> None:
    assert Prover([]).answer(delivery_of(Probe.made(["kept-in-redis"], NOW)), [], kept, NOW) is None


def test_the_answer_tells_known_secrets_from_others() -> None:
    probe = Probe.made([TOKEN], NOW)
    arrival = asked(probe)
    assert arrival is not None
    assert (probe.knows(arrival, SECRET), probe.knows(arrival, "another-secret-of-36-bytes")) == (True, False)


def test_the_answer_shows_no_secret_and_nothing_of_the_body() -> None:
    answer = OURS.answer(delivery_of(Probe.made([TOKEN], NOW)), [SECRET.encode()], None, NOW)
    assert answer is not None
    assert TOKEN.encode() not in answer
    assert SECRET.encode() not in answer
    assert b'probe\\\\":1.0' not in answer


def test_a_body_that_was_written_anew_is_noticed() -> None:
    probe = Probe.made([TOKEN], NOW)
    arrival = asked(probe, body=orjson.dumps(orjson.loads(BODY)))
    assert arrival is not None
    assert not probe.arrived_whole(arrival)


def test_who_holds_nothing_of_ours_is_not_answered() -> None:
    assert asked(Probe.made(["another-token"], NOW)) is None


def test_an_ingress_without_secrets_answers_nobody() -> None:
    assert Prover([]).answer(delivery_of(Probe.made([TOKEN], NOW)), [], None, NOW) is None


@pytest.mark.parametrize("late", [MAX_AGE_SECONDS + 1, -MAX_AGE_SECONDS - 1], ids=["old", "of-the-future"])
def test_a_recorded_probe_is_not_answered_for_ever(late: float) -> None:
    assert asked(Probe.made([TOKEN], NOW), now=NOW + late) is None


def test_a_time_or_nonce_that_was_changed_proves_nothing() -> None:
    probe = Probe.made([TOKEN], NOW)
    written = probe.headers[HEADER]
    for changed in (written.replace("t=1", "t=2", 1), written.replace(probe.nonce, "0" * 32)):
        delivery = delivery_of(probe, X_Truto_Worker_Probe=changed)
        assert OURS.answer(delivery, [], None, float(changed[2:12])) is None


def test_an_answer_to_another_probe_is_not_taken() -> None:
    first, second = Probe.made([TOKEN], NOW), Probe.made([TOKEN], NOW)
    answer = OURS.answer(delivery_of(first), [], None, NOW)
    assert answer is not None
    assert second.read(answer) is None


def test_an_answer_that_was_changed_is_not_taken() -> None:
    probe = Probe.made([TOKEN], NOW)
    answer = OURS.answer(delivery_of(probe), [], None, NOW)
    assert answer is not None
    told = orjson.loads(answer)
    told["probe"] = told["probe"].replace("true", "false")
    assert probe.read(orjson.dumps(told)) is None


def test_a_probe_header_that_came_twice_is_none() -> None:
    delivery = delivery_of(Probe.made([TOKEN], NOW))
    doubled = Delivery([*delivery.headers, *delivery.headers], BODY)
    assert OURS.answer(doubled, [], None, NOW) is None


@given(st.text(max_size=200))
def test_no_header_of_a_stranger_is_answered(text: str) -> None:
    delivery = Delivery([(HEADER.lower().encode(), text.encode("utf-8", "surrogatepass"))], BODY)
    assert OURS.answer(delivery, [SECRET.encode()], None, NOW) is None


@given(
    st.one_of(
        st.binary(max_size=200), st.recursive(st.none() | st.text() | st.integers(0, 9), st.lists).map(orjson.dumps)
    )
)
def test_no_answer_of_a_stranger_is_believed(answer: bytes) -> None:
    assert Probe.made([TOKEN], NOW).read(answer) is None
