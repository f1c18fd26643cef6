"""Where tenants are told: nobody but the operator chooses the host, whatever a tenant's id is."""

from __future__ import annotations

import base64
import logging
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from worker import ConfigError, NotifyError
from worker.notify import Notifier, TenantEndpoint, operators_at

pytestmark = pytest.mark.filterwarnings("ignore:.imghdr. is deprecated:DeprecationWarning")  # apprise, at its import

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef").decode()
TENANTS = st.text(min_size=1, max_size=80) | st.sampled_from(
    ["..", ".", "a/../b", "//evil.example", "@evil.example", "evil.example/", "?x=1", "#f", "%2e%2e", "a\r\nb: c", "\\"]
)


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example/hooks/{tenant_id}",
        "http://localhost:8080/hooks?tenant={tenant_id}",
        "https://{tenant_id}.app.example/hooks",
        "http://{tenant_id}.internal:8080/hooks",
        "https://hooks-{tenant_id}.app.example:8443/hooks",
        "https://app.example/all-tenants",
        "https://[::1]:8080/{tenant_id}",
    ],
)
def test_an_endpoint_of_this_form_is_taken(url: str) -> None:
    assert TenantEndpoint(url, SECRET).url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "app.example/hooks",
        "ftp://app.example",
        "file:///etc/passwd",
        "https://",
        "https:///hooks",
        "https://user:pass@app.example",
        "https://user@app.example",
        "https://{tenant_id}@app.example",
        "https://[::1",
        "https://app.example:99999",
        "https://app.example:{tenant_id}/",
        "https://{tenant_id}",
        "https://{tenant_id}/hooks",
        "https://{tenant_id}:443/hooks",
        "https://hooks.{tenant_id}/x",
        "https://{tenant_id}.com/x",
        "https://hooks-{tenant_id}.com:8443/x",
        "https://{tenant_id}.com./x",
        "https://app.example/a\nb",
    ],
)
def test_an_endpoint_that_is_no_url_or_lets_tenants_choose_the_host_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="TENANT_NOTIFY_URL"):
        TenantEndpoint(url, SECRET)


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64!", "plain-text-secret-that-is-long", "whsec_ÄÖÜ"],
    ids=["empty", "prefix", "short", "no-base64", "plain", "umlauts"],
)
def test_a_secret_that_does_not_protect_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ConfigError, match="at least 16 bytes") as caught:
        TenantEndpoint("https://app.example", secret)
    assert not secret or secret == "whsec_" or secret not in str(caught.value)


def test_a_secret_may_come_without_its_prefix_and_is_in_no_repr() -> None:
    endpoint = TenantEndpoint("https://app.example", SECRET.removeprefix("whsec_"))
    assert endpoint.secret not in repr(endpoint)


@given(tenant=TENANTS)
def test_a_tenant_in_the_path_stays_one_segment(tenant: str) -> None:
    try:
        url = TenantEndpoint("https://app.example:444/t/{tenant_id}/hook", SECRET).url_for(tenant)
    except NotifyError:
        assert tenant in {".", ".."}
        return
    sent = httpx.URL(url)
    assert (sent.scheme, sent.host, sent.port, sent.query, sent.fragment) == ("https", "app.example", 444, b"", "")
    before, t, segment, hook = sent.raw_path.decode().split("/")
    assert (before, t, unquote(segment), hook) == ("", "t", tenant, "hook")


@given(tenant=TENANTS)
def test_a_tenant_in_the_query_stays_one_value(tenant: str) -> None:
    assume(tenant not in {".", ".."})
    url = TenantEndpoint("https://app.example/hook?a=1&t={tenant_id}&z=2", SECRET).url_for(tenant)
    assert parse_qsl(urlsplit(url).query) == [("a", "1"), ("t", tenant), ("z", "2")]
    assert httpx.URL(url).path == "/hook"


@given(tenant=TENANTS | st.from_regex(r"[a-zA-Z0-9-]{1,70}", fullmatch=True))
def test_a_tenant_in_the_host_stays_one_label_or_is_refused(tenant: str) -> None:
    endpoint = TenantEndpoint("https://{tenant_id}.app.example/hook", SECRET)
    try:
        url = endpoint.url_for(tenant)
    except NotifyError:
        return
    host = urlsplit(url).hostname or ""
    label, _, rest = host.partition(".")
    assert (label, rest) == (tenant.lower(), "app.example")
    assert 1 <= len(label) <= 63


@pytest.mark.parametrize("tenant", ["a.b", "a_b", "-a", "a-", "", "ä", "a b", "a" * 64, "a\n", "evil.example/"])
def test_an_id_that_is_no_host_label_cannot_be_in_a_host(tenant: str) -> None:
    with pytest.raises(NotifyError, match="host name"):
        TenantEndpoint("https://{tenant_id}.app.example", SECRET).url_for(tenant)


def test_without_a_placeholder_all_tenants_share_the_url() -> None:
    assert TenantEndpoint("https://app.example/all", SECRET).url_for("acme") == "https://app.example/all"


async def test_without_an_endpoint_nothing_is_sent_and_nothing_fails() -> None:
    notifier = Notifier()
    assert await notifier.bound("k").tenant("acme-1", "kind", {}) is False
    assert await notifier.bound("k").operators("title", "body") is False
    await notifier.aclose()
    await notifier.aclose()


def test_no_operator_urls_are_no_operators() -> None:
    assert operators_at([]) is None


@pytest.mark.parametrize("bad", ["nonsense-s3cret", "foo://s3cret@x", "slack://s3cret", ""])
def test_a_url_that_apprise_does_not_know_is_named_by_position_and_never_shown(
    bad: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(ConfigError, match="entry 2") as caught:
        operators_at(["json://localhost/x", bad])
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in caplog.text
    assert "s3cret" not in "".join(capfd.readouterr())
