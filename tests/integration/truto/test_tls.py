"""The transport over TLS: whom it trusts, and what it says in the handshake."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.integration.truto.rude import Exchange, rude
from tests.integration.truto.wire import PATIENCE, connections, fetch, listening, read_head, request, threaded
from truto import AsyncTruto, ProtocolError, RetryPolicy, TransportError


@dataclass
class Handshakes:
    """Where a TLS server listens, and what clients told it."""

    url: str = ""
    names: list[str | None] = field(default_factory=list)
    protocols: list[str | None] = field(default_factory=list)
    requests: int = 0


def certificate(folder: Path, name: str) -> Path:
    """A key and a certificate that it has signed itself, for *name* (several with commas), in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    names = [_named(each) for each in name.split(",")]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{name}.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def _named(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@asynccontextmanager
async def serving(path: Path, host: str) -> AsyncIterator[Handshakes]:
    """Answer ``hello`` to whoever accepts the certificate at *path*."""
    seen = Handshakes()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.sni_callback = lambda _socket, name, _context: seen.names.append(name)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        seen.protocols.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await reader.readuntil(b"\r\n\r\n"):
                seen.requests += 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000)
                await writer.drain()
        writer.transport.abort()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    seen.url = f"https://{host}:{listener.sockets[0].getsockname()[1]}"
    try:
        yield seen
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("certificates")
    for name in ("localhost", "127.0.0.1"):
        certificate(path, name)
    return path


def trusting(path: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(path))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_trusted_server_is_asked_over_kept_connections(folder: Path, host: str) -> None:
    path = folder / f"{host}.pem"
    async with serving(path, host) as server, connections(tls=trusting(path)) as transport:
        for _ in range(5):
            assert await fetch(transport, request(server.url)) == b"x" * 300_000
    assert server.requests == 5
    assert server.protocols == ["http/1.1"]
    assert server.names == ["localhost" if host == "localhost" else None]


async def test_a_certificate_that_signs_itself_is_refused_before_anything_is_sent(folder: Path) -> None:
    async with serving(folder / "localhost.pem", "localhost") as server, connections() as transport:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await fetch(transport, request(server.url))
        assert server.requests == 0


@pytest.mark.parametrize(("trusted", "host"), [("localhost", "127.0.0.1"), ("127.0.0.1", "localhost")])
async def test_a_trusted_certificate_of_another_host_is_refused(folder: Path, trusted: str, host: str) -> None:
    path = folder / f"{trusted}.pem"
    async with serving(path, host) as server, connections(tls=trusting(path)) as transport:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await fetch(transport, request(server.url))
        assert server.requests == 0


async def test_the_client_sends_its_token_to_no_server_it_does_not_trust(folder: Path) -> None:
    async with (
        serving(folder / "localhost.pem", "localhost") as server,
        AsyncTruto(token="t", base_url=server.url, retry=RetryPolicy(attempts=1)) as truto,
    ):
        with pytest.raises(TransportError) as caught:
            await truto.sync_jobs.get("1")
        assert not caught.value.sent
        assert server.requests == 0


async def test_a_server_that_speaks_no_tls_is_a_connect_error() -> None:
    async def plain(exchange: Exchange) -> None:
        await exchange.answer()

    async def banner(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test ESMTP\r\n" * 10)
        await asyncio.sleep(PATIENCE)

    async with rude(plain) as server, listening(banner) as url:
        for place in (server.url, url):
            secured = place.replace("http", "https")
            async with connections() as transport:
                with pytest.raises((httpx.ConnectError, httpx.ConnectTimeout)):
                    await fetch(transport, request(secured, timeouts={"connect": 0.5}))


async def test_session_tickets_are_not_taken_for_an_answer(folder: Path) -> None:
    """They come unasked, right behind the handshake."""
    path = folder / "127.0.0.1.pem"
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    context.num_tickets = 8

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            read_head(secured)
            secured.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")

    with threaded(talk) as plain:
        url = plain.replace("http", "https")
        async with connections(tls=trusting(path)) as transport:
            for _ in range(20):
                call = asyncio.create_task(fetch(transport, request(url)))
                while not call.done():
                    time.sleep(0.002)  # noqa: ASYNC251  so that they are there when the loop gets to look
                    await asyncio.sleep(0)
                assert await call == b"hello"


@pytest.mark.parametrize("head", ["Content-Length: 2000000\r\n", ""], ids=["length", "until-closed"])
async def test_a_body_that_is_read_slowly_is_whole_although_the_server_has_closed(folder: Path, head: str) -> None:
    path = folder / "127.0.0.1.pem"
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            read_head(secured)
            secured.sendall(f"HTTP/1.1 200 OK\r\nConnection: close\r\n{head}\r\n".encode() + b"x" * 2_000_000)

    with threaded(talk) as plain:
        url = plain.replace("http", "https")
        async with connections(tls=trusting(path)) as transport:
            response = await transport.send(request(url), stream=True)
            received = 0
            async for piece in response.aiter_raw():
                received += len(piece)
                await asyncio.sleep(0.002)
            await response.aclose()
    assert received == 2_000_000


async def test_an_authority_of_ones_own_is_named_by_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "localhost.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    async with serving(path, "localhost") as server, AsyncTruto(token="t", base_url=server.url) as truto:
        with pytest.raises(ProtocolError):  # it answers no JSON, but it has been believed
            await truto.sync_jobs.get("1")
        assert server.requests == 1
