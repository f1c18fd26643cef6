"""Rate limits, and which answers are errors."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest

from tests.integration.integrations.upstream import Give, opened, serving
from truto import ApiError, BadRequest, NeedsReauth, NotFound, RateLimited, ServerError
from truto.integration import IntegrationFailed


def config(method: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**more, "resources": {"things": {"go": {"path": "/things", **method}}}}


async def answered(*answers: Any, method: dict[str, Any] | None = None, wait: float = 0.0, **more: Any) -> Any:
    """What a call gives, or raises, that the server answers with *answers* in turn."""
    left = [*answers]
    async with (
        serving(lambda _: left.pop(0) if len(left) > 1 else left[0]) as upstream,
        opened(config(method or {}, base_url=upstream.url, **more), wait_seconds=wait) as session,
    ):
        return await session.call("things", "go"), upstream


LIMITED = Give({}, 429, {"Retry-After": "7"})


@pytest.mark.schema("config.rate_limit")
async def test_a_429_is_a_rate_limit_with_the_wait_of_its_header() -> None:
    with pytest.raises(RateLimited) as caught:
        await answered(LIMITED)
    assert caught.value.retry_after == 7


async def test_an_http_date_is_a_wait_as_well() -> None:
    with pytest.raises(RateLimited) as caught:
        await answered(Give({}, 429, {"Retry-After": formatdate(time.time() + 30, usegmt=True)}))
    assert 25 < (caught.value.retry_after or 0) <= 30


@pytest.mark.schema("rate_limit.is_rate_limited", "method.rate_limit")
async def test_an_expression_says_what_a_rate_limit_is() -> None:
    limit = {"is_rate_limited": "status = 403 and headers.`x-left` = '0' and data.code = 'slow'"}
    answer = Give({"code": "slow"}, 403, {"X-Left": "0"})
    with pytest.raises(RateLimited):
        await answered(answer, rate_limit=limit)
    with pytest.raises(RateLimited):
        await answered(answer, method={"rate_limit": limit}, rate_limit={"is_rate_limited": "false"})
    with pytest.raises(ApiError) as caught:
        await answered(Give({"code": "other"}, 403, {"X-Left": "0"}), rate_limit=limit)
    assert not isinstance(caught.value, RateLimited)


@pytest.mark.parametrize("written", [True, False])
async def test_a_boolean_in_the_place_of_the_expression_means_429(written: bool) -> None:
    """Truto's own sample writes ``true``, which would make every answer a rate limit."""
    result, _ = await answered({"ok": 1}, rate_limit={"is_rate_limited": written})
    assert result.data == {"ok": 1}
    with pytest.raises(RateLimited):
        await answered(LIMITED, rate_limit={"is_rate_limited": written})


@pytest.mark.schema("rate_limit.retry_after_header_expression")
@pytest.mark.parametrize(
    ("source", "wait"), [("$number(headers.`x-wait`)", 3.5), ("headers.nope", 7), ("Retry-After", 7)]
)
async def test_an_expression_says_how_long_to_wait(source: str, wait: float) -> None:
    with pytest.raises(RateLimited) as caught:
        await answered(
            Give({}, 429, {"Retry-After": "7", "X-Wait": "3.5"}), rate_limit={"retry_after_header_expression": source}
        )
    assert caught.value.retry_after == wait


@pytest.mark.schema("rate_limit.rate_limit_header_expression")
async def test_the_window_of_a_limit_is_forwarded_as_ratelimit_headers() -> None:
    source = "{'limit': headers.`x-l`, 'remaining': $number(headers.`x-r`), 'reset': headers.`x-t`}"
    headers = {"X-L": "100", "X-R": "9", "X-T": str(int(time.time()) + 60)}
    result, _ = await answered(Give({}, headers=headers), rate_limit={"rate_limit_header_expression": source})
    found = result.rate.headers()
    assert (found["RateLimit-Limit"], found["RateLimit-Remaining"]) == ("100", "9")
    assert 55 <= int(found["RateLimit-Reset"]) <= 60


async def test_standard_ratelimit_headers_are_forwarded_without_an_expression() -> None:
    headers = {"RateLimit-Limit": "10", "RateLimit-Remaining": "1", "RateLimit-Reset": "5"}
    result, _ = await answered(Give({}, headers=headers))
    assert result.rate.headers() == headers


async def test_the_longer_of_wait_and_reset_counts() -> None:
    limit = {"rate_limit_header_expression": "$number(headers.`x-t`)"}
    with pytest.raises(RateLimited) as caught:
        await answered(Give({}, 429, {"Retry-After": "7", "X-T": str(int(time.time()) + 40)}), rate_limit=limit)
    assert 35 < (caught.value.retry_after or 0) <= 40


async def test_a_rate_limit_is_waited_for_where_the_caller_has_time() -> None:
    slow = Give({}, 429, {"Retry-After": "0.05"})
    started = time.monotonic()
    result, upstream = await answered(slow, slow, {"ok": 1}, wait=1.0)
    assert result.data == {"ok": 1}
    assert len(upstream.arrived) == 3
    assert time.monotonic() - started >= 0.1


@pytest.mark.parametrize("header", ["-5", "nan", "inf", "1e400", "soon", "9" * 5000])
async def test_a_wait_that_makes_no_sense_is_not_believed(header: str) -> None:
    with pytest.raises(RateLimited) as caught:
        await answered(Give({}, 429, {"Retry-After": header}), wait=0.001)
    assert caught.value.retry_after in (0.0, 10.0)


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"), [(400, BadRequest), (404, NotFound), (401, NeedsReauth), (500, ServerError), (503, ServerError)]
)
async def test_a_status_from_400_on_is_the_products_error(status: int, kind: type[ApiError]) -> None:
    with pytest.raises(kind, match="what it says") as caught:
        await answered(Give({"message": "what it says"}, status))
    assert caught.value.remote
    assert caught.value.body["raw_response"] == {"message": "what it says"}


@pytest.mark.schema("config.error_expression", "method.error_expression")
async def test_the_methods_expression_replaces_the_integrations() -> None:
    ours = "data.ok = false ? {'status': 422, 'message': 'method: ' & data.why}"
    base = "{'status': 500, 'message': 'base'}"
    with pytest.raises(BadRequest, match="method: no") as caught:
        await answered({"ok": False, "why": "no"}, method={"error_expression": ours}, error_expression=base)
    assert caught.value.status == 422
    result, _ = await answered({"ok": True}, method={"error_expression": ours}, error_expression=base)
    assert result.data == {"ok": True}
    with pytest.raises(ServerError, match="base"):
        await answered({"ok": True}, error_expression=base)


@pytest.mark.parametrize("source", ["null", "nope", "false", "data.ok ? 'x'"])
async def test_an_expression_that_gives_nothing_leaves_the_decision_to_the_status(source: str) -> None:
    result, _ = await answered({"a": 1}, error_expression=source)
    assert result.data == {"a": 1}
    with pytest.raises(ServerError):
        await answered(Give({"a": 1}, 500), error_expression=source)


@pytest.mark.parametrize(
    ("source", "status", "message"),
    [
        ("true", 200, "answered 200 with an error"),
        ("'so it goes'", 200, "so it goes"),
        ("{'message': 'm'}", 200, "m"),
        ("{'status': '429', 'headers': {'Retry-After': 3}}", 429, "the product"),
        ("{'status': 401, 'message': response.error & headers.`x-h`}", 401, "badh"),
    ],
)
async def test_what_an_expression_may_give(source: str, status: int, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        await answered(Give({"error": "bad", "message": "the product"}, headers={"X-H": "h"}), error_expression=source)
    assert caught.value.status == status
    assert message in caught.value.message
    if status == 429:
        assert caught.value.retry_after == 3


async def test_an_error_can_be_made_a_success() -> None:
    source = "status = 404 ? {'status': 200, 'result': {'found': []}}"
    result, _ = await answered(Give({}, 404), error_expression=source, method={"response_path": "found"})
    assert result.data == []


async def test_metadata_of_an_error_is_kept() -> None:
    with pytest.raises(ApiError) as caught:
        await answered({}, error_expression="{'status': 422, 'message': 'm', 'metadata': {'field': 'x'}}")
    assert caught.value.body["metadata"] == {"field": "x"}


async def test_an_expression_that_fails_is_named_with_its_place() -> None:
    with pytest.raises(IntegrationFailed, match=r"^error_expression: the expression failed: .*\[T2002\]"):
        await answered({"a": 1}, error_expression="data.a + 'x'")


@pytest.mark.parametrize(
    "bomb",
    [
        "$sum($map([1..10000000], function($i) { $i * $i }))",
        "($f := function($n) { $f($n + 1) & 'x' }; $f(0))",
        "($d := function($s) { $d($s & $s) }; $d('x'))",
        "$match('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', /(a+)+$/)[0].match ? {} : $pad('', 100000000, 'x')",
    ],
)
async def test_an_expression_that_takes_too_much_is_stopped(bomb: str) -> None:
    started = time.monotonic()
    with pytest.raises(IntegrationFailed, match=r"^resources.things.go.error_expression: .*\[(limit_\w+|result)\]"):
        await answered({}, method={"error_expression": bomb})
    assert time.monotonic() - started < 20
