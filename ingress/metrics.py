"""What the ingress counts, and ``GET /metrics`` in Prometheus' text format."""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left
from collections import Counter as Counted
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from starlette.requests import Request
from starlette.responses import Response

from events import Acceptance, Intake, Overview, Store, StoreUnavailable, combine
from ingress.connections import Connections
from ingress.health import DRAINING
from ingress.responses import refuse
from ingress.snapshot import Snapshot

_RECEIPT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """One registry per app. Label values come from configuration and our own words, never from a sender."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._receipts = _Receipts()
        self._reported: set[tuple[str, str]] = set()
        self.registry.register(self._receipts)
        self._refusals = Counter(
            "truto_worker_refusals",
            "Refused deliveries by reason",
            ["source", "status", "reason"],
            registry=self.registry,
        )
        self._unusable = Counter(
            "truto_worker_fields_unusable",
            "Accepted deliveries whose event id or type was not a text or a number",
            ["source", "field"],
            registry=self.registry,
        )
        self._renamed = Counter(
            "truto_worker_platform_names",
            "Events of other sources that had a name of Truto's, and were renamed to source/name",
            ["source"],
            registry=self.registry,
        )
        self._link_tokens = Counter(
            "truto_worker_link_tokens",
            "Requests for link tokens by outcome",
            ["outcome"],
            registry=self.registry,
        )
        self._pending = self._by_source("pending_events", "Pending events")
        self._pending_bytes = self._by_source("pending_bytes", "Bytes of pending events in Redis")
        self._unhandled = self._by_source("parked_unhandled", "Parked events without a handler")
        self._unhandled_fullness = self._by_source(
            "parked_fullness",
            "Used part of the limits for parked events without a handler; at 1 the oldest are dropped",
        )
        self._let_go = self._by_source("parked_let_go", "Dropped events that were parked without a handler")
        self._store_up = Gauge(
            "truto_worker_store_up", "1 if the store answered within the last second, else 0", registry=self.registry
        )
        self._queue = Gauge("truto_worker_queue", "Pieces of work by state", ["state"], registry=self.registry)
        self._oldest = Gauge(
            "truto_worker_oldest_ready_seconds", "Age of the oldest ready piece of work", registry=self.registry
        )
        self._workers = Gauge("truto_worker_workers", "Workers seen in the last 15 s", registry=self.registry)
        self._totals = Gauge(
            "truto_worker_events",
            "Events by outcome, for all workers",
            ["what"],
            registry=self.registry,
        )

    def _by_source(self, name: str, about: str) -> Gauge:
        return Gauge(f"truto_worker_{name}", about, ["source"], registry=self.registry)

    def accepted(self, source: str, outcome: str, secret_position: int) -> None:
        """Count an event that the store has accepted, or a duplicate."""
        self._receipts.outcomes[source, outcome] += 1
        self._receipts.secrets[source, secret_position] += 1

    def answered(self, source: str, outcome: str) -> None:
        """Count a delivery that was acknowledged without an event: ``ignored``, or a ``handshake``."""
        self._receipts.outcomes[source, outcome] += 1

    def took(self, seconds: float) -> None:
        """Count an answer, with the seconds since the first byte of its request."""
        self._receipts.times[bisect_left(_RECEIPT_SECONDS, seconds)] += 1
        self._receipts.seconds += seconds

    def renamed(self, source: str, events: int) -> None:
        """Count events that were renamed, because their source is not Truto."""
        self._renamed.labels(source).inc(events)

    def refused(self, source: str, status: int, reason: str) -> None:
        """Count a refused delivery."""
        self._refusals.labels(source, str(status), reason).inc()

    def replaced(self, source: str, field: str) -> bool:
        """Count a delivery with an unusable ``id`` or ``type``; true for the first of this source and field."""
        counter = self._unusable.labels(source, field)
        counter.inc()
        first = (source, field) not in self._reported
        self._reported.add((source, field))
        return first

    def link_token(self, outcome: str) -> None:
        """Count a request for a link token."""
        self._link_tokens.labels(outcome).inc()

    def show(self, overview: Overview | None) -> bytes:
        """All metrics as text. Without an *overview* the store counts as down, and its figures are left out or NaN."""
        self._store_up.set(overview is not None)
        for gauge in (self._pending, self._pending_bytes, self._unhandled, self._unhandled_fullness, self._let_go):
            gauge.clear()
        self._queue.clear()
        self._totals.clear()
        self._oldest.set(math.nan)
        self._workers.set(math.nan)
        if overview is not None:
            for state in ("ready", "waiting", "held", "dead", "parked"):
                self._queue.labels(state).set(getattr(overview, state))
            self._oldest.set(overview.oldest_ready_seconds)
            self._workers.set(overview.workers)
            for source, usage in overview.sources.items():
                self._pending.labels(source).set(usage.events)
                self._pending_bytes.labels(source).set(usage.bytes)
                self._unhandled.labels(source).set(usage.parked)
                self._unhandled_fullness.labels(source).set(usage.fullness)
                self._let_go.labels(source).set(usage.let_go)
            for what, count in overview.totals.items():
                self._totals.labels(what).set(count)
        return generate_latest(self.registry)


class _Receipts(Collector):
    """The counts of every delivery, as plain numbers: a counter of the library costs as much as a digest."""

    def __init__(self) -> None:
        self.outcomes: Counted[tuple[str, str]] = Counted()
        self.secrets: Counted[tuple[str, int]] = Counted()
        self.times = [0] * (len(_RECEIPT_SECONDS) + 1)
        self.seconds = 0.0

    def collect(self) -> Iterator[Metric]:
        """The current figures."""
        outcomes = CounterMetricFamily(
            "truto_worker_deliveries", "Verified deliveries by outcome", labels=["source", "outcome"]
        )
        # list() copies in one step: another thread counts deliveries meanwhile.
        for labels, count in list(self.outcomes.items()):
            outcomes.add_metric(labels, count)
        yield outcomes
        secrets = CounterMetricFamily(
            "truto_worker_secret_used",
            "Deliveries by the live secret that matched; 0 is the newest",
            labels=["source", "position"],
        )
        for (source, position), count in list(self.secrets.items()):
            secrets.add_metric([source, str(position)], count)
        yield secrets
        bounds = [*map(floatToGoString, _RECEIPT_SECONDS), "+Inf"]
        yield HistogramMetricFamily(
            "truto_worker_receipt_seconds",
            "Time from the first byte to the answer",
            buckets=list(zip(bounds, accumulate(self.times), strict=True)),
            sum_value=self.seconds,
        )


class EdgeFigures(Collector):
    """Connections and buffered bodies of this process. Register it with a registry."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def collect(self) -> Iterator[Metric]:
        """The current figures."""
        limits = self._connections.limits
        yield GaugeMetricFamily("truto_worker_connections", "Open connections", len(self._connections))
        yield GaugeMetricFamily(
            "truto_worker_connections_limit", "Limit of open connections (MAX_CONNECTIONS)", limits.connections
        )
        yield GaugeMetricFamily(
            "truto_worker_buffered_bytes", "Bytes of request bodies in memory", self._connections.budget.held
        )
        yield GaugeMetricFamily(
            "truto_worker_buffered_bytes_limit",
            "Limit of bytes of request bodies in memory (MAX_BUFFERED_BYTES)",
            limits.buffered_bytes,
        )


class SpoolFigures(Collector):
    """The size of the spool, and what was written and moved since the process started. Register it with a registry."""

    def __init__(self, intakes: Sequence[Intake]) -> None:
        self._intakes = intakes

    def collect(self) -> Iterator[Metric]:
        """The current figures."""
        records = sum(intake.spool.records for intake in self._intakes)
        held = sum(intake.spool.bytes for intake in self._intakes)
        spooled = sum(intake.spooled for intake in self._intakes)
        yield GaugeMetricFamily("truto_worker_spool_records", "Deliveries in the spool", records)
        yield GaugeMetricFamily("truto_worker_spool_bytes", "Bytes in the spool", held)
        yield CounterMetricFamily("truto_worker_spooled", "Events written to the spool", spooled)
        drained = CounterMetricFamily(
            "truto_worker_drained", "Events moved from the spool to the store, by outcome", labels=["outcome"]
        )
        for acceptance in (Acceptance.ACCEPTED, Acceptance.DUPLICATE, Acceptance.CONFLICT):
            drained.add_metric([acceptance.value], sum(intake.drained[acceptance] for intake in self._intakes))
        yield drained


class MetricsRoute:
    """``GET /metrics``. It also answers while the store is down: that is when operators need it.

    However many requests there are, it writes the text and asks the stores at most once a second.
    """

    def __init__(self, stores: Sequence[Store], metrics: Metrics) -> None:
        self._stores = stores
        self._metrics = metrics
        self._overview = Snapshot(self._ask)
        self._text = Snapshot(self._write, patience_seconds=None)  # the stores' patience bounds it

    async def __call__(self, request: Request) -> Response:
        """Answer with the figures of this process and of the queue."""
        try:
            return Response(await self._text.get(), media_type=CONTENT_TYPE_LATEST)
        except TimeoutError:
            return refuse(DRAINING)

    async def aclose(self) -> None:
        """Stop asking the stores."""
        await self._text.aclose()
        await self._overview.aclose()

    async def _ask(self) -> Overview | None:
        try:
            return combine(await asyncio.gather(*(store.inspection.overview() for store in self._stores)))
        except StoreUnavailable:
            return None

    async def _write(self) -> bytes:
        try:
            overview = await self._overview.get()
        except TimeoutError:
            overview = None
        # With many sources this takes long enough to delay deliveries.
        return await asyncio.to_thread(self._metrics.show, overview)
