"""``truto-worker reconcile``: what its workers do by themselves, at once."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

import structlog
from dotenv import load_dotenv

from cli.jobs import reconciling_job
from cli.opening import store_urls, with_sources_store
from cli.printing import counted, lasting, print_json, printable
from cli.settings import WorkerSettings, read_settings
from events import Store
from truto import TrutoError
from worker.errors import TurnLost
from worker.notify import Notifier
from worker.reconcile import Report


def reconcile_now(*, since: float, dry_run: bool, as_json: bool) -> int:
    """Look for what has not arrived within the last *since* seconds, and accept it again unless *dry_run*.

    0 when it was done, also when something cannot be recovered; 1 when Truto or the store did not answer, no webhook is
    known, or a worker is reconciling right now.
    """
    load_dotenv(".env")

    async def work(store: Store) -> int:
        # What would be logged is printed, and a worker's log is no place for it.
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        urls = store_urls()
        settings = read_settings(WorkerSettings, redis_url=" ".join(urls))
        notifier = Notifier(None, [])
        try:
            async with reconciling_job(settings, {urls[0]: store}, notifier) as job:
                turn = await store.recovery.take_turn(30.0, at_once=True)
                if turn is None:
                    print("A worker is reconciling right now: look again in a minute.", file=sys.stderr)
                    return 1
                report = await job.look_back(turn, since, dry_run=dry_run)
        except (TrutoError, TurnLost) as exc:
            print(f"Not reconciled: {printable(exc, 500)}", file=sys.stderr)
            return 1
        finally:
            await notifier.aclose()
        if report is None:
            print("Not reconciled: which webhook delivers here is not known: truto-worker connect", file=sys.stderr)
            return 1
        _show(report, since=since, dry_run=dry_run, as_json=as_json)
        return 0

    return with_sources_store(work)


def list_unrecoverable(*, as_json: bool) -> int:
    """Print what could not be recovered so far, with the reasons and where to get it."""

    async def work(store: Store) -> int:
        remembered = await store.recovery.remembered()
        rows = await _still_missing(store, remembered.get("unrecoverable") or [])
        if as_json:
            print_json({"unrecoverable": rows, "last": remembered.get("last")})
        else:
            _print_lost(rows)
            print("Nothing is missing for good." if not rows else f"{counted(len(rows), 'event')} missing for good.")
        return 0

    return with_sources_store(work)


async def _still_missing(store: Store, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without those that have come late."""
    arrived = await store.recovery.arrived([row["id"] for row in rows])
    return [row for row in rows if row["id"] not in arrived]


def _show(report: Report, *, since: float, dry_run: bool, as_json: bool) -> None:
    if as_json:
        lists = {"recovered": report.recovered, "unrecoverable": report.unrecoverable}
        print_json({"logged": report.logged, "dry_run": dry_run, **lists})
        return
    for row in report.recovered:
        word = "would recover" if dry_run else "recovered"
        print(f"{word:<14} {row['at'][:19]}Z  {printable(row['type']):<40} about {printable(row['about'], 40)}")
    _print_lost(report.unrecoverable)
    done = "would be recovered" if dry_run else "recovered"
    print(
        f"Of {counted(report.logged, 'event')} in Truto's log of the last {lasting(since)}: "
        f"{len(report.recovered)} {done}, {len(report.unrecoverable)} cannot be."
    )


def _print_lost(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        print(f"{'lost':<14} {row['at'][:19]}Z  {printable(row['type']):<40} id {printable(row['id'], 40)}")
        print(f"{'':<14} {printable(row['why'])}: {printable(row['where'])}")
