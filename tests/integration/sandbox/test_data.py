"""A tenant's data: reads with their parameters, writes, custom methods, provider trouble, rate limits."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.sandbox.conftest import Receiver, eventually, open_sandbox
from truto.samples import ACCOUNT_ID

CONTACTS = "/unified/crm/contacts"
MINE = {"integrated_account_id": ACCOUNT_ID}
JANE = {"first_name": "Jane", "last_name": "Doe", "email": "jane@example.com"}


async def fault(api: httpx.AsyncClient, **wanted: Any) -> None:
    assert (await api.put("/sandbox/faults", json=wanted)).status_code == 200


async def sandbox_copy(api: httpx.AsyncClient) -> str:
    return str((await api.post("/sandbox-integrated-account", json={"id": ACCOUNT_ID})).json()["id"])


async def test_a_unified_write_is_read_back_in_both_wordings(api: httpx.AsyncClient) -> None:
    made = (await api.post(CONTACTS, params=MINE, json={**JANE, "unknown": 1})).json()
    assert (made["id"], made["email"]) == ("26", "jane@example.com")
    assert made["remote_data"]["firstName"] == "Jane"
    assert "unknown" not in made["remote_data"]
    native = (await api.get("/proxy/contacts/26", params=MINE)).json()
    assert native == made["remote_data"]


async def test_a_native_write_keeps_every_field_but_chooses_no_id(api: httpx.AsyncClient) -> None:
    body = {"firstName": "Kim", "favouriteColour": "red", "id": "1", "createdAt": "never"}
    made = (await api.post("/proxy/contacts", params=MINE, json=body)).json()
    assert (made["id"], made["favouriteColour"]) == ("26", "red")
    assert made["createdAt"] != "never"


@pytest.mark.parametrize(
    ("path", "change", "field"),
    [(f"{CONTACTS}/3", {"email": "a@b.example"}, "email"), ("/proxy/contacts/3", {"email": "a@b.example"}, "email")],
    ids=["unified", "native"],
)
async def test_an_update_changes_the_given_fields_only(
    api: httpx.AsyncClient, path: str, change: dict[str, Any], field: str
) -> None:
    before = (await api.get(path, params=MINE)).json()
    after = (await api.patch(path, params=MINE, json=change)).json()
    assert after[field] == change[field]
    assert {key for key in after if after[key] != before[key]} <= {field, "updated_at", "updatedAt", "remote_data"}


async def test_a_deleted_record_is_gone_and_its_number_is_not_given_again(api: httpx.AsyncClient) -> None:
    assert (await api.delete(f"{CONTACTS}/25", params=MINE)).json() == {"id": "25"}
    gone = await api.get(f"{CONTACTS}/25", params=MINE)
    assert (gone.status_code, gone.json()["truto_is_remote_error"]) == (404, True)
    assert (await api.post(CONTACTS, params=MINE, json=JANE)).json()["id"] == "26"


async def test_each_account_has_its_own_records(api: httpx.AsyncClient) -> None:
    other = (await api.post("/sandbox/connect", json={"tenant_id": "t"})).json()["id"]
    await api.delete(f"{CONTACTS}/1", params=MINE)
    assert (await api.get(f"{CONTACTS}/1", params={"integrated_account_id": other})).status_code == 200


async def test_what_an_account_wrote_goes_with_it(api: httpx.AsyncClient) -> None:
    other = (await api.post("/sandbox/connect", json={"tenant_id": "t"})).json()["id"]
    await api.post(CONTACTS, params={"integrated_account_id": other}, json=JANE)
    await api.delete(f"/integrated-account/{other}")
    assert (await api.get(CONTACTS, params={"integrated_account_id": other})).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "status", "remote"),
    [
        ("/unified/crm/companies", {}, 400, False),
        ("/unified/crm/companies", {"name": 7}, 400, False),
        ("/unified/ticketing/tickets", {"subject": "s", "status": "on fire"}, 400, False),
        ("/proxy/companies", {}, 422, True),
        ("/proxy/tickets", {"subject": "s", "status": "on fire"}, 422, True),
    ],
    ids=["missing", "type", "choice", "native-missing", "native-choice"],
)
async def test_a_write_that_makes_no_sense_is_refused(
    api: httpx.AsyncClient, path: str, body: dict[str, Any], status: int, remote: bool
) -> None:
    answer = await api.post(path, params=MINE, json=body)
    assert (answer.status_code, "truto_is_remote_error" in answer.json()) == (status, remote)
    assert remote or answer.json()["details"]["failures"][0]["message"]


async def test_a_passed_through_body_is_the_provider_s_to_judge(api: httpx.AsyncClient) -> None:
    raw = {**MINE, "truto_body_passthrough": "true"}
    made = await api.post(CONTACTS, params=raw, content=b'{"firstName": "Raw"}')
    assert made.json()["first_name"] == "Raw"
    refused = await api.post(CONTACTS, params=raw, content=b"<xml/>")
    assert (refused.status_code, refused.json()["truto_is_remote_error"]) == (422, True)


@pytest.mark.parametrize(
    ("wanted", "has", "lacks"),
    [
        ("unified", "remote_data", "firstName"),
        ("normalized", "first_name", "remote_data"),
        ("raw", "firstName", "first_name"),
    ],
)
async def test_the_response_format_can_be_chosen(api: httpx.AsyncClient, wanted: str, has: str, lacks: str) -> None:
    record = (await api.get(f"{CONTACTS}/1", params={**MINE, "truto_response_format": wanted})).json()
    assert has in record
    assert lacks not in record


async def test_a_list_can_be_keyed_by_a_field(api: httpx.AsyncClient) -> None:
    params: dict[str, str | int] = {**MINE, "truto_key_by": "email", "truto_exclude_fields": "email", "limit": 2}
    page = (await api.get(CONTACTS, params=params)).json()
    assert page["result"]["grace.hopper@contoso.example"]["id"] == "1"
    assert page["result_count"] == 2


async def test_synced_data_can_be_sorted_page_by_page(api: httpx.AsyncClient) -> None:
    params: dict[str, str | int] = {**MINE, "truto_super_query": "wnam", "sort_by": "employee_count", "limit": 5}
    path = "/unified/crm/companies"
    first = (await api.get(path, params=params)).json()
    rest = (await api.get(path, params={**params, "next_cursor": first["next_cursor"]})).json()
    counts = [record["employee_count"] for record in first["result"] + rest["result"]]
    assert counts == sorted(counts)
    assert len(counts) == 7
    del params["sort_by"]
    assert (await api.get(path, params=params)).json()["result"][0]["id"] == "1"


@pytest.mark.parametrize(
    ("name", "value"),
    [("truto_response_format", "yaml"), ("truto_key_by", "shoe_size"), ("truto_super_query", "moon")],
)
async def test_a_parameter_with_an_unknown_value_is_named(api: httpx.AsyncClient, name: str, value: str) -> None:
    answer = await api.get(CONTACTS, params={**MINE, name: value})
    assert (answer.status_code, answer.json()["details"]["failures"][0]["path"]) == (400, name)


@pytest.mark.parametrize(
    ("path", "body", "seen"),
    [
        ("/unified/crm/contacts/search", {"query": "TURING"}, "last_name"),
        ("/proxy/contacts/search", {"query": "turing"}, "lastName"),
    ],
    ids=["unified", "native"],
)
async def test_a_search_answers_a_result(api: httpx.AsyncClient, path: str, body: dict[str, Any], seen: str) -> None:
    found = (await api.post(path, params=MINE, json=body)).json()["result"]
    assert found
    assert {record[seen] for record in found} == {"Turing"}


async def test_a_ticket_can_be_closed(api: httpx.AsyncClient) -> None:
    closed = await api.post("/unified/ticketing/tickets/close", params=MINE, json={"id": "3"})
    assert closed.json()["result"]["status"] == "closed"
    assert (await api.get("/proxy/tickets/3", params=MINE)).json()["status"] == "closed"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/unified/crm/contacts/dance", 404),
        ("/unified/crm/contacts/create", 404),
        ("/unified/crm/contacts/search", 400),
        ("/proxy/_/dance", 404),
    ],
)
async def test_a_custom_call_that_does_not_exist_is_refused(api: httpx.AsyncClient, path: str, status: int) -> None:
    assert (await api.post(path, params=MINE, json={})).status_code == status


async def test_a_named_action_answers_a_result(api: httpx.AsyncClient) -> None:
    assert (await api.post("/proxy/_/whoami", params=MINE)).json()["result"]["id"] == ACCOUNT_ID


async def test_custom_calls_reach_the_provider_s_data(api: httpx.AsyncClient) -> None:
    page = (await api.get("/custom/contacts", params=MINE)).json()
    assert set(page) == {"result", "next_cursor", "prev_cursor"}
    assert page["next_cursor"]
    assert (await api.get("/custom/contacts/2", params=MINE)).json()["result"]["id"] == "2"
    made = await api.post("/custom/contacts", params=MINE, json={"firstName": "Jo", "methodConfig": {"path": "/x"}})
    assert "methodConfig" not in made.json()["result"]
    assert (await api.delete("/custom/contacts/2", params=MINE)).json()["result"] == {"id": "2"}


async def test_other_custom_paths_echo_without_what_truto_strips(api: httpx.AsyncClient) -> None:
    answer = await api.put("/custom/v1/me", params={**MINE, "a": "b"}, json={"x": 1, "methodConfig": {}})
    echo = {"method": "PUT", "path": "/v1/me", "query": [["a", "b"]], "body": {"x": 1}}
    assert answer.json() == {"result": echo, "next_cursor": None, "prev_cursor": None}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", CONTACTS),
        ("PATCH", f"{CONTACTS}/1"),
        ("DELETE", "/proxy/contacts/1"),
        ("POST", "/custom/contacts"),
        ("PUT", "/custom/anything"),
        ("POST", "/unified/ticketing/tickets/close"),
    ],
)
async def test_a_sandbox_account_answers_405_to_writes(api: httpx.AsyncClient, method: str, path: str) -> None:
    params = {"integrated_account_id": await sandbox_copy(api)}
    answer = await api.request(method, path, params=params, json={"id": "1"} if method != "DELETE" else None)
    assert (answer.status_code, answer.json()["error"]) == (405, "Method Not Allowed")


@pytest.mark.parametrize("path", [CONTACTS, "/custom/anything"])
async def test_a_sandbox_account_can_be_read(api: httpx.AsyncClient, path: str) -> None:
    assert (await api.get(path, params={"integrated_account_id": await sandbox_copy(api)})).status_code == 200


async def test_a_sandbox_account_can_be_searched(api: httpx.AsyncClient) -> None:
    params = {"integrated_account_id": await sandbox_copy(api)}
    assert (await api.post(f"{CONTACTS}/search", params=params, json={"query": "a"})).status_code == 200


@pytest.mark.parametrize(
    ("status", "path", "insight"),
    [
        (403, CONTACTS, {"forbidden_error"}),
        (403, "/proxy/contacts", {"forbidden_error"}),
        (429, CONTACTS, {"rate_limit_error"}),
        (502, CONTACTS, {"remote_error"}),
        (502, "/proxy/contacts", set()),
    ],
)
async def test_a_provider_s_error_carries_what_truto_says_of_it(
    api: httpx.AsyncClient, status: int, path: str, insight: set[str]
) -> None:
    await fault(api, provider_status=status)
    answer = await api.get(path, params=MINE)
    body = answer.json()
    assert (answer.status_code, body["truto_is_remote_error"]) == (status, True)
    assert body["raw_response"]
    assert set(body.get("truto_error_insight", {})) == insight
    assert answer.headers.get("retry-after") == ("10" if status == 429 else None)


async def test_a_provider_s_403_is_noted_on_the_account(api: httpx.AsyncClient) -> None:
    await fault(api, provider_status=403)
    await api.get(CONTACTS, params=MINE)
    account = (await api.get(f"/integrated-account/{ACCOUNT_ID}")).json()
    assert account["status"] == "active"
    assert (account["last_forbidden_error"]["resource"], account["last_forbidden_error"]["method"]) == (
        "contacts",
        "list",
    )


async def test_a_provider_s_401_lasts_until_the_account_is_reconnected(
    wired: httpx.AsyncClient, receiver: Receiver
) -> None:
    await fault(wired, provider_status=401)
    assert (await wired.get(CONTACTS, params=MINE)).status_code == 401
    await fault(wired)
    assert (await wired.get(CONTACTS, params=MINE)).status_code == 401
    await wired.post("/sandbox/connect", json={"account_id": ACCOUNT_ID})
    assert (await wired.get(CONTACTS, params=MINE)).status_code == 200
    await eventually(lambda: "integrated_account:authentication_error" in receiver.names())


async def test_an_account_that_heals_is_reactivated(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    await wired.post(f"/sandbox/accounts/{ACCOUNT_ID}/revoke")
    assert (await wired.post(f"/sandbox/accounts/{ACCOUNT_ID}/heal")).json()["status"] == "active"
    await wired.post(f"/sandbox/accounts/{ACCOUNT_ID}/heal")
    await eventually(lambda: len(receiver.events) == 2)
    assert len(receiver.of("integrated_account:reactivated")) == 1


async def test_the_51st_request_of_an_account_within_ten_seconds_is_too_many() -> None:
    async with open_sandbox(rate_limits=True) as api:
        answers = [await api.get("/proxy/users/1", params=MINE) for _ in range(51)]
        assert answers[0].headers["ratelimit-limit"] == "50"
        assert answers[0].headers["ratelimit-remaining"] == "49"
        assert int(answers[0].headers["ratelimit-reset"]) in range(1, 11)
        assert {answer.status_code for answer in answers[:50]} == {200}
        assert (answers[50].status_code, answers[50].headers["retry-after"]) == (429, "10")
        assert (await api.get("/ping")).status_code == 200


@pytest.mark.parametrize("path", ["/proxy/users/99", "/custom/users/99", "/unified/crm/users/99"])
async def test_a_refusal_also_says_what_is_left_of_the_limit(path: str) -> None:
    async with open_sandbox(rate_limits=True) as api:
        answer = await api.get(path, params=MINE)
        assert (answer.status_code, answer.headers["ratelimit-remaining"]) == (404, "49")


@pytest.mark.parametrize("path", [CONTACTS, "/proxy/contacts", "/custom/contacts"])
async def test_a_repeated_key_writes_once(api: httpx.AsyncClient, path: str) -> None:
    keyed = {"Idempotency-Key": "k"}
    first, again = [await api.post(path, params=MINE, json={"email": "a@b.example"}, headers=keyed) for _ in range(2)]
    assert first.content == again.content
    assert (await api.get("/proxy/contacts/27", params=MINE)).status_code == 404


async def test_a_key_is_an_account_s_own(api: httpx.AsyncClient) -> None:
    other = (await api.post("/sandbox/connect", json={"tenant_id": "t"})).json()["id"]
    for account in (ACCOUNT_ID, other):
        params = {"integrated_account_id": account}
        await api.post(CONTACTS, params=params, json={"email": account}, headers={"Idempotency-Key": "k"})
        assert (await api.get(f"{CONTACTS}/26", params=params)).json()["email"] == account


async def test_the_501st_request_of_a_token_within_ten_seconds_is_too_many() -> None:
    async with open_sandbox(rate_limits=True) as api:
        for _ in range(500):
            answer = await api.get("/ping")
        assert answer.status_code == 200
        refused = await api.get("/ping")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        assert (await api.get("/sandbox/faults")).status_code == 200


PATHS = ["contacts", "contacts/1", "contacts/search", "tickets/close", "dragons", "users/9", "%00", "_/whoami"]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(
        st.tuples(
            st.sampled_from(["GET", "POST", "PATCH", "DELETE", "PUT"]),
            st.sampled_from(["/unified/crm/", "/proxy/", "/custom/"]),
            st.sampled_from(PATHS),
            st.dictionaries(
                st.sampled_from(["firstName", "first_name", "name", "id", "query", "status", "methodConfig"]),
                st.none() | st.integers() | st.text(max_size=5) | st.dictionaries(st.text(max_size=3), st.none()),
                max_size=3,
            ),
            st.dictionaries(
                st.sampled_from(["truto_key_by", "truto_super_query", "sort_by", "truto_response_format", "limit"]),
                st.sampled_from(["name", "id", "wnam", "raw", "firstName", "1", ""]),
                max_size=2,
            ),
        ),
        max_size=4,
    )
)
def test_no_sequence_of_calls_can_crash_it(calls: list[tuple[str, str, str, dict[str, Any], dict[str, str]]]) -> None:
    """Whatever was written before, every answer is data or the envelope."""

    async def play() -> None:
        async with open_sandbox(step_seconds=60) as api:
            for method, space, path, body, params in calls:
                json = body if method in ("POST", "PATCH", "PUT") else None
                answer = await api.request(method, space + path, params={**MINE, **params}, json=json)
                assert answer.status_code < 500, (method, path, answer.text)

    asyncio.run(play())


RAW = {**MINE, "truto_body_passthrough": "true"}
PDF = b"%PDF-1.7\x00\xff binary"


async def test_bytes_that_are_passed_through_become_a_file_of_the_provider(api: httpx.AsyncClient) -> None:
    answer = await api.post("/proxy/files", params=RAW, content=PDF, headers={"content-type": "application/pdf"})
    made = answer.json()
    assert (answer.status_code, made["mimeType"], made["size"]) == (200, "application/pdf", len(PDF))
    read = await api.get(f"/proxy/files/{made['id']}", params=RAW)
    assert (read.content, read.headers["content-type"]) == (PDF, "application/pdf")
    assert [each["id"] for each in (await api.get("/proxy/files", params=MINE)).json()["result"]] == [made["id"]]


async def test_a_form_that_is_passed_through_becomes_a_file_with_its_fields(api: httpx.AsyncClient) -> None:
    form = {"file": ("test.txt", b"test", "text/plain")}
    made = (await api.post("/proxy/files", params=RAW, files=form, data={"folder": "7"})).json()
    assert (made["name"], made["folder"]) == ("test.txt", "7")
    assert (await api.get(f"/proxy/files/{made['id']}", params=MINE)).text == "test"
    assert (await api.delete(f"/proxy/files/{made['id']}", params=MINE)).json() == {"id": made["id"]}
    assert (await api.get(f"/proxy/files/{made['id']}", params=MINE)).status_code == 404


@pytest.mark.parametrize("path", ["/proxy/contacts", "/unified/crm/contacts"])
async def test_a_form_of_text_that_is_passed_through_is_a_record(api: httpx.AsyncClient, path: str) -> None:
    made = await api.post(path, params={**RAW, "truto_response_format": "raw"}, files={"firstName": (None, "Ada")})
    assert (made.status_code, made.json()["firstName"]) == (200, "Ada")


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/proxy/contacts", {"files": {"file": ("a.bin", PDF)}}),
        ("/unified/crm/contacts", {"content": PDF, "headers": {"content-type": "application/octet-stream"}}),
        ("/proxy/files", {"json": {"name": "no file"}}),
    ],
    ids=["form", "bytes", "no-file"],
)
async def test_a_file_where_the_provider_takes_none_is_its_422(
    api: httpx.AsyncClient, path: str, sent: dict[str, Any]
) -> None:
    refused = await api.post(path, params=RAW, **sent)
    assert (refused.status_code, refused.json()["truto_is_remote_error"]) == (422, True)


async def test_bytes_without_passthrough_are_refused_by_truto(api: httpx.AsyncClient) -> None:
    refused = await api.post("/proxy/files", params=MINE, content=PDF)
    assert (refused.status_code, "truto_is_remote_error" in refused.json()) == (400, False)


async def test_a_form_that_is_none_is_refused(api: httpx.AsyncClient) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert (await api.post("/proxy/files", params=RAW, content=b"--y\r\n", headers=headers)).status_code == 400


async def test_an_ad_hoc_call_echoes_a_file_by_its_description(api: httpx.AsyncClient) -> None:
    answer = await api.post("/custom/v1/upload", params=RAW, files={"file": ("a.txt", b"abc", "text/plain")})
    assert answer.json()["result"]["body"]["file"] == {"name": "a.txt", "mimeType": "text/plain", "size": 3}


async def test_files_belong_to_one_account_and_have_no_unified_form(api: httpx.AsyncClient) -> None:
    await api.post("/proxy/files", params=RAW, content=PDF)
    assert (await api.get("/unified/crm/files", params=MINE)).status_code == 404
    await api.post("/sandbox/connect", json={"tenant_id": "other"})
    accounts = (await api.get("/integrated-account", params={"tenant_id": "other"})).json()["result"]
    listed = await api.get("/proxy/files", params={"integrated_account_id": accounts[0]["id"]})
    assert listed.json()["result"] == []
