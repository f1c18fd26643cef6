"""Let an answer count only once replicas have what it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError, ResponseError

from events.errors import StoreUnavailable

_WAIT_SECONDS = 1.0


class ReplicaConfirmation:
    """Runs a script and waits, on the same connection, until *replicas* have taken over all that was written before.

    Asks with ``WAIT``, and where the server knows it (Redis 7.2) also with ``WAITAOF``: then this server and
    the replicas have it on disk. A failover may still lose what was not confirmed; Redis is not strongly consistent.
    """

    def __init__(self, redis: Redis, replicas: int) -> None:
        self._redis = redis
        self._replicas = replicas
        self._ask_for_disk = True

    async def run(self, script: AsyncScript, args: Sequence[str | bytes | int]) -> Any:
        """The script's answer. Raises :class:`StoreUnavailable` when fewer replicas confirm within a second.

        The script has run then, too: what it did may stay, and may be lost.
        """
        answer, *confirmations = await self._ask(script, args)
        if isinstance(answer, NoScriptError):
            await self._redis.script_load(script.script)
            answer, *confirmations = await self._ask(script, args)
        for result in (answer, *confirmations):
            if isinstance(result, Exception):
                raise result
        # WAIT answers with the replicas, WAITAOF with this server (0 or 1) and the replicas.
        in_memory, *on_disk = confirmations
        self._compare("replicas", in_memory, self._replicas)
        for counts in on_disk:
            self._compare("local disks", counts[0], 1)
            self._compare("replicas' disks", counts[1], self._replicas)
        return answer

    async def _ask(self, script: AsyncScript, args: Sequence[str | bytes | int]) -> list[Any]:
        milliseconds = round(_WAIT_SECONDS * 1000)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.evalsha(script.sha, 0, *args)  # type: ignore[arg-type]  # redis-py sends bytes and numbers as well
            pipe.execute_command("WAIT", self._replicas, milliseconds)
            if self._ask_for_disk:
                pipe.execute_command("WAITAOF", 1, self._replicas, milliseconds)
            results = await pipe.execute(raise_on_error=False)
        if isinstance(results[-1], ResponseError) and str(results[-1]).startswith("unknown command"):
            self._ask_for_disk = False
            results.pop()
        return list(results)

    @staticmethod
    def _compare(where: str, confirmed: object, asked: int) -> None:
        if type(confirmed) is not int or confirmed < asked:
            raise StoreUnavailable(f"Redis did not confirm: {confirmed!r} of {asked} {where}")
