"""What makes a Redis unfit to keep events is named, with its remedy."""

from __future__ import annotations

from typing import Any

import pytest

from events.checking import Evidence, judge

SOUND = {
    "redis_version": "7.2.4",
    "redis_mode": "standalone",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
}
ALWAYS, SILENT = Evidence("always"), Evidence(config_refusal="CONFIG does not exist here")
UNSETTABLE = Evidence("always", config_refusal="CONFIG is forbidden here")


@pytest.mark.parametrize("version", ["6.2.0", "6.2.14", "7.0.15", "8.0.1", "10.0"])
def test_a_sound_redis_has_no_faults(version: str) -> None:
    assert judge({**SOUND, "redis_version": version}, ALWAYS) == []


@pytest.mark.parametrize(
    ("told", "evidence", "named", "remedy"),
    [
        ({"redis_version": "6.0.16"}, ALWAYS, "6.0.16 is too old", "6.2 or newer"),
        ({"redis_version": "unknown"}, ALWAYS, "unknown is too old", "6.2 or newer"),
        ({"maxmemory_policy": "allkeys-lru"}, ALWAYS, "allkeys-lru", "CONFIG SET maxmemory-policy noeviction"),
        ({"maxmemory_policy": "allkeys-lru"}, UNSETTABLE, "allkeys-lru", "where this server is configured"),
        ({"aof_enabled": 0}, ALWAYS, "appendonly", "CONFIG SET appendonly yes"),
        ({"aof_enabled": 0}, SILENT, "appendonly", "`appendfsync always` where this server is configured"),
        ({}, Evidence("everysec"), "everysec", "CONFIG SET appendfsync always"),
        ({}, Evidence("no"), "appendfsync is no", "CONFIG SET appendfsync always"),
        ({}, Evidence(None, True, "CONFIG is forbidden here"), "not on its disk", "where this server is configured"),
        ({"redis_mode": "cluster"}, Evidence("always", masters="3"), "a Redis Cluster of 3 masters", "one master"),
        ({"redis_mode": "cluster"}, Evidence("always", masters="1"), "a Redis Cluster of 1 master,", "one master"),
        ({"redis_mode": "cluster"}, ALWAYS, "a Redis Cluster, which", "one master"),
        ({"redis_mode": "sentinel"}, SILENT, "leads to a sentinel", "redis+sentinel://"),
        ({"role": "slave"}, ALWAYS, "is a replica", "the master"),
        ({"dragonfly_version": "df-v1.30.0", "aof_enabled": None}, SILENT, "Dragonfly", "use Redis or Valkey"),
    ],
)
def test_each_fault_is_named_with_its_remedy(told: dict[str, Any], evidence: Evidence, named: str, remedy: str) -> None:
    (fault,) = judge({**SOUND, **told}, evidence)
    assert fault.is_certain
    assert named in str(fault)
    assert remedy in str(fault)


@pytest.mark.parametrize(
    ("told", "evidence", "promise"),
    [
        ({}, SILENT, "CONFIG does not exist here. Your provider must promise `appendfsync always`"),
        ({"maxmemory_policy": None}, ALWAYS, "must promise `noeviction`"),
        ({"aof_enabled": None}, SILENT, "must promise that what it confirms is on disk"),
        ({"aof_enabled": 0, "os": "Amazon ElastiCache"}, SILENT, "MemoryDB does"),
    ],
)
def test_what_cannot_be_known_from_here_is_no_certain_fault(
    told: dict[str, Any], evidence: Evidence, promise: str
) -> None:
    (fault,) = judge({**SOUND, **told}, evidence)
    assert not fault.is_certain
    assert promise in str(fault)


@pytest.mark.parametrize(("mode", "named"), [("cluster", "a Redis Cluster"), ("sentinel", "leads to a sentinel")])
def test_valkey_has_another_word_for_what_it_is(mode: str, named: str) -> None:
    told = {name: value for name, value in SOUND.items() if name != "redis_mode"}
    (fault,) = judge({**told, "server_mode": mode}, ALWAYS)
    assert named in str(fault)


def test_all_faults_are_named_at_once() -> None:
    assert len(judge({"redis_version": "5.0", "redis_mode": "cluster", "role": "slave"}, SILENT)) == 5
