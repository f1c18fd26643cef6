"""What the figures say, and that the last ones are not shown when the store is down."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from events import Acceptance, Overview
from ingress.metrics import Metrics

OVERVIEW = Overview(
    ready=3, oldest_ready_seconds=1.5, waiting=2, dead=1, parked=4, workers=5, totals={"accepted": 9, "done": 7}, held=6
)


def samples(text: bytes) -> dict[str, float]:
    """Every figure by its name and labels; what is not a number is left out."""
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.value == sample.value
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("truto_worker_store_up", 1),
        ("truto_worker_queue state=ready", 3),
        ("truto_worker_queue state=waiting", 2),
        ("truto_worker_queue state=held", 6),
        ("truto_worker_queue state=dead", 1),
        ("truto_worker_queue state=parked", 4),
        ("truto_worker_oldest_ready_seconds", 1.5),
        ("truto_worker_workers", 5),
        ("truto_worker_events what=accepted", 9),
        ("truto_worker_events what=done", 7),
    ],
)
def test_the_state_of_the_queue_is_shown(name: str, value: float) -> None:
    assert samples(Metrics().show(OVERVIEW))[name] == value


def test_while_the_store_is_down_its_last_figures_are_left_out() -> None:
    metrics = Metrics()
    metrics.show(OVERVIEW)
    down = samples(metrics.show(None))
    assert down["truto_worker_store_up"] == 0
    shown = [name for name in down if name.startswith(("truto_worker_queue", "truto_worker_events"))]
    assert shown == []
    assert "truto_worker_oldest_ready_seconds" not in down
    assert "truto_worker_workers" not in down


def test_when_the_store_is_back_its_figures_are_too() -> None:
    metrics = Metrics()
    metrics.show(None)
    assert samples(metrics.show(replace(OVERVIEW, workers=1)))["truto_worker_workers"] == 1


def test_deliveries_and_refusals_are_counted_by_source_and_outcome() -> None:
    metrics = Metrics()
    metrics.accepted("truto", Acceptance.CONFLICT, 1)
    metrics.accepted("truto", Acceptance.ACCEPTED, 0)
    metrics.refused("truto", 401, "signature_format")
    counted = samples(metrics.show(None))
    assert counted["truto_worker_deliveries_total outcome=conflict source=truto"] == 1
    assert counted["truto_worker_deliveries_total outcome=accepted source=truto"] == 1
    assert counted["truto_worker_secret_used_total position=1 source=truto"] == 1
    assert counted["truto_worker_refusals_total reason=signature_format source=truto status=401"] == 1


def test_answers_are_counted_by_the_time_they_took() -> None:
    metrics = Metrics()
    for seconds in (0.0005, 0.001, 0.3, 60):
        metrics.took(seconds)
    counted = samples(metrics.show(None))
    name = "truto_worker_receipt_seconds"
    bounds = ("0.001", "0.25", "0.5", "10.0", "+Inf")
    assert [counted[f"{name}_bucket le={bound}"] for bound in bounds] == [2, 2, 3, 3, 4]
    assert counted[f"{name}_count"] == 4
    assert counted[f"{name}_sum"] == pytest.approx(60.3015)


def test_two_apps_do_not_share_figures() -> None:
    one, other = Metrics(), Metrics()
    one.refused("truto", 401, "x")
    assert not [name for name in samples(other.show(None)) if name.startswith("truto_worker_refusals_total")]


def test_unusable_ids_are_counted_by_source_and_the_first_one_is_told() -> None:
    metrics = Metrics()
    assert [metrics.replaced("s", "id"), metrics.replaced("s", "id"), metrics.replaced("s", "type")] == [
        True,
        False,
        True,
    ]
    assert samples(metrics.show(None))["truto_worker_fields_unusable_total field=id source=s"] == 2
