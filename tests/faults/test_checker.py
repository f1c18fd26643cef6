"""The checker itself, on ledgers made by hand: what it must detect, and what it must not complain about."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.faults.checker import Demands, Evidence, State, Verdict, judge
from tests.faults.ledger import Attempt, Fault, Outcome, Run, read_stalls

LEASE = 2.0


def sent(name: str = "a", outcome: Outcome = "ok", *, at: float = 0.0, genuine: bool = True) -> Attempt:
    return Attempt(name, at, at + 0.1, outcome, genuine)


def ran(name: str = "a", at: float = 1.0, *, seconds: float | None = 0.1, pid: int = 1, handler: str = "book") -> Run:
    """A run; without *seconds*, one that was never seen to end."""
    return Run(name, handler, pid, at, None if seconds is None else at + seconds, None if seconds is None else "done")


def failed(at: float) -> Run:
    return Run("a", "book", 1, at, at + 0.1, "failed")


def judged(
    attempts: list[Attempt] | None = None,
    runs: list[Run] | None = None,
    faults: list[Fault] | None = None,
    states: dict[str, State] | None = None,
    demands: Demands | None = None,
    **evidence: object,
) -> Verdict:
    found = Evidence(
        attempts=[sent()] if attempts is None else attempts,
        runs=[ran()] if runs is None else runs,
        faults=faults or [],
        states={"a": "done"} if states is None else states,
        **evidence,  # type: ignore[arg-type]  # its own fields
    )
    return judge(found, demands or Demands(lease_seconds=LEASE))


def test_an_acknowledged_event_that_ran_and_is_done_breaks_nothing() -> None:
    verdict = judged(wanted={"a": frozenset({"book"})}, effects={"a": 1})
    assert verdict.holds
    assert (verdict.sent, verdict.acked, verdict.lost, verdict.repeated) == (1, 1, [], 0)


@pytest.mark.parametrize("state", ["missing", "kept without payload"])
def test_an_acknowledged_event_that_is_nowhere_or_without_its_payload_is_lost(state: State) -> None:
    verdict = judged(states={"a": state})
    assert verdict.broken["I1 lost"] == ["a"]
    assert verdict.lost == ["a"]


def test_an_acknowledged_event_that_the_store_was_never_asked_about_is_lost() -> None:
    assert judged(states={}).lost == ["a"]


def test_an_event_that_was_not_acknowledged_may_be_missing() -> None:
    assert judged([sent(outcome="unknown")], [], states={"a": "missing"}).holds


def test_work_that_still_waits_is_told_where_everything_should_be_over() -> None:
    assert judged(states={"a": "waiting"}).broken["I1 not over"] == ["a"]
    assert judged(states={"a": "waiting"}, demands=Demands(lease_seconds=LEASE, drained=False)).holds


def test_an_innocent_event_that_was_kept_is_told() -> None:
    assert judged(states={"a": "kept"}).broken["I1 kept wrongly"] == ["a: kept"]


def test_a_poisonous_event_has_to_be_kept() -> None:
    demands = Demands(lease_seconds=LEASE, kept=frozenset({"a"}))
    assert judged(states={"a": "kept"}, demands=demands).holds
    assert judged(demands=demands).broken["I1 kept wrongly"] == ["a: not kept"]


def test_an_event_that_is_done_without_one_of_its_handlers_is_told() -> None:
    verdict = judged(wanted={"a": frozenset({"book", "pack"})})
    assert verdict.broken["I2 never ran"] == ["a: pack"]


def test_an_event_that_is_done_but_whose_run_never_ended_is_told() -> None:
    verdict = judged(runs=[ran(seconds=None)], wanted={"a": frozenset({"book"})})
    assert verdict.broken["I2 never ran"] == ["a: book"]


@pytest.mark.parametrize("times", [0, 2])
def test_an_effect_that_did_not_happen_exactly_once_is_told(times: int) -> None:
    assert judged(effects={"a": times}).broken["I2 effects"] == [f"a: {times}"]


def test_a_second_run_without_any_fault_is_told() -> None:
    verdict = judged(runs=[ran(at=1), ran(at=2)])
    assert verdict.broken["I3 repeated without cause"] == ["a: book"]
    assert verdict.repeated == 1


def test_runs_of_two_handlers_are_no_repetition() -> None:
    verdict = judged(runs=[ran(handler="book"), ran(handler="pack")])
    assert verdict.holds
    assert verdict.repeated == 0


@pytest.mark.parametrize(
    ("first", "fault"),
    [
        pytest.param(ran(at=1, seconds=None), Fault("kill", "worker", 1.5, 1.5, pid=1), id="in flight at the kill"),
        pytest.param(ran(at=1), Fault("kill", "worker", 2.0, 2.0, pid=1), id="ended just before, and not yet said so"),
        pytest.param(ran(at=1, seconds=5), Fault("freeze", "worker", 2, 5, pid=1), id="frozen meanwhile"),
        pytest.param(ran(at=1), Fault("kill", "store", 0, 0.5), id="the store could not be told"),
        pytest.param(failed(1), Fault("kill", "ingress", 9, 9), id="it had failed"),
    ],
)
def test_a_second_run_is_explained_by_what_hit_the_first(first: Run, fault: Fault) -> None:
    assert judged(runs=[first, ran(at=8, pid=2)], faults=[fault]).holds


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("kill", "worker", 1.05, 1.05, pid=7), id="another worker was killed"),
        pytest.param(Fault("kill", "worker", 6.0, 6.0, pid=1), id="killed long after its end"),
        pytest.param(Fault("kill", "worker", 0.5, 0.5, pid=1), id="killed before it began"),
        pytest.param(Fault("kill", "ingress", 1.05, 1.05, pid=1), id="the ingress was killed"),
    ],
)
def test_a_second_run_is_not_explained_by_something_else(fault: Fault) -> None:
    verdict = judged(runs=[ran(at=1), ran(at=8, pid=2)], faults=[fault])
    assert verdict.broken["I3 repeated without cause"] == ["a: book"]


def test_each_repetition_needs_a_cause_of_its_own() -> None:
    kill = Fault("kill", "worker", 1.5, 1.5, pid=1)
    runs = [ran(at=1, seconds=None), ran(at=4, pid=2), ran(at=9, pid=3)]
    assert judged(runs=runs, faults=[kill]).broken["I3 repeated without cause"] == ["a: book"]


def test_a_run_of_a_forged_event_is_told() -> None:
    assert judged([sent(genuine=False, outcome="fail")]).broken["I4 not authentic"] == ["a"]


def test_a_run_of_an_event_that_nobody_sent_is_told() -> None:
    assert judged(runs=[ran(), ran("b")]).broken["I4 not authentic"] == ["b"]


def test_a_forged_event_that_is_in_the_store_is_told() -> None:
    verdict = judged([sent(genuine=False, outcome="fail")], [], states={"a": "waiting"})
    assert verdict.broken["I4 not authentic"] == ["a"]


def test_a_refused_event_may_run_when_a_later_attempt_succeeded() -> None:
    assert judged([sent(outcome="fail"), sent(at=1)]).holds


def test_recovery_is_counted_from_the_kill_to_the_second_run() -> None:
    kill = Fault("kill", "worker", 1.5, 1.5, pid=1)
    runs = [ran(at=1, seconds=None), ran(at=4.0, pid=2)]
    verdict = judged(runs=runs, faults=[kill], demands=Demands(lease_seconds=LEASE, recovery_bound=2.0))
    assert verdict.recoveries == [2.5]
    assert verdict.broken["I5 recovery"] == ["2.50 s"]


def test_what_is_left_in_the_store_or_stands_in_a_log_is_told() -> None:
    verdict = judged(leftovers=["tw:event:x"], leaked_lines=["ingress.log: secret"])
    assert set(verdict.broken) == {"I6 left over", "I7 in a log"}


def test_resumption_is_counted_from_the_end_of_the_outage_to_the_next_acknowledgement() -> None:
    outage = Fault("kill", "store", 1.0, 2.0)
    attempts = [sent(at=0), sent("b", at=4.9)]
    demands = Demands(lease_seconds=LEASE, resume_bound=1.0)
    verdict = judged(attempts, faults=[outage], states={"a": "done", "b": "done"}, demands=demands)
    assert verdict.resumptions == [3.0]
    assert verdict.broken["I8 resumption"] == ["3.00 s"]


@pytest.mark.parametrize(
    ("others", "waited"),
    [
        pytest.param([(3.0, 13.0)], 5.0, id="the store is out before the ingress is back"),
        pytest.param([(1.5, 13.0)], 4.0, id="it was out already"),
        pytest.param([(3.0, 13.0), (4.0, 12.0)], 5.0, id="two at once count once"),
        pytest.param([(3.0, 13.0), (17.5, 18.0)], 5.0, id="what is out after the acknowledgement does not count"),
    ],
)
def test_the_time_of_another_outage_does_not_count(others: list[tuple[float, float]], waited: float) -> None:
    faults = [Fault("kill", "ingress", 2.0, 2.0), *(Fault("kill", "store", *other) for other in others)]
    attempts = [sent(at=0), sent("b", at=16.9), sent("c", at=30)]
    verdict = judged(attempts, faults=faults, states=dict.fromkeys("abc", "done"))
    of_ingress = sorted((fault.began, fault.ended) for fault in faults).index((2.0, 2.0))
    assert verdict.resumptions[of_ingress] == pytest.approx(waited)


def test_acknowledgements_that_never_resume_are_told() -> None:
    attempts = [sent(at=0), sent("b", "unknown", at=4)]
    demands = Demands(lease_seconds=LEASE, resume_bound=60.0)
    verdict = judged(attempts, faults=[Fault("kill", "store", 1.0, 2.0)], demands=demands)
    assert verdict.resumptions == [math.inf]
    assert not verdict.holds


def test_an_outage_at_the_end_of_the_load_asks_for_nothing() -> None:
    verdict = judged(faults=[Fault("kill", "store", 1.0, 2.0)], demands=Demands(lease_seconds=LEASE, resume_bound=1.0))
    assert verdict.holds


def test_a_verdict_says_in_a_few_lines_what_is_broken() -> None:
    assert str(judged(states={"a": "missing"})) == "1 acked, 1 lost, 0 repeated\nI1 lost: 1 of them, for example ['a']"


def blocked(seconds: float, cpu_seconds: float) -> str:
    return (
        f'{{"worker":"host-a-41-abcdef","seconds":{seconds},"cpu_seconds":{cpu_seconds},"hint":"h",'
        '"event":"event_loop_blocked","level":"error","timestamp":"2026-11-23T02:02:01.500000Z"}\n'
    )


def test_a_worker_that_stood_still_without_computing_was_hit_by_the_machine(tmp_path: Path) -> None:
    log = tmp_path / "worker-0.1.log"
    log.write_text('{"event":"worker_started"}\n' + blocked(2.4, 0.3))
    assert list(read_stalls(log, 1_795_399_321.5 - 1000)) == [Fault("stall", "worker", 995.2, 1000, 41)]


def test_a_worker_that_computed_for_so_long_was_hit_by_nothing(tmp_path: Path) -> None:
    log = tmp_path / "worker-0.1.log"
    log.write_text(blocked(2.4, 2.0))
    assert list(read_stalls(log, 0)) == []


def test_stalls_are_counted() -> None:
    stall = Fault("stall", "worker", 0.9, 3, 1)
    verdict = judged(runs=[ran(), ran(at=3)], faults=[stall])
    assert (verdict.holds, verdict.stalls) == (True, 1)
