"""Which missing event is about which object: from a log, from what has arrived, and from what objects tell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truto import EVENT_TYPES
from worker.happenings import Happening, Logged, compare, happenings_of, why_not

T = datetime(2026, 11, 28, 8, tzinfo=UTC)
ACTIVE = "integrated_account:active"
COMPLETED = "sync_job_run:completed"


def at(seconds: float) -> datetime:
    return T + timedelta(seconds=seconds)


def iso(seconds: float) -> str:
    return at(seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def account(name: str, updated: float, status: str = "active", created: float = -3600) -> Mapping[str, Any]:
    return {"id": name, "status": status, "created_at": iso(created), "updated_at": iso(updated)}


def run(name: str, finished: float, status: str = "completed") -> Mapping[str, Any]:
    times = {"created_at": iso(finished - 9), "started_at": iso(finished - 5), "finished_at": iso(finished)}
    return {"id": name, "status": status, **times}


def logged(event_id: str, seconds: float, kind: str = ACTIVE) -> Logged:
    return Logged(event_id, kind, at(seconds))


def paired(found: Any) -> dict[str, str]:
    return {one.id: happening.entity for one, happening in found.pairs}


def test_what_has_not_arrived_is_about_the_object_that_changed_then() -> None:
    told = happenings_of("integrated_account", [account("a", 0), account("b", 100)])
    found = compare([logged("e-a", 0.1), logged("e-b", 100.1)], {"e-a": "a"}, told)
    assert paired(found) == {"e-b": "b"}
    assert found.left == []


def test_at_the_same_time_what_has_arrived_tells_which_object_is_left() -> None:
    told = happenings_of("integrated_account", [account(name, 0) for name in "abc"])
    found = compare([logged(f"e-{n}", 0) for n in (1, 2, 3)], {"e-1": "c", "e-3": "a"}, told)
    assert paired(found) == {"e-2": "b"}


def test_an_arrived_event_of_a_version_that_did_not_note_its_object_takes_the_nearest_one() -> None:
    told = happenings_of("integrated_account", [account("a", 0), account("b", 30)])
    assert paired(compare([logged("e-1", 1), logged("e-2", 31)], {"e-1": None}, told)) == {"e-2": "b"}


def test_an_object_that_has_changed_again_is_meant_where_no_other_could_be() -> None:
    told = happenings_of("integrated_account", [account("a", 500, created=-10)])
    assert paired(compare([logged("e", 0)], {}, told)) == {"e": "a"}


def test_where_several_objects_could_be_meant_none_is_guessed() -> None:
    told = happenings_of("integrated_account", [account("a", 500), account("b", 600)])
    found = compare([logged("e", 0)], {}, told)
    assert (found.pairs, [one.id for one in found.left]) == ([], ["e"])


def test_each_status_of_an_account_has_its_event() -> None:
    row = account("a", 0, "needs_reauth")
    found = compare(
        [logged("e", 0, "integrated_account:authentication_error")], {}, happenings_of("integrated_account", [row])
    )
    assert paired(found) == {"e": "a"}
    assert compare([logged("e", 0)], {}, happenings_of("integrated_account", [row])).pairs == []


def test_a_run_tells_of_its_creation_start_and_end() -> None:
    told = happenings_of("sync_job_run", [run("r", 0)])
    assert sorted((one.type.partition(":")[2], (one.moment - T).total_seconds()) for one in told) == [
        ("completed", 0),
        ("created", -9),
        ("started", -5),
        ("updated", -5),
        ("updated", 0),
    ]


def test_a_run_that_sends_only_some_events_tells_of_those() -> None:
    told = happenings_of("sync_job_run", [{**run("r", 0), "events_to_send": [COMPLETED]}])
    assert [one.type for one in told] == [COMPLETED]


def test_an_object_without_id_or_times_tells_nothing() -> None:
    assert happenings_of("sync_job_run", [{"id": "r"}, {"created_at": iso(0)}, {}]) == []


def test_truto_s_test_event_is_none_that_could_be_missed() -> None:
    found = compare([logged("e", 0, "test")], {}, [])
    assert (found.pairs, found.left) == ([], [])


def test_what_no_event_tells_of_is_known_by_one_id_for_everybody() -> None:
    (one,) = [h for h in happenings_of("sync_job_run", [run("r", 0)]) if h.type == COMPLETED]
    (again,) = [h for h in happenings_of("sync_job_run", [run("r", 0)]) if h.type == COMPLETED]
    (later,) = [h for h in happenings_of("sync_job_run", [run("r", 1)]) if h.type == COMPLETED]
    assert one.made_up_id == again.made_up_id != later.made_up_id


@pytest.mark.parametrize("kind", sorted(EVENT_TYPES))
def test_every_type_has_a_reason_and_a_place_to_look(kind: str) -> None:
    why, where = why_not(kind)
    assert why
    assert where


def test_unknown_types_have_one_too() -> None:
    assert why_not("invoice:paid")[1]


@given(st.lists(st.tuples(st.floats(0, 120), st.booleans()), min_size=1, max_size=12))
def test_every_missing_event_goes_to_one_object_and_no_arrived_one_does(rows: list[tuple[float, bool]]) -> None:
    """Whatever their times are: as many objects are recovered as events are missing, and none of those that arrived."""
    told = [Happening(ACTIVE, f"a-{n}", at(moment), T) for n, (moment, _) in enumerate(rows)]
    events = [logged(f"e-{n}", moment + 0.01) for n, (moment, _) in enumerate(rows)]
    known: dict[str, str | None] = {f"e-{n}": f"a-{n}" for n, (_, arrived) in enumerate(rows) if arrived}
    found = compare(events, known, told)
    recovered = [happening.entity for _, happening in found.pairs]
    assert sorted(recovered) == sorted(f"a-{n}" for n, (_, arrived) in enumerate(rows) if not arrived)
    assert found.left == []
