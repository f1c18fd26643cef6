"""Subscribe to a channel of Redis, and notice a connection that is dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from redis.asyncio import Redis


async def subscribe(redis: Redis, channel: str, *, patience: float) -> AsyncGenerator[bytes, None]:
    """What is published on *channel*; the first message is empty, and says that the subscription stands.

    After *patience* (s) of silence Redis is asked whether it is still there. Raises ``TimeoutError`` when it does not
    answer in as much time again, and :class:`redis.exceptions.RedisError` or :class:`OSError` when the connection is
    lost: what was published since then is gone.
    """
    this = asyncio.current_task()
    async with redis.pubsub() as subscription:
        await subscription.subscribe(channel)
        asked = False
        # redis-py may swallow a cancellation while it connects; it is still counted.
        while this is None or not this.cancelling():
            # The second look is for a process that was held up: for it the time is over before it has read what came.
            message = await subscription.get_message(timeout=patience) or await subscription.get_message()
            if message is None:
                if asked:
                    raise TimeoutError
                await subscription.ping()
                asked = True
                continue
            asked = False
            if message["type"] == "message":
                yield message["data"]
            elif message["type"] == "subscribe":
                yield b""
