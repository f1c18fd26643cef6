"""Whether a Redis is one that keeps what it confirms, by the evidence that it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

OLDEST_REDIS = (6, 2)
"""The oldest version that the scripts are tested with; they use nothing newer."""

RIGHTS = "~tw:* &tw:* +@all -@admin -@dangerous +info +config|get"
"""What an ACL user needs, and what it may have besides without harm to others."""

_OLDEST = ".".join(map(str, OLDEST_REDIS))
_PROBES = 2  # with everysec one write may reach the disk at once by chance, but not the next one as well
_PROBE_MS = 300
_PROMISE = "Your provider must promise"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why events may not be safe, with its remedy. ``is_certain`` unless it cannot be known from here."""

    text: str
    is_certain: bool = True

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a server says besides INFO; ``None`` for what it does not let us know."""

    appendfsync: str | None = None
    is_late: bool = False
    """Whether it was seen to confirm what was not on its disk."""
    config_refusal: str = ""
    """Why ``appendfsync`` could not be read, with what would allow it."""
    masters: str | None = None
    """How many masters share the slots of its cluster."""


async def find_faults(redis: Redis) -> list[Fault]:
    """Why events are not safe in *redis*, or may not be, each with its remedy; empty when they are.

    Raises what redis-py raises when the server does not answer, or does not let this user in.
    """
    try:
        info = await redis.info()
    except ResponseError:
        text = f"this server does not let us look at it (INFO): {await _allow(redis, '+info +config|get')}"
        return [Fault(f"whether events are safe here cannot be known: {text}", is_certain=False)]
    return judge(info, await _gather(redis, info))


async def _gather(redis: Redis, info: Mapping[str, Any]) -> Evidence:
    masters = await _count_masters(redis) if _mode(info) == "cluster" else None
    try:
        return Evidence((await redis.config_get("appendfsync")).get("appendfsync"), masters=masters)
    except NoPermissionError:
        refusal = f"CONFIG is forbidden here; {await _allow(redis, '+config|get')}"
    except ResponseError:
        refusal = "CONFIG does not exist here"
    return Evidence(None, await _confirms_too_early(redis), refusal, masters)


async def _allow(redis: Redis, right: str) -> str:
    try:
        user = await redis.acl_whoami()
    except ResponseError:
        user = "<user>"
    return f"allow it with `ACL SETUSER {user} {right}`"


async def _count_masters(redis: Redis) -> str | None:
    try:
        told: dict[str, str] = await redis.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    except ResponseError:
        return None
    return told.get("cluster_size")


async def _confirms_too_early(redis: Redis) -> bool:
    """Whether a write is seen that is confirmed and not on disk. That none is seen proves nothing.

    Valkey 9.1 with ``everysec`` answers that all is on disk where it is not; before Redis 7.2 none can be asked.
    """
    for _ in range(_PROBES):
        async with redis.pipeline(transaction=False) as pipe:
            pipe.set("tw:probe", 1, px=1)
            pipe.execute_command("WAITAOF", 1, 0, _PROBE_MS)
            _, on_disk = await pipe.execute(raise_on_error=False)
        if isinstance(on_disk, list) and on_disk[0] == 0:
            return True
    return False


def judge(info: Mapping[str, Any], evidence: Evidence) -> list[Fault]:
    """The faults of a server that answers INFO with *info*."""
    mode, role = _mode(info), info.get("role")
    if mode == "sentinel":
        text = "REDIS_URL leads to a sentinel: write redis+sentinel://host:port,…/<master name> to follow its master"
        return [Fault(text)]
    if "dragonfly_version" in info:
        return [
            Fault(
                "this is Dragonfly, which has no append-only file, so that it forgets what it confirmed since its "
                "last snapshot when it is killed: use Redis or Valkey"
            )
        ]
    faults = [_wrong_version(str(info.get("redis_version"))), _wrong_policy(info.get("maxmemory_policy"), evidence)]
    if mode == "cluster":
        faults.append(_in_cluster(evidence.masters))
    if role == "slave":
        faults.append(Fault("this Redis is a replica and takes no events: let REDIS_URL lead to the master"))
    faults.append(_wrong_persistence(info, evidence))
    return [fault for fault in faults if fault]


def _mode(info: Mapping[str, Any]) -> object:
    return info.get("redis_mode", info.get("server_mode"))  # the second is Valkey's


def _in_cluster(masters: str | None) -> Fault:
    size = f" of {masters} master{'s' * (masters != '1')}" if masters else ""
    return Fault(
        f"this is a node of a Redis Cluster{size}, which is not supported, since an event's keys lie on different "
        "nodes: use one master (cluster-enabled no), or several, each by itself, in REDIS_URL"
    )


def _wrong_version(version: str) -> Fault | None:
    try:
        known = tuple(int(part) for part in version.split(".")[:2])
    except ValueError:
        known = (0, 0)
    return None if known >= OLDEST_REDIS else Fault(f"Redis {version} is too old: use {_OLDEST} or newer")


def _wrong_policy(policy: object, evidence: Evidence) -> Fault | None:
    if policy == "noeviction":
        return None
    if policy is None:
        text = (
            f"maxmemory-policy is not told here. {_PROMISE} `noeviction`, or a full server throws accepted events away"
        )
        return Fault(text, is_certain=False)
    return Fault(
        f"maxmemory-policy is {policy}, so a full Redis may throw accepted events away: "
        + _set("maxmemory-policy noeviction", evidence=evidence)
    )


def _wrong_persistence(info: Mapping[str, Any], evidence: Evidence) -> Fault | None:
    if info.get("aof_enabled") != 1:
        return _without_file(info, evidence)
    if evidence.appendfsync == "always":
        return None
    if evidence.appendfsync is None and not evidence.is_late:
        text = f"appendfsync cannot be known here: {evidence.config_refusal}. {_PROMISE} `appendfsync always`"
        return Fault(text, is_certain=False)
    found = evidence.appendfsync or f"not always (what it confirms is not on its disk {_PROBE_MS} ms later)"
    return Fault(
        f"appendfsync is {found}, so a killed Redis loses events that were answered with 200: "
        + _set("appendfsync always", evidence=evidence)
    )


def _without_file(info: Mapping[str, Any], evidence: Evidence) -> Fault:
    if str(info.get("os", "")).startswith("Amazon ElastiCache"):
        text = (
            "there is no append-only file here, and AWS does not say what keeps events instead: MemoryDB does, and "
            "ElastiCache for Valkey with durability switched on; any other ElastiCache loses them"
        )
        return Fault(text, is_certain=False)
    if info.get("aof_enabled") is None:
        text = f"this server does not tell how it keeps events. {_PROMISE} that what it confirms is on disk by then"
        return Fault(text, is_certain=False)
    return Fault(
        "appendonly is not on, so accepted events end with the Redis process: "
        + _set("appendonly yes", "appendfsync always", evidence=evidence)
    )


def _set(*settings: str, evidence: Evidence) -> str:
    """How to give a server these settings."""
    if evidence.config_refusal:
        return f"set {' and '.join(f'`{setting}`' for setting in settings)} where this server is configured"
    return f"{' and '.join(f'`CONFIG SET {setting}`' for setting in settings)}, and the same in redis.conf"
