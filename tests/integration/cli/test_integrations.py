"""``truto-worker integrations``: check, call, test, push, pull, diff."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.commands import Commands, Printed

KEY = "key-of-the-account"
Answer = tuple[int, Any]


@contextmanager
def product(answer: Callable[[str, dict[str, str]], Answer]) -> Iterator[str]:
    """A product that answers *answer*'s status and JSON for a path and its headers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length", 0))
            self.rfile.read(length)
            status, body = answer(self.path, {k.lower(): v for k, v in self.headers.items()})
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_POST = do_GET  # noqa: N815  as the library calls it

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def users(path: str, headers: dict[str, str]) -> Answer:
    if headers.get("authorization") != f"Bearer {KEY}":
        return 401, {"message": f"no: {headers.get('authorization')}"}
    page = int(path.partition("page=")[2].partition("&")[0] or 1)
    return 200, {"users": [{"n": n} for n in range(10 * page - 9, min(10 * page, 25) + 1)]}


def config(url: str) -> dict[str, Any]:
    return {
        "base_url": url,
        "authorization": {"format": "bearer", "config": {"value": "{{api_key}}"}},
        "error_expression": "status = 418 ? 'teapot'",
        "resources": {
            "users": {
                "list": {
                    "path": "/users",
                    "response_path": "users",
                    "pagination": {"format": "page", "config": {"max_limit": 10}},
                },
                "get": {"path": "/users/{{id}}"},
                "create": {"path": "/users", "method": "post"},
            }
        },
        "actions": {"ping": {"type": "request", "config": {"path": "/users"}}},
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with an account's file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTEGRATIONS_HTTP_ALLOW", "127.0.0.1")
    (tmp_path / "integrations").mkdir()
    write(tmp_path / "account.json", {"id": "a1", "context": {"api_key": KEY}})
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Printed]:
    commands = Commands("", monkeypatch, capsys)
    return lambda *arguments: commands("integrations", *arguments)


Run = Callable[..., Printed]


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return path


# -- check -------------------------------------------------------------------------------------------------------------


def test_check_says_what_a_definition_has(folder: Path, run: Run) -> None:
    write(folder / "integrations" / "acme.json", config("https://a.example"))
    printed = run("check")
    assert printed.code == 0
    assert printed.out.splitlines() == [
        "1 integration, no faults",
        "  acme (integrations/acme.json): https://a.example",
        "    methods: users.list, users.get, users.create",
        "    actions: ping",
    ]
    assert run("check", "--json").json["integrations"][0]["methods"] == ["users.list", "users.get", "users.create"]


def test_check_names_every_fault_with_file_key_and_reason(folder: Path, run: Run) -> None:
    broken = config("https://a.example")
    broken["resources"]["users"]["list"]["pagination"]["config"] = {"max_limit": 0, "page_keyy": "x"}
    broken["error_expression"] = "status = "
    write(folder / "integrations" / "a.json", broken)
    (folder / "integrations" / "b.yaml").write_text("a: 1\na: 2\n")
    printed = run("check")
    assert printed.code == 2
    assert printed.err.splitlines() == [
        "truto-worker integrations check failed:",
        "  - integrations/a.json: resources.users.list.pagination.config.max_limit: must be greater than or equal to 1",
        "  - integrations/b.yaml: line 1: the key 'a' is there twice",
    ]
    broken["resources"]["users"]["list"]["pagination"]["config"].pop("max_limit")
    write(folder / "integrations" / "a.json", broken)
    printed = run("check", "integrations/a.json")
    assert "pagination.config.page_keyy: is not known here; did you mean page_key?" in printed.err
    assert "a.json: error_expression: is not valid JSONata: " in printed.err


@pytest.mark.parametrize("name", ["nothing", "integrations", "no.json"])
def test_check_says_where_there_is_nothing(folder: Path, run: Run, name: str) -> None:
    printed = run("check", name)
    assert (printed.code, name in printed.err) == (2, True)


# -- call --------------------------------------------------------------------------------------------------------------


def call(run: Run, url: str, *arguments: str) -> Printed:
    write(Path("integrations/acme.json"), config(url))
    return run("call", *arguments, "--account", "account.json")


def test_call_walks_a_list_up_to_the_limit(folder: Path, run: Run) -> None:
    with product(users) as url:
        printed = call(run, url, "users", "list", "--limit", "12")
    assert printed.code == 0
    assert [json.loads(line) for line in printed.out.splitlines()] == [{"n": n} for n in range(1, 13)]
    assert printed.err.splitlines() == ["12 records (the limit), 2 requests"]


def test_call_prints_one_document_for_programs(folder: Path, run: Run) -> None:
    with product(users) as url:
        printed = call(run, url, "users", "list", "--limit", "0", "--json", "--trace")
    assert [each["n"] for each in printed.json["records"]] == list(range(1, 26))
    assert printed.json["requests"] == 4
    assert KEY not in printed.out
    assert [next(iter(entry)) for entry in printed.json["trace"]][:3] == ["request", "answer", "expression"]


def test_call_runs_methods_and_actions(folder: Path, run: Run) -> None:
    def echo(path: str, headers: dict[str, str]) -> Answer:
        return 200, {"path": path}

    with product(echo) as url:
        assert call(run, url, "users", "get", "--id", "a b", "--json").json["result"] == {"path": "/users/a%20b"}
        assert json.loads(call(run, url, "_", "ping", "--query", "a=1", "--query", "a=2").out) == {
            "path": "/users?a=1&a=2"
        }
        assert call(run, url, "users", "create", "--body", '{"a": 1}').code == 0


def test_a_trace_shows_requests_answers_and_expressions_without_secrets(folder: Path, run: Run) -> None:
    with product(lambda path, headers: (200, {"you": headers["authorization"]})) as url:
        printed = call(run, url, "users", "get", "--id", "7", "--trace")
    lines = printed.err.splitlines()
    assert lines[0] == f"> GET {url}/users/7"
    assert ">   authorization: [secret]" in lines
    assert "< 200" in lines
    assert '<   {"you":"Bearer [secret]"}' in lines
    assert lines[-1] == "= error_expression: nothing (status is 200)"
    assert KEY not in printed.err


def test_a_refusal_of_the_product_is_told_without_secrets(folder: Path, run: Run) -> None:
    write(folder / "account.json", {"context": {"api_key": "wrong-key-1234"}})
    with product(users) as url:
        printed = call(run, url, "users", "list")
    assert printed.code == 1
    assert printed.err == "users.list failed: GET users: 401 no: Bearer [secret]\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["user", "list"], "integrations/acme.json: resources: has no 'user'; did you mean users? It has users"),
        (["_", "pong"], "actions: has no 'pong'; did you mean ping?"),
        (["users", "create", "--body", "{"], "--body: is not JSON"),
        (["users", "list", "--query", "x"], "--query x: must be NAME=VALUE"),
        (["users", "list", "--integration", "no.yaml"], "no.yaml: cannot be read: No such file"),
    ],
)
def test_wrong_input_is_told_with_what_to_do(folder: Path, run: Run, arguments: list[str], message: str) -> None:
    printed = call(run, "https://a.example", *arguments)
    assert printed.code == 2
    assert message in printed.err


def test_an_account_file_that_is_none_is_told(folder: Path, run: Run) -> None:
    write(folder / "account.json", [1])
    assert "account.json: must be an object with a `context`" in call(run, "https://a.example", "users", "list").err
    write(folder / "account.json", {"context": 1})
    assert "account.json: `context` and" in call(run, "https://a.example", "users", "list").err


def test_several_definitions_need_a_choice(folder: Path, run: Run) -> None:
    write(folder / "integrations" / "other.json", config("https://b.example"))
    printed = call(run, "https://a.example", "users", "list")
    assert "say which definition: --integration FILE (in integrations/ there is acme.json, other.json)" in printed.err


def test_an_address_of_our_own_network_is_refused_with_the_setting_that_allows_it(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTEGRATIONS_HTTP_ALLOW", "")
    with product(users) as url:
        printed = call(run, url, "users", "list")
    assert printed.code == 1
    assert "leads into a private network; INTEGRATIONS_HTTP_ALLOW can allow it" in printed.err
    monkeypatch.setenv("INTEGRATIONS_HTTP_ALLOW", "10.0.0.0/99")
    assert "INTEGRATIONS_HTTP_ALLOW: '10.0.0.0/99' is neither host" in call(run, url, "users", "list").err


def test_new_credentials_are_written_into_the_accounts_file(folder: Path, run: Run) -> None:
    def answer(path: str, headers: dict[str, str]) -> Answer:
        if path == "/token":
            return 200, {"access_token": "fresh-token", "refresh_token": "second-refresh"}
        return (200, {"ok": True}) if headers["authorization"] == "Bearer fresh-token" else (401, {})

    token = {"access_token": "old-token", "refresh_token": "first-refresh"}
    write(folder / "account.json", {"id": "a1", "context": {"oauth": {"token": token}, "keep": 1}})
    with product(answer) as url:
        oauth = {"client": {"id": "i", "secret": "client-secret"}, "auth": {"tokenHost": url, "tokenPath": "/token"}}
        given = {**config(url), "authorization": None, "credentials": {"format": "oauth2", "config": oauth}}
        write(folder / "mine.json", given)
        printed = run("call", "users", "get", "--id", "1", "--account", "account.json", "--integration", "mine.json")
    assert printed.code == 0
    assert "note: account.json has new credentials" in printed.err
    assert "token" not in printed.err.replace("new credentials", "")
    kept = json.loads((folder / "account.json").read_text())
    assert kept["context"]["oauth"]["token"]["refresh_token"] == "second-refresh"
    assert (kept["id"], kept["context"]["keep"]) == ("a1", 1)
    assert stat.S_IMODE((folder / "account.json").stat().st_mode) == 0o600


def test_an_account_file_that_others_can_read_is_noticed(folder: Path, run: Run) -> None:
    (folder / "account.json").chmod(0o644)
    with product(users) as url:
        assert (
            "others can read account.json, which holds credentials: chmod 600 it" in call(run, url, "users", "list").err
        )


# -- record and test ---------------------------------------------------------------------------------------------------


def test_a_recorded_call_is_a_test_without_a_network_or_a_secret(folder: Path, run: Run) -> None:
    with product(users) as url:
        assert call(run, url, "users", "list", "--record", "--limit", "15").code == 0
    cassette = folder / "integrations" / "cassettes" / "acme" / "users-list.json"
    assert KEY not in cassette.read_text()
    printed = run("test")
    assert (printed.code, printed.out.splitlines()[-1]) == (0, "1 passed, 0 failed")
    assert "ok      acme  cassettes/acme/users-list.json  2 requests, 15 records" in printed.out


def test_an_error_of_the_product_can_be_recorded_as_well(folder: Path, run: Run) -> None:
    write(folder / "account.json", {"context": {"api_key": "wrong-key-1234"}})
    with product(users) as url:
        assert call(run, url, "users", "get", "--id", "1", "--record").code == 1
    assert run("test").code == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"path": "/people"}, "request 1 is another one than was recorded: url was"),
        ({"response_path": "people"}, "of the recorded requests were not made"),
        ({"headers": {"X-New": "1"}}, "the headers x-new are there only once"),
    ],
)
def test_a_change_that_breaks_a_recording_fails_the_test(
    folder: Path, run: Run, change: dict[str, Any], why: str
) -> None:
    with product(users) as url:
        call(run, url, "users", "list", "--record", "--limit", "25")
        changed = config(url)
    changed["resources"]["users"]["list"] |= change
    write(folder / "integrations" / "acme.json", changed)
    printed = run("test")
    assert printed.code == 1
    assert "FAILED  acme  cassettes/acme/users-list.json" in printed.out
    assert why in printed.out
    assert run("test", "--json").json["failed"] == 1


def test_examples_of_the_definition_are_tests(folder: Path, run: Run) -> None:
    given = config("https://{{sub}}.a.example")
    given["resources"]["users"]["list"]["examples"] = {"response": '{"users": [{"n": 1}]}', "query": '{"q": "x"}'}
    write(folder / "integrations" / "acme.json", given)
    assert "ok      acme  resources.users.list.examples  1 record" in run("test").out
    given["resources"]["users"]["list"]["response_path"] = "data.users"
    write(folder / "integrations" / "acme.json", given)
    printed = run("test")
    assert printed.code == 1
    assert "response_path 'data.users' finds nothing in examples.response" in printed.out


def test_nothing_to_test_is_no_success(folder: Path, run: Run) -> None:
    write(folder / "integrations" / "acme.json", config("https://a.example"))
    printed = run("test")
    assert printed.code == 1
    assert "Nothing was tested" in printed.out


def test_a_file_that_is_no_recording_fails(folder: Path, run: Run) -> None:
    write(folder / "integrations" / "acme.json", config("https://a.example"))
    cassettes = folder / "integrations" / "cassettes" / "acme"
    cassettes.mkdir(parents=True)
    write(cassettes / "x.json", {"call": {}, "account": {}, "exchanges": [1]})
    assert "is no recording: exchanges.0 must have `request` and `answer`" in run("test").out
