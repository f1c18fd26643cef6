"""The ingress with a file of sources, as a process of its own: it starts, follows the file, and tells its refusals."""

from __future__ import annotations

import functools
import hmac
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from redis import Redis

from cli.main import main
from cli.processes import Process, Processes
from events.embedded import EmbeddedRedis
from tests.servers import free_port

TOKEN = "a token of more than sixteen bytes"


def put(file: Path, token: str) -> None:
    block = {"signature_verification": {"format": "bearer", "config": {}}}
    file.write_text(json.dumps({"tools": {"webhook": block, "secrets": [token]}}))


class Ingress:
    """A running ingress without Truto's own source."""

    def __init__(self, processes: Processes, redis_url: str, folder: Path) -> None:
        self.file = folder / "sources.yaml"
        put(self.file, TOKEN)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.environment = {
            "REDIS_URL": redis_url,
            "SOURCES_FILE": str(self.file),
            "TRUTO_WEBHOOK_SECRET": "",
            "PORT": self.url.rpartition(":")[2],
        }
        self.process: Process = processes.start("ingress", ["ingress"], self.environment)
        processes.wait_until_up(self.process, f"{self.url}/readyz")

    def deliver(self, token: str) -> int:
        request = urllib.request.Request(
            f"{self.url}/webhooks/tools",
            data=b'{"event":"ping"}',
            headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answered:
                return int(answered.status)
        except urllib.error.HTTPError as exc:
            exc.close()
            return exc.code

    def wait_for(self, status: int, token: str) -> None:
        ends = time.monotonic() + 10
        while self.deliver(token) != status:
            assert time.monotonic() < ends, self.process.log_tail()
            time.sleep(0.1)


@pytest.fixture
def ingress(redis_server: EmbeddedRedis, tmp_path: Path) -> Iterator[Ingress]:
    with Processes(logs=tmp_path) as processes:
        yield Ingress(processes, redis_server.url, tmp_path)


def test_an_ingress_follows_its_file_and_remembers_refusals(ingress: Ingress) -> None:
    assert ingress.deliver(TOKEN) == 200
    assert ingress.deliver("wrong") == 401
    put(ingress.file, "new " + TOKEN)
    os.kill(ingress.process.pid, signal.SIGHUP)
    ingress.wait_for(200, "new " + TOKEN)
    assert ingress.deliver(TOKEN) == 401
    ingress.file.write_text("tools: {preset: nope}")
    os.kill(ingress.process.pid, signal.SIGHUP)
    ends = time.monotonic() + 10
    while "sources_kept" not in ingress.process.log_tail():
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert ingress.deliver("new " + TOKEN) == 200
    time.sleep(1.2)  # refusals are written about once a second
    command = [sys.executable, "-m", "cli", "sources", "refusals", "--source", "tools"]
    environment = {**os.environ, **ingress.environment}
    told = subprocess.run([*command, "--json"], env=environment, capture_output=True, text=True, check=True)
    assert {row["reason"] for row in json.loads(told.stdout)} == {"signature_mismatch"}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "signature_mismatch" in told.stdout
    assert TOKEN not in told.stdout


def test_an_ingress_with_a_faulty_file_does_not_start(tmp_path: Path) -> None:
    file = tmp_path / "sources.yaml"
    file.write_text("tools: {preset: nope}")
    environment = {**os.environ, "REDIS_URL": "redis://127.0.0.1:1", "SOURCES_FILE": str(file)}
    command = [sys.executable, "-m", "cli", "ingress"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    assert f"{file}: tools.preset: there is no such preset" in ended.stderr


def explain(monkeypatch: pytest.MonkeyPatch, folder: Path, source: str, headers: dict[str, str]) -> int:
    (folder / "headers").write_text(json.dumps(headers))
    (folder / "body").write_bytes(b'{"event":"ping"}')
    arguments = ["--source", source, "--headers", str(folder / "headers"), "--body", str(folder / "body")]
    monkeypatch.setenv("SOURCES_FILE", str(folder / "sources.yaml"))
    monkeypatch.setattr(sys, "argv", ["truto-worker", "sources", "explain", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


def asana_headers(redis_server: EmbeddedRedis, folder: Path) -> dict[str, str]:
    """What a delivery is signed with, by the secret that a handshake of this source has left in the store."""
    (folder / "sources.yaml").write_text("asana: {preset: asana}")
    with Redis.from_url(redis_server.url) as admin:
        admin.flushall()
        admin.hset("tw:context:asana", "webhook_secret", json.dumps(TOKEN))
    return {"x-hook-signature": hmac.digest(TOKEN.encode(), b'{"event":"ping"}', "sha256").hex()}


def test_what_a_handshake_left_is_used_to_explain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    signed = asana_headers(redis_server, tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    assert explain(monkeypatch, tmp_path, "asana", signed) == 0
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}")
    assert explain(monkeypatch, tmp_path, "asana", signed) == 1
    assert "Without what handshakes have left" in capsys.readouterr().err


def test_of_several_stores_the_first_has_what_a_handshake_left(
    monkeypatch: pytest.MonkeyPatch, redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    signed = asana_headers(redis_server, tmp_path)
    monkeypatch.setenv("REDIS_URL", f"{redis_server.url} redis://127.0.0.1:{free_port()}")
    assert explain(monkeypatch, tmp_path, "asana", signed) == 0


def test_the_keys_of_an_issuer_are_fetched_to_explain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    public = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(private.public_key()))
    (tmp_path / "jwks").write_text(json.dumps({"keys": [{**public, "kid": "k", "alg": "EdDSA"}]}))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        options = {"jwt": {"algorithms": ["EdDSA"], "jwks_url": f"{url}/jwks"}}
        block = {"signature_verification": {"format": "jwt", "config": {}}}
        sources = {"good": {"webhook": block, "options": options}}
        broken = {"jwt": {"algorithms": ["EdDSA"], "jwks_url": f"{url}/nothing"}}
        sources["broken"] = {"webhook": block, "options": broken}
        (tmp_path / "sources.yaml").write_text(json.dumps(sources))
        now = int(time.time())
        token = jwt.encode({"exp": now + 60, "iat": now}, private, algorithm="EdDSA", headers={"kid": "k"})
        assert explain(monkeypatch, tmp_path, "good", {"authorization": f"Bearer {token}"}) == 0
        assert "exp: +" in capsys.readouterr().out
        assert explain(monkeypatch, tmp_path, "broken", {"authorization": f"Bearer {token}"}) == 1
        assert "answered with 404" in capsys.readouterr().err
        server.shutdown()


class _Keys(http.server.BaseHTTPRequestHandler):
    """Gives the key `k` to whoever knows the secret."""

    key: ClassVar[dict[str, str]] = {}

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        good = asked == {"secret": "mine", "kid": "k"}
        told = json.dumps({"key": self.key} if good else {"error_code": "INVALID_API_KEYS"}).encode()
        self.send_response(200 if good else 400)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(told)


def test_the_one_key_that_a_delivery_names_is_asked_for_to_explain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    _Keys.key = {**json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(private.public_key())), "kid": "k", "alg": "EdDSA"}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Keys) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/key"
        block = {"signature_verification": {"format": "jwt", "config": {}}}
        sources = {
            name: {
                "webhook": block,
                "options": {
                    "jwt": {"algorithms": ["EdDSA"], "key_request": {"url": url, "fields": {"secret": secret}}}
                },
            }
            for name, secret in (("good", "mine"), ("wrong", "not-mine"))
        }
        (tmp_path / "sources.yaml").write_text(json.dumps(sources))
        now = int(time.time())
        token = jwt.encode({"exp": now + 60, "iat": now}, private, algorithm="EdDSA", headers={"kid": "k"})
        assert explain(monkeypatch, tmp_path, "good", {"authorization": f"Bearer {token}"}) == 0
        capsys.readouterr()
        assert explain(monkeypatch, tmp_path, "wrong", {"authorization": f"Bearer {token}"}) == 1
        told = capsys.readouterr()
        server.shutdown()
    assert f"Without the keys of {url}: the key was answered with 400 (INVALID_API_KEYS)" in told.err
    assert "not-mine" not in told.out + told.err


def test_nothing_refused_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], redis_server: EmbeddedRedis
) -> None:
    with Redis.from_url(redis_server.url) as admin:
        admin.delete("tw:refusals")
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.setattr(sys, "argv", ["truto-worker", "sources", "refusals"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().out == "Nothing was refused.\n"
