"""When a webhook that is off may be switched on, and which gap in its deliveries is to be filled."""

from __future__ import annotations

from worker.keepalive import MAX_WAIT_SECONDS, Switching, cause_of

EVERY = 600.0


def test_it_is_switched_on_at_once_and_then_with_growing_pauses() -> None:
    now, switching, waits = 0.0, Switching(), []
    for _ in range(12):
        while not switching.may_switch(now, EVERY):
            now += EVERY / 10
        waits.append(round(now - switching.last))
        switching = switching.seen_inactive(now, EVERY).switched(now)
    assert waits[:5] == [0, 600, 1200, 2400, 4800]
    assert waits[-1] == MAX_WAIT_SECONDS


def test_one_that_has_held_is_switched_on_at_once_again() -> None:
    switching = Switching().switched(0).switched(EVERY)
    assert not switching.may_switch(2 * EVERY, EVERY)
    held = switching.seen_active(EVERY + 2 * EVERY + 1, EVERY)
    assert held.may_switch(3 * EVERY + 1, EVERY)


def test_a_gap_begins_when_it_was_last_seen_active_and_ends_when_it_is_on_again() -> None:
    switching = Switching().seen_active(100, EVERY).seen_inactive(700, EVERY).seen_inactive(1300, EVERY)
    assert (switching.gap_from, switching.gap_to) == (100, None)
    assert switching.switched(1301).gap_to == 1301
    assert switching.seen_active(1900, EVERY).gap_to == 1900


def test_a_gap_is_kept_until_it_was_looked_through() -> None:
    switching = Switching(active_at=100).seen_inactive(700, EVERY).switched(700)
    assert switching.filled(650) == switching
    assert switching.filled(700).gap_from is None


def test_what_is_remembered_comes_back() -> None:
    switching = Switching(active_at=100).seen_inactive(700, EVERY).switched(700)
    assert Switching.of({"webhook": switching.as_json()}) == switching
    assert Switching.of({}) == Switching()
    assert Switching.of({"webhook": {"of a later version": 1}}) == Switching()


def test_the_cause_is_what_the_log_has() -> None:
    ok = {"status": "success", "webhook_endpoint_status": 200}
    failed = {"status": "failure", "webhook_endpoint_status": 503}
    silent = {"status": "failure", "webhook_endpoint_status": None}
    assert cause_of([ok]) == "no failed delivery in Truto's log"
    assert cause_of([failed, ok]) == "1 failed; the last one was answered with 503"
    assert cause_of([failed, silent]) == "2 failed; the last one was not answered"
