"""Whether a Redis is one that keeps what it confirms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

OLDEST_REDIS = (6, 2)
"""The oldest version that the scripts are tested with; they use nothing newer."""

_OLDEST = ".".join(map(str, OLDEST_REDIS))


async def find_faults(redis: Redis) -> list[str]:
    """Why events are not safe in *redis*, each with its remedy; empty when they are.

    What this user may not look at is a fault too. Raises what redis-py raises when the server does not answer.
    """
    try:
        info = await redis.info()
    except ResponseError:
        return ["Redis does not let this user look at it (INFO): allow it with `ACL SETUSER <user> +info +config|get`"]
    try:
        appendfsync = (await redis.config_get("appendfsync")).get("appendfsync")
    except ResponseError:
        appendfsync = None
    return judge(info, appendfsync)


def judge(info: Mapping[str, Any], appendfsync: str | None) -> list[str]:
    """The faults of a server that answers INFO with *info*; ``None`` for an *appendfsync* that could not be read."""
    mode, role = info.get("redis_mode"), info.get("role")
    if mode == "sentinel":
        return ["REDIS_URL leads to a sentinel: write redis+sentinel://host:port,…/<master name> to follow its master"]
    faults = [_wrong_version(str(info.get("redis_version"))), _wrong_policy(info.get("maxmemory_policy"))]
    if mode == "cluster":
        faults.append("Redis Cluster is not supported, since an event's keys lie on different nodes: use one master")
    if role == "slave":
        faults.append("this Redis is a replica and takes no events: let REDIS_URL lead to the master")
    faults.append(_wrong_persistence(info.get("aof_enabled"), appendfsync))
    return [fault for fault in faults if fault]


def _wrong_version(version: str) -> str | None:
    try:
        known = tuple(int(part) for part in version.split(".")[:2])
    except ValueError:
        known = (0, 0)
    return None if known >= OLDEST_REDIS else f"Redis {version} is too old: use {_OLDEST} or newer"


def _wrong_policy(policy: object) -> str | None:
    if policy == "noeviction":
        return None
    return (
        f"maxmemory-policy is {policy or 'not told'}, so a full Redis may throw accepted events away: "
        "`CONFIG SET maxmemory-policy noeviction`, and the same in redis.conf"
    )


def _wrong_persistence(aof_enabled: object, appendfsync: str | None) -> str | None:
    if aof_enabled != 1:
        return (
            "appendonly is not on, so accepted events end with the Redis process: "
            "`CONFIG SET appendonly yes` and `CONFIG SET appendfsync always`, and the same in redis.conf"
        )
    if appendfsync is None:
        return (
            "appendfsync cannot be read, since CONFIG is forbidden here: make sure that it is `always`, and allow the "
            "look with `ACL SETUSER <user> +config|get`"
        )
    if appendfsync != "always":
        return (
            f"appendfsync is {appendfsync}, so a killed Redis loses events that were answered with 200: "
            "`CONFIG SET appendfsync always`, and the same in redis.conf"
        )
    return None
