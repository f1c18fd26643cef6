"""Something on a socket that speaks enough of Redis' protocol to be asked, and answers scripts as it likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def lying_redis(script_answer: bytes, *, unasked: bytes = b"", **answers: bytes) -> AsyncIterator[str]:
    """Yields the URL of a server that answers every script with *script_answer*, or hangs up when that is empty.

    Other commands are answered as *answers* say, by name, else with OK. What is *unasked* comes a moment behind the
    answer to a script.
    """
    answers["EVALSHA"] = script_answer

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while words := await _command(reader):
            answer = answers.get(words[0].decode().upper(), b"+OK\r\n")
            writer.write(answer)
            if not answer:
                break
            if unasked and answer is script_answer:
                await asyncio.sleep(0.01)
                writer.write(unasked)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"redis://:hidden-password@127.0.0.1:{server.sockets[0].getsockname()[1]}/0"


async def _command(reader: asyncio.StreamReader) -> list[bytes]:
    head = await reader.readline()
    words = []
    for _ in range(int(head[1:] or b"0")):
        length = int((await reader.readline())[1:])
        words.append((await reader.readexactly(length + 2))[:-2])
    return words
