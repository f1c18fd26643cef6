"""What makes a Redis unfit to keep events is named, with its remedy."""

from __future__ import annotations

from typing import Any

import pytest

from events.checking import judge

SOUND = {
    "redis_version": "7.2.4",
    "redis_mode": "standalone",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
}


@pytest.mark.parametrize("version", ["6.2.0", "6.2.14", "7.0.15", "8.0.1", "10.0"])
def test_a_sound_redis_has_no_faults(version: str) -> None:
    assert judge({**SOUND, "redis_version": version}, "always") == []


@pytest.mark.parametrize(
    ("told", "appendfsync", "named", "remedy"),
    [
        ({"redis_version": "6.0.16"}, "always", "6.0.16 is too old", "6.2 or newer"),
        ({"redis_version": "unknown"}, "always", "unknown is too old", "6.2 or newer"),
        ({"maxmemory_policy": "allkeys-lru"}, "always", "allkeys-lru", "CONFIG SET maxmemory-policy noeviction"),
        ({"maxmemory_policy": None}, "always", "not told", "CONFIG SET maxmemory-policy noeviction"),
        ({"aof_enabled": 0}, "always", "appendonly", "CONFIG SET appendonly yes"),
        ({}, "everysec", "everysec", "CONFIG SET appendfsync always"),
        ({}, "no", "appendfsync is no", "CONFIG SET appendfsync always"),
        ({}, None, "forbidden", "+config|get"),
        ({"redis_mode": "cluster"}, "always", "Cluster is not supported", "one master"),
        ({"redis_mode": "sentinel"}, None, "leads to a sentinel", "redis+sentinel://"),
        ({"role": "slave"}, "always", "is a replica", "the master"),
    ],
)
def test_each_fault_is_named_with_its_remedy(
    told: dict[str, Any], appendfsync: str | None, named: str, remedy: str
) -> None:
    (fault,) = judge({**SOUND, **told}, appendfsync)
    assert named in fault
    assert remedy in fault


def test_all_faults_are_named_at_once() -> None:
    assert len(judge({"redis_version": "5.0", "redis_mode": "cluster", "role": "slave"}, None)) == 5
