"""What is in a Redis as text, and back, as if it had been written a moment ago."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, cast

from redis import Redis

_NEAR_MS = 200 * 86_400_000  # a number so near to the time of the snapshot is a time


def take(redis: Redis) -> str:
    """All keys with their types, values and times to live (ms), a line each."""
    keys = ",\n".join(
        f"  {json.dumps(key)}: {json.dumps(_read(redis, key), ensure_ascii=False)}" for key in _keys(redis)
    )
    return f'{{"taken_ms": {now_ms(redis)}, "keys": {{\n{keys}\n}}}}\n'


def restore(redis: Redis, snapshot: str, *, seconds_later: float = 0) -> None:
    """Fill an empty *redis* as it was, *seconds_later* than when the snapshot was taken.

    Times move with Redis' clock: scores, and values that are a number of seconds or milliseconds.
    """
    found = json.loads(snapshot)
    taken = found["taken_ms"]
    by = now_ms(redis) - taken - seconds_later * 1000
    for key, (kind, value, ttl) in found["keys"].items():
        _WRITERS[kind](redis, key, value, lambda text: _moved(text, taken, by))
        if ttl > 0:
            redis.pexpire(key, max(1, round(ttl - seconds_later * 1000)))


def now_ms(redis: Redis) -> int:
    seconds, micro = cast("tuple[int, int]", redis.time())
    return seconds * 1000 + micro // 1000


def _keys(redis: Redis) -> list[str]:
    return sorted(key.decode() for key in cast("list[bytes]", redis.keys("*")))


def _read(redis: Redis, key: str) -> tuple[str, Any, int]:
    kind = cast("bytes", redis.type(key)).decode()
    return kind, _READERS[kind](redis, key), cast("int", redis.pttl(key))


_Redis = Any  # redis-py's answers are typed for both of its clients at once

_READERS: dict[str, Callable[[_Redis, str], Any]] = {
    "string": lambda redis, key: _text(redis.get(key)),
    "hash": lambda redis, key: {name.decode(): _text(value) for name, value in sorted(redis.hgetall(key).items())},
    "list": lambda redis, key: [_text(value) for value in redis.lrange(key, 0, -1)],
    "set": lambda redis, key: sorted(value.decode() for value in redis.smembers(key)),
    "zset": lambda redis, key: {
        name.decode(): repr(score) for name, score in redis.zrange(key, 0, -1, withscores=True)
    },
}
_WRITERS: dict[str, Callable[[_Redis, str, Any, Callable[[bytes], bytes]], Any]] = {
    "string": lambda redis, key, value, move: redis.set(key, move(_bytes(value))),
    "hash": lambda redis, key, value, move: redis.hset(key, mapping={n: move(_bytes(v)) for n, v in value.items()}),
    "list": lambda redis, key, value, _: redis.rpush(key, *map(_bytes, value)),
    "set": lambda redis, key, value, _: redis.sadd(key, *value),
    "zset": lambda redis, key, value, move: redis.zadd(key, {n: move(s.encode()) for n, s in value.items()}),
}


def _text(value: bytes) -> str | dict[str, str]:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _bytes(value: str | dict[str, str]) -> bytes:
    return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"])


def _moved(value: bytes, taken_ms: int, by_ms: float) -> bytes:
    try:
        number = float(value)
    except ValueError:
        return value
    for unit in (1, 1000):
        if abs(number * unit - taken_ms) < _NEAR_MS:
            return repr(number + by_ms / unit).encode()
    return value
