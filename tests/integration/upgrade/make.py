"""Write what a version leaves in Redis into a file beside this one, for the tests of the versions that follow.

    python -m tests.integration.upgrade.make COMMIT

The ingress and a worker of that commit run for a few seconds; the worker is killed in the middle of its work.
"""

from __future__ import annotations

import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from redis import Redis

from tests.integration.upgrade.shop import ACCOUNT, Sender, checkout, ingress, shop
from tests.integration.upgrade.snapshot import take
from tests.integration.worker.processes import Team
from tests.servers import quick_redis

_LARGE = 70_000  # more than is stored in one piece today


def main(commit: str) -> None:
    with tempfile.TemporaryDirectory() as folder, quick_redis() as server, Redis.from_url(server.url) as redis:
        code, here = Path(folder) / "code", Path(folder) / "shop"
        here.mkdir()
        checkout(commit, code)
        team = shop(here, server.url)
        with ingress(here, server.url, code) as sender:
            _enrol(sender)
            with team.worker(BEFORE_UPGRADE="1", LEASE_SECONDS="3", PYTHONPATH=str(code)) as worker:
                _leave_work_behind(sender, team, redis)
                worker.kill()
                worker.wait()
            _leave_pending(sender)
        Path(__file__).with_name(f"{commit}.json").write_text(
            take(redis).replace(socket.gethostname(), "host").replace(str(code), "/app").replace(str(here), "/shop")
        )


def _enrol(sender: Sender) -> None:
    assert sender.enrol_asana() == 200
    assert sender.forge() == "signature_mismatch"


def _leave_work_behind(sender: Sender, team: Team, redis: Redis) -> None:
    handled = {
        "order:paid": "done-1",
        "order:failing": "failing-1",
        "order:split": "split-1",
        "order:revoked": "revoked-1",
        "order:refused": "refused-1",
        "order:new": "new-1",
        "order:unknown": "unknown-1",
        "order:stepped": "stepped-1",
        "order:slow": "slow-1",
        "order:napping": "nap-1",
        "order:waiting": "waiting-1",
    }
    for kind, event_id in handled.items():
        assert sender.deliver(kind, event_id, integrated_account_id=ACCOUNT) == "accepted"
    sender.deliver("order:slow", "slow-2")
    for kind in ("keyed", "ordered"):
        for number in (1, 2, 3):
            sender.deliver(f"order:{kind}", f"{kind}-{number}", integrated_account_id=ACCOUNT)
    assert sender.deliver_hub("push", "hub-done") == "accepted"
    assert sender.deliver_own("push", "own-done") == "accepted"
    said = {
        "paid done-1 0",
        "failing failing-1 attempt 1",
        "first split-1",
        "second split-1",
        "revoked revoked-1 attempt 1",
        "refused refused-1 attempt 1",
        "charge stepped-1",
        "slow slow-1 attempt 1",
        "slow slow-2 attempt 1",
        "nap begun",
        "wait begun",
        "keyed keyed-1",
        "ordered ordered-1",
        "paid own-done 5",
    }
    _wait(lambda: said <= set(team.said()), lambda: said ^ set(team.said()))
    # Two without a handler and one without its account; of the keyed ones, all but the first.
    places = {"tw:parked": 3, "tw:dead": 1, "tw:held": 4, "tw:runs:open": 2}
    _wait(lambda: all(redis.zcard(key) == many for key, many in places.items()), lambda: redis.keys("*"))
    _wait(lambda: redis.exists("tw:waits:sync_job_run:failed") or redis.keys("tw:waits:*"), lambda: redis.keys("*"))
    _wait(lambda: redis.zcard("tw:recent") == 3, lambda: redis.zrange("tw:recent", 0, -1))


def _leave_pending(sender: Sender) -> None:
    for number in range(3):
        sender.deliver("order:paid", f"pending-{number}")
    sender.deliver("order:large", "large-1", text="x" * _LARGE)
    sender.deliver_hub("push", "hub-pending")
    sender.deliver_own("push", "own-pending")
    sender.deliver_asana()
    sender.deliver("integrated_account:active", "eu-1", source="truto-eu", id=ACCOUNT)


def _wait(holds: Callable[[], object], otherwise: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.02)


if __name__ == "__main__":
    main(*sys.argv[1:])
