"""How long connections last, and which of them is closed for a new one."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from ingress.budget import BodyBudget, Holding
from ingress.connections import MAX_SILENT, Connections, Phase
from ingress.limits import Limits, max_connections
from ingress.turned_away import TurnedAway


class Line:
    """A connection that remembers how it ended."""

    phase: Phase | None = None
    connections: Connections
    since = 0.0
    is_busy = False

    def __init__(self, peer: str = "192.0.2.1", *, in_head: bool = False) -> None:
        self.peer = peer
        self.in_head = in_head
        self.end = ""

    def drop(self) -> None:
        self.end = "dropped"

    def retire(self) -> None:
        self.end = "retired"

    def end_head(self) -> bool:
        if self.in_head:
            self.end, self.since = "answered", 2000.0
            self.connections.speaks(self, trusted=False)
        return self.in_head


class Door:
    """A door for three, with a clock of its own."""

    def __init__(self, **limits: Any) -> None:
        bounds = Limits(**{"connections": 3, **limits})
        self.registry = CollectorRegistry()
        self.turned_away = TurnedAway(self.registry)
        self.budget = BodyBudget(bounds.buffered_bytes)
        self.connections = Connections(bounds, self.budget, self.turned_away)
        self.now = 1000.0

    def enter(self, line: Line | None = None) -> Line | None:
        line = line or Line()
        line.connections = self.connections
        return line if self.connections.admit(line, self.now) else None

    def later(self, seconds: float) -> None:
        self.now += seconds
        for _ in self.connections.sweep(self.now):
            pass

    def counted(self, what: str, reason: str) -> float | None:
        return self.registry.get_sample_value("truto_worker_turned_away_total", {"what": what, "reason": reason})


@pytest.fixture
def door() -> Door:
    return Door()


def entered(door: Door, *, idle: bool = False, trusted: bool = False, busy: bool = False) -> Line:
    line = door.enter()
    assert line is not None
    if busy or idle or trusted:
        line.since, line.is_busy = door.now, busy
        door.connections.speaks(line, trusted=trusted)
    door.now += 2
    return line


def test_at_the_limit_the_longest_silent_connection_makes_room(door: Door) -> None:
    lines = [entered(door, idle=True), entered(door), entered(door)]
    assert door.enter() is not None
    assert [line.end for line in lines] == ["", "dropped", ""]
    assert len(door.connections) == 3
    assert door.counted("connection_evicted", "silent") == 1


def test_where_none_is_silent_the_longest_idle_one_makes_room(door: Door) -> None:
    lines = [entered(door, busy=True), entered(door, idle=True), entered(door, idle=True)]
    assert door.enter() is not None
    assert [line.end for line in lines] == ["", "dropped", ""]


def test_whoever_was_idle_and_has_asked_again_is_not_the_longest_idle(door: Door) -> None:
    lines = [entered(door, idle=True), entered(door, idle=True), entered(door, idle=True)]
    lines[0].since = door.now
    lines[1].is_busy = True
    door.now += 2
    assert door.enter() is not None
    assert [line.end for line in lines] == ["", "", "dropped"]
    door.now += 2
    assert door.enter() is not None
    door.now += 0.5
    assert door.enter() is not None
    assert [line.end for line in lines] == ["dropped", "", "dropped"]


def test_connections_that_have_delivered_are_the_last_to_make_room(door: Door) -> None:
    lines = [entered(door, trusted=True), entered(door, idle=True), entered(door, busy=True)]
    assert door.enter() is not None
    assert [line.end for line in lines] == ["", "dropped", ""]


def test_whoever_has_just_come_is_not_closed_while_others_are_idle(door: Door) -> None:
    idle = [entered(door, idle=True), entered(door, idle=True)]
    new = door.enter()
    assert new is not None
    assert door.enter() is not None
    assert [line.end for line in idle] == ["dropped", ""]
    assert new.end == ""


def test_a_body_that_is_on_its_way_for_long_makes_room(door: Door) -> None:
    for _ in range(3):
        entered(door, busy=True)
    gone: list[str] = []
    holding = Holding("truto", lambda: gone.append("it"))
    holding.since -= 2
    door.budget.grow(holding, 100, is_large=False)
    assert door.enter() is not None
    assert gone == ["it"]


def test_where_all_are_at_work_the_new_one_is_refused(door: Door) -> None:
    lines = [entered(door, busy=True) for _ in range(3)]
    assert door.enter() is None
    assert [line.end for line in lines] == ["", "", ""]
    assert door.counted("connection_refused", "limit") == 1


def test_a_connection_that_ends_makes_room(door: Door) -> None:
    lines = [entered(door, busy=True) for _ in range(3)]
    door.connections.ended(lines[0])
    door.connections.ended(lines[0])
    assert door.enter() is not None


def test_a_peer_has_no_more_than_its_own_number() -> None:
    door = Door(connections_per_peer=1)
    first = door.enter()
    assert first is not None
    assert door.enter() is None
    assert door.enter(Line("192.0.2.2")) is not None
    door.connections.ended(first)
    assert door.enter() is not None
    assert door.counted("connection_refused", "peer_limit") == 1


@pytest.mark.parametrize(
    ("state", "seconds"), [({}, 10), ({"idle": True}, 75), ({"trusted": True}, 75), ({"busy": True}, 45)]
)
def test_a_connection_ends_when_its_time_is_over(state: dict[str, bool], seconds: int) -> None:
    door = Door()
    line = entered(door, **state)
    door.later(seconds - 3)
    assert line.end == ""
    door.later(1)
    assert line.end == "dropped"
    assert len(door.connections) == 0


def test_a_head_that_does_not_come_to_its_end_is_answered(door: Door) -> None:
    line = door.enter(Line(in_head=True))
    assert line is not None
    door.later(11)
    assert line.end == "answered"


def test_an_answer_that_is_not_read_ends_its_connection(door: Door) -> None:
    line = entered(door, busy=True)
    door.connections.blocks(line, door.now)
    door.later(11)
    assert line.end == "dropped"
    assert door.counted("connection_timed_out", "answer_unread") == 1


def test_an_answer_that_is_read_late_does_not(door: Door) -> None:
    line = entered(door, busy=True)
    door.connections.blocks(line, door.now)
    door.later(5)
    door.connections.unblocks(line)
    door.later(10)
    assert line.end == ""


def test_no_connection_is_used_for_ever() -> None:
    door = Door(connection_seconds=60)
    line = entered(door, busy=True)
    for _ in range(4):
        door.later(20)
        line.since = door.now
    assert line.end == "retired"


def test_a_thousand_that_are_turned_away_are_one_line_of_the_log(door: Door) -> None:
    for _ in range(1000):
        door.turned_away.note("connection_refused", "limit")
    with capture_logs() as logs:
        door.turned_away.write()
        door.turned_away.write()
    assert logs == [{"event": "connection_refused", "reason": "limit", "count": 1000, "log_level": "warning"}]


@pytest.mark.parametrize(("descriptors", "most"), [(256, 192), (1024, 896), (1_048_576, 917_504), (10, 1)])
def test_descriptors_are_left_for_redis(descriptors: int, most: int) -> None:
    assert max_connections(descriptors) == most


def test_overdue_connections_are_closed_one_at_a_time_so_that_deliveries_run_in_between(door: Door) -> None:
    lines = [entered(door) for _ in range(3)]
    closing = door.connections.sweep(door.now + 3600)
    next(closing)
    assert [line.end for line in lines] == ["dropped", "", ""]
    assert len(list(closing)) == 2
    assert [line.end for line in lines] == ["dropped"] * 3


def test_beyond_so_many_silent_connections_the_oldest_is_closed_for_a_new_one() -> None:
    door = Door(connections=10 * MAX_SILENT)
    spoken = entered(door, idle=True)
    silent = [entered(door) for _ in range(MAX_SILENT + 1)]
    assert [line.end for line in (spoken, *silent)] == ["", "dropped"] + [""] * MAX_SILENT
    assert door.counted("connection_evicted", "silent") == 1


def test_any_number_of_connections_that_have_spoken_stays_open() -> None:
    door = Door(connections=10 * MAX_SILENT)
    lines = [entered(door, idle=True) for _ in range(2 * MAX_SILENT)]
    assert {line.end for line in lines} == {""}
