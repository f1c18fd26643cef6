"""The environment becomes one frozen object, or one message that names every fault."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from pydantic import ValidationError

from cli.settings import (
    IngressSettings,
    IntegrationSettings,
    ProcessSettings,
    StoreSettings,
    WorkerSettings,
    read_settings,
)
from cli.working import warn_of_expired
from events import ConfigError
from tests.unit.cli.conftest import Put
from truto.signing_keys import SigningKeys

ROOT = Path(__file__).resolve().parents[3]
INGRESS = {"REDIS_URL": "redis://localhost", "TRUTO_WEBHOOK_SECRET": "0123456789abcdef"}
WORKER = {"REDIS_URL": "redis://localhost", "TRUTO_API_TOKEN": "token"}
TENANT_SECRET = "whsec_dHJ1dG8td29ya2VyLWRldi10ZW5hbnQtc2VjcmV0"
OTHER_SECRET = "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXI="


def faults_of(kind: type[ProcessSettings]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_settings(kind)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("end", ["\n", "\r\n", " "])
def test_what_a_file_ends_with_is_no_part_of_a_setting(put: Put, end: str) -> None:
    put({name: value + end for name, value in {**INGRESS, **WORKER}.items()})
    put({"LINK_TOKEN_KEY": "a-key-of-more-than-16-bytes" + end})
    read, worker = read_settings(IngressSettings), read_settings(WorkerSettings)
    assert read.link_token_key is not None
    assert read.link_token_key.get_secret_value() == "a-key-of-more-than-16-bytes"
    assert worker.truto_api_token.get_secret_value() == "token"
    assert [secret.get_secret_value() for secret in read.truto_webhook_secret] == [INGRESS["TRUTO_WEBHOOK_SECRET"]]


def test_a_setting_in_quotes_is_named_without_its_value(put: Put) -> None:
    put({**WORKER, "TRUTO_API_TOKEN": '"token"'})
    (fault,) = faults_of(WorkerSettings)
    assert fault.startswith("TRUTO_API_TOKEN: is in quotes")
    assert '"token"' not in fault


def test_a_setting_of_white_space_is_not_set(put: Put) -> None:
    put({**WORKER, "TRUTO_API_TOKEN": "\n"})
    assert faults_of(WorkerSettings) == ["TRUTO_API_TOKEN is not set: it contains only white space"]


def test_quotes_inside_of_a_setting_are_its_own(put: Put) -> None:
    put({**WORKER, "TRUTO_API_TOKEN": 'to"k"en"'})
    assert read_settings(WorkerSettings).truto_api_token.get_secret_value() == 'to"k"en"'


def test_an_ingress_without_anything_names_both_required_settings_at_once() -> None:
    assert [fault.split()[0] for fault in faults_of(IngressSettings)] == ["REDIS_URL", "TRUTO_WEBHOOK_SECRET"]


def test_a_worker_without_anything_names_both_required_settings_at_once() -> None:
    assert [fault.split()[0] for fault in faults_of(WorkerSettings)] == ["REDIS_URL", "TRUTO_API_TOKEN"]


def test_with_a_file_of_sources_truto_s_own_secret_may_be_missing(put: Put) -> None:
    put({"REDIS_URL": INGRESS["REDIS_URL"], "SOURCES_FILE": "senders.yaml"})
    settings = read_settings(IngressSettings)
    assert (settings.truto_webhook_secret, settings.sources_file) == ((), Path("senders.yaml"))


def test_a_file_of_sources_is_used_where_it_lies(put: Put, elsewhere: Path) -> None:
    put(INGRESS)
    assert read_settings(IngressSettings).sources_file is None
    (elsewhere / "sources.yaml").touch()
    assert read_settings(IngressSettings).sources_file == Path("sources.yaml")


def test_an_empty_setting_is_a_missing_one(put: Put) -> None:
    put({**INGRESS, "TRUTO_WEBHOOK_SECRET": ""})
    assert faults_of(IngressSettings)[0].startswith("TRUTO_WEBHOOK_SECRET is not set")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "http://localhost"),
        ("REDIS_URL", "redis+sentinel://localhost"),
        ("STORE_CHECK", "maybe"),
        ("CONFIRM_REPLICAS", "-1"),
        ("TRUTO_WEBHOOK_SECRET", "too short"),
        ("TRUTO_WEBHOOK_SECRET", "0123456789abcdef,"),
        ("TRUTO_WEBHOOK_SECRET", ",".join(f"0123456789abcdef{place}" for place in range(51))),
        ("LINK_TOKEN_KEY", "0123456789abcdef"),
        ("PORT", "70000"),
        ("MAX_BODY_BYTES", "0"),
        ("SPOOL_MAX_BYTES", "1000"),
        ("LEASE_SECONDS", "soon"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_ingress_setting_is_refused_by_name(put: Put, name: str, value: str) -> None:
    put({**INGRESS, name: value})
    (fault,) = faults_of(IngressSettings)
    assert fault.startswith(name)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"TENANT_NOTIFY_URL": "https://a.example"}, "TENANT_NOTIFY_SECRET"),
        ({"TENANT_NOTIFY_SECRET": TENANT_SECRET}, "TENANT_NOTIFY_SECRET"),
        ({"TENANT_NOTIFY_URL": "ftp://a.example", "TENANT_NOTIFY_SECRET": TENANT_SECRET}, "TENANT_NOTIFY_SECRET"),
        ({"TENANT_NOTIFY_URL": "https://a.example", "TENANT_NOTIFY_SECRET": "whsec_eA=="}, "TENANT_NOTIFY_SECRET"),
        ({"NOTIFY_URLS": "json://localhost,no-such-service"}, "NOTIFY_URLS"),
        ({"MAX_ATTEMPTS": "0"}, "MAX_ATTEMPTS"),
        ({"WORKER_CONCURRENCY": "0"}, "WORKER_CONCURRENCY"),
        ({"WORKER_MAX_BYTES": "65535"}, "WORKER_MAX_BYTES"),
        ({"WORKER_MAX_BYTES": "24MB"}, "WORKER_MAX_BYTES"),
    ],
)
def test_a_wrong_worker_setting_is_refused_by_name(put: Put, wrong: dict[str, str], named: str) -> None:
    put({**WORKER, **wrong})
    (fault,) = faults_of(WorkerSettings)
    assert fault.startswith(named)


def test_no_message_repeats_a_secret(put: Put) -> None:
    put(
        {
            "REDIS_URL": "nope://:hunter2hunter2@host",
            "TRUTO_WEBHOOK_SECRET": "hunter2",
            "LINK_TOKEN_KEY": "hunter2hunter2hunter2",
            "PORT": "hunter2",
        },
    )
    assert not any("hunter2" in fault for fault in faults_of(IngressSettings))


@pytest.mark.parametrize("url", ["redis://:hunter2/x@host", "redis+sentinel://:hunter2/x@host/m"])
def test_a_wrong_redis_url_does_not_repeat_its_password(put: Put, url: str) -> None:
    put({**INGRESS, "REDIS_URL": url})
    (fault,) = faults_of(IngressSettings)
    assert "percent-encoded" in fault
    assert "hunter2" not in fault


def test_what_is_given_wins_over_the_environment(put: Put) -> None:
    put(INGRESS)
    assert read_settings(StoreSettings, redis_url="redis://other").redis_url == "redis://other"


def test_secrets_are_split_at_commas_newest_first(put: Put) -> None:
    put({**INGRESS, "TRUTO_WEBHOOK_SECRET": "new-new-new-new-new , old-old-old-old-old"})
    secrets = read_settings(IngressSettings).truto_webhook_secret
    assert [secret.get_secret_value() for secret in secrets] == ["new-new-new-new-new", "old-old-old-old-old"]


def test_handler_packages_are_split_at_commas(put: Put) -> None:
    put({**WORKER, "HANDLERS": "handlers, ours.handlers"})
    assert read_settings(WorkerSettings).handlers == ("handlers", "ours.handlers")


def test_tenant_notifications_are_taken_with_url_and_secret(put: Put) -> None:
    put({**WORKER, "TENANT_NOTIFY_URL": "https://a.example", "TENANT_NOTIFY_SECRET": TENANT_SECRET})
    assert read_settings(WorkerSettings).tenant_notify_url == "https://a.example"


def test_the_link_token_key_is_taken_with_an_api_token(put: Put) -> None:
    put({**INGRESS, "TRUTO_API_TOKEN": "token", "LINK_TOKEN_KEY": "0123456789abcdef"})
    assert read_settings(IngressSettings).link_token_key is not None


def test_settings_do_not_print_their_secrets(put: Put) -> None:
    put({**INGRESS, "REDIS_URL": "redis://:hunter2hunter2@localhost"})
    settings = read_settings(IngressSettings)
    assert "hunter2" not in repr(settings)
    assert INGRESS["TRUTO_WEBHOOK_SECRET"] not in repr(settings)


def test_settings_cannot_be_changed_after_they_were_read(put: Put) -> None:
    put(INGRESS)
    with pytest.raises(ValidationError):
        read_settings(IngressSettings).port = 1  # type: ignore[misc]  # it must not be possible


def test_the_readme_lists_every_setting_and_its_default() -> None:
    rows = re.findall(r"^\| (`[A-Z_`, ]+) \| ([^|]*) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    documented = {name for names, _ in rows for name in re.findall(r"[A-Z][A-Z_]+", names)}
    kinds = (IngressSettings, WorkerSettings, IntegrationSettings)
    known = {name.upper() for kind in kinds for name in kind.model_fields}
    assert documented == known | {"SYNC_JOBS"}


@pytest.mark.parametrize("name", [name for kind in (IngressSettings, WorkerSettings) for name in kind.model_fields])
def test_the_readme_states_the_defaults_of_the_code(name: str) -> None:
    kind = IngressSettings if name in IngressSettings.model_fields else WorkerSettings
    default = kind.model_fields[name].default
    lines = (ROOT / "README.md").read_text().splitlines()
    row = next(line for line in lines if line.startswith("| `") and f"`{name.upper()}`" in line.split("|")[1])
    if isinstance(default, (int, float)):
        assert f"{default:g}" in row or str(default) in row
    elif isinstance(default, str):
        assert f"`{default}`" in row


def test_the_lease_and_retention_settings_are_the_stores_own_defaults() -> None:
    import inspect

    from events import Store

    store = inspect.signature(Store.connect).parameters
    for name in ("lease_seconds", "dedup_ttl", "history_ttl"):
        assert StoreSettings.model_fields[name].default == store[name].default


TWO_STORES = "redis://one:6379/0 redis://two:6379/0"


def test_the_ingress_takes_several_stores(put: Put) -> None:
    put({**INGRESS, "REDIS_URL": TWO_STORES})
    assert read_settings(IngressSettings).redis_url.split() == ["redis://one:6379/0", "redis://two:6379/0"]


ONE, TWO, THREE = (f"redis://{name}:6379/0" for name in ("one", "two", "three"))


@pytest.mark.parametrize(
    ("shard", "urls"),
    [("", [ONE, TWO, THREE]), ("1", [ONE]), ("3", [THREE]), ("1,3", [ONE, THREE]), (" 3 , 1,3", [ONE, THREE])],
)
def test_a_worker_takes_the_stores_of_its_shards_else_all(put: Put, shard: str, urls: list[str]) -> None:
    put({**WORKER, "REDIS_URL": f"{ONE} {TWO} {THREE}", "REDIS_SHARD": shard})
    assert read_settings(WorkerSettings).store_urls == urls


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"REDIS_URL": TWO_STORES, "REDIS_SHARD": "3"}, "REDIS_URL: names too few stores (2) for REDIS_SHARD 3"),
        ({"REDIS_URL": TWO_STORES, "REDIS_SHARD": "1,3"}, "REDIS_URL: names too few stores (2) for REDIS_SHARD 3"),
        ({"REDIS_URL": "redis://one redis://one", "REDIS_SHARD": "1"}, "REDIS_URL: names a store twice"),
        ({"REDIS_SHARD": "0"}, "REDIS_SHARD: Input should be greater than or equal to 1"),
        ({"REDIS_SHARD": "1 3"}, "REDIS_SHARD: Input should be a valid integer, unable to parse string as an integer"),
    ],
    ids=["no-such-shard", "no-such-shard-of-two", "twice", "zero", "no-comma"],
)
def test_a_worker_without_stores_of_its_own_is_refused(put: Put, given: dict[str, str], fault: str) -> None:
    put({**WORKER, **given})
    assert faults_of(WorkerSettings) == [fault]


def test_workflows_are_used_where_they_lie(put: Put, elsewhere: Path) -> None:
    put(WORKER)
    assert read_settings(WorkerSettings).workflows_dir is None
    (elsewhere / "workflows").mkdir()
    (elsewhere / "workflows" / "first.yaml").touch()
    assert read_settings(WorkerSettings).workflows_dir == Path("workflows")
    put({"WORKFLOWS_DIR": "elsewhere"})
    assert read_settings(WorkerSettings).workflows_dir == Path("elsewhere")


def test_a_folder_of_that_name_without_workflows_is_something_else(put: Put, elsewhere: Path) -> None:
    put(WORKER)
    (elsewhere / "workflows").mkdir()
    (elsewhere / "workflows" / "__init__.py").touch()
    assert read_settings(WorkerSettings).workflows_dir is None


@pytest.mark.parametrize("name", ["TENANT_NOTIFY_SECRET", "WORKFLOWS_HTTP_SECRET"])
@pytest.mark.parametrize(
    ("behind", "fault"),
    [
        (f",{OTHER_SECRET}", "entry 2 needs the last day on which it signs"),
        (f",{OTHER_SECRET}@2026-13-01", "entry 2: behind the @ must be a day"),
        (f",shared:{TENANT_SECRET}@2026-12-31", "a secret is named twice"),
    ],
    ids=["no-day", "no-such-day", "shared-is-new"],
)
def test_a_signing_secret_that_cannot_rotate_is_a_fault(put: Put, name: str, behind: str, fault: str) -> None:
    put({**WORKER, "TENANT_NOTIFY_URL": "https://a.example", "TENANT_NOTIFY_SECRET": TENANT_SECRET})
    put({name: TENANT_SECRET + behind})
    (found,) = faults_of(WorkerSettings)
    assert found.startswith(f"{name}: {fault}")
    assert "whsec_dHJ1" not in found


def test_signing_secrets_that_rotate_are_taken(put: Put) -> None:
    rotating = f"{TENANT_SECRET}, {OTHER_SECRET}@2026-12-31"
    put({**WORKER, "TENANT_NOTIFY_URL": "https://a.example", "TENANT_NOTIFY_SECRET": rotating})
    put({"WORKFLOWS_HTTP_SECRET": rotating})
    settings = read_settings(WorkerSettings)
    for secret in (settings.tenant_notify_secret, settings.workflows_http_secret):
        assert secret is not None
        assert secret.get_secret_value() == rotating


def test_each_signing_secret_that_is_over_is_warned_of() -> None:
    keys = SigningKeys.parse(f"{TENANT_SECRET},{OTHER_SECRET}@2026-12-31", "tenant")
    with structlog.testing.capture_logs() as logs:
        warn_of_expired({"TENANT_NOTIFY_SECRET": keys}, datetime(2026, 12, 31, tzinfo=UTC))
        assert logs == []
        warn_of_expired({"TENANT_NOTIFY_SECRET": keys}, datetime(2027, 1, 1, tzinfo=UTC))
    (warning,) = logs
    assert (warning["event"], warning["log_level"]) == ("secret_expired", "warning")
    assert (warning["setting"], warning["last_day"]) == ("TENANT_NOTIFY_SECRET", "2026-12-31")
    assert "whsec" not in str(warning)


def test_how_workflows_reach_out_is_checked(put: Put) -> None:
    put({**WORKER, "WORKFLOWS_HTTP_SECRET": "whsec_x", "WORKFLOWS_HTTP_ALLOW": "10.0.0.0/8, http://a/b"})
    faults = faults_of(WorkerSettings)
    assert [fault.split(":")[0] for fault in faults] == ["WORKFLOWS_HTTP_ALLOW", "WORKFLOWS_HTTP_SECRET"]
    put({"WORKFLOWS_HTTP_SECRET": TENANT_SECRET, "WORKFLOWS_HTTP_ALLOW": "10.0.0.0/8, billing:8080"})
    assert read_settings(WorkerSettings).workflows_http_allow == ("10.0.0.0/8", "billing:8080")


@pytest.mark.parametrize(
    ("value", "port"), [("", 8001), ("9100", 9100), ("0", None), ("off", None), (" Off ", None)], ids=repr
)
def test_the_admin_port_has_a_default_and_can_be_switched_off(put: Put, value: str, port: int | None) -> None:
    put({**INGRESS, "ADMIN_PORT": value})
    settings = read_settings(IngressSettings)
    assert (settings.admin_host, settings.admin_port) == ("127.0.0.1", port)
    assert settings.admin_port_is_chosen is (value != "")


@pytest.mark.parametrize("value", ["-1", "65536", "on", "8001,8002"])
def test_an_admin_port_that_is_none_is_named(put: Put, value: str) -> None:
    put({**INGRESS, "ADMIN_PORT": value})
    assert [fault.split(":")[0] for fault in faults_of(IngressSettings)] == ["ADMIN_PORT"]


def test_memory_for_bodies_has_to_hold_two_of_the_largest(put: Put) -> None:
    put({**INGRESS, "MAX_BODY_BYTES": "10485760", "MAX_BUFFERED_BYTES": "20971519"})
    assert faults_of(IngressSettings) == [
        "MAX_BUFFERED_BYTES: must be at least twice MAX_BODY_BYTES, which is 10485760: a quarter is for small bodies"
    ]


def test_memory_for_bodies_may_be_just_enough(put: Put) -> None:
    put({**INGRESS, "MAX_BODY_BYTES": "10485760", "MAX_BUFFERED_BYTES": "20971520"})
    assert read_settings(IngressSettings).max_buffered_bytes == 20_971_520


@pytest.mark.parametrize("token", ["two words", "tökén", "a\nb"], ids=ascii)
def test_a_token_that_no_header_can_carry_is_named_and_not_repeated(put: Put, token: str) -> None:
    put({**WORKER, "TRUTO_API_TOKEN": token})
    with pytest.raises(ConfigError, match="TRUTO_API_TOKEN: holds a space or a character") as caught:
        read_settings(WorkerSettings)
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["api.truto.one", "ftp://api.truto.one", "https://", "https://u:p@host", "https://[::1"]
)
def test_an_address_of_the_api_that_is_none_is_named(put: Put, url: str) -> None:
    put({**WORKER, "TRUTO_API_URL": url})
    with pytest.raises(ConfigError, match="TRUTO_API_URL: "):
        read_settings(WorkerSettings)
