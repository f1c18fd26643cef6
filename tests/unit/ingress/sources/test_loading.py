"""A file of sources becomes sources, or one message that names every fault."""

from __future__ import annotations

import hmac
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
import yaml

from ingress.answers import Refusal
from ingress.errors import BadSources, Faults
from ingress.sources.loading import load_sources, read_entry, read_source, read_sources
from ingress.verification.context import Delivery
from ingress.verification.explaining import explain_delivery
from ingress.verification.outcome import Accepted, Handshake
from tests.unit.ingress.sources.senders import SECRET, of_headers, verify
from truto.merging import overlay

INTEGRATION = Path(__file__).parent / "environment_integration.json"
HMAC: dict[str, Any] = {
    "format": "hmac",
    "config": {"compare_with": "{{headers.x-signature}}", "parts": ["raw_body"]},
}
PLAIN: dict[str, Any] = {"webhook": {"signature_verification": HMAC}, "secrets": [SECRET]}


def signature(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"x-signature": hmac.digest(secret.encode(), body, "sha256").hex()}


def changed(*path: str, value: Any = None, **top: Any) -> dict[str, Any]:
    """PLAIN with *value* at *path*; ``None`` removes."""
    copy: dict[str, Any] = orjson.loads(orjson.dumps({**PLAIN, **top}))
    if path:
        place = copy
        for key in path[:-1]:
            place = place.setdefault(key, {})
        if value is None:
            place.pop(path[-1], None)
        else:
            place[path[-1]] = value
    return copy


def faults_of(given: Any, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(Faults) as caught:
        read_source("s", given, environment or {})
    return [str(fault) for fault in caught.value.faults]


def test_the_sample_of_truto_s_api_loads_unchanged_and_works() -> None:
    given = orjson.loads(INTEGRATION.read_bytes())
    source = read_source("zendesk", given, {})
    body = b'{"event":"ticket:created"}'
    taken = verify(source, of_headers(signature(body, "a secret of the environment"), body))
    assert isinstance(taken, Accepted)
    assert isinstance(verify(source, of_headers(signature(body, "another secret"), body)), Refusal)
    asked = verify(source, of_headers({}, b'{"challenge":"c-1"}'))
    assert isinstance(asked, Handshake)
    assert (asked.status, asked.body) == (200, b'{"challenge":"c-1"}')


def test_the_override_of_an_environment_wins_key_by_key() -> None:
    given = orjson.loads(INTEGRATION.read_bytes())
    given["override"]["webhook"] = {
        "handle_verification": None,
        "signature_verification": {"config": {"algorithm": "sha512", "parts": ["raw_body"]}},
    }
    source = read_source("zendesk", given, {})
    body = b'{"event":"x"}'
    made = hmac.digest(b"a secret of the environment", body, "sha512").hex()
    assert isinstance(verify(source, of_headers({"x-signature": made}, body)), Accepted)
    assert source.handle is None


def test_an_override_of_another_format_counts_whole() -> None:
    below = {"format": "hmac", "config": {"parts": ["raw_body"], "secret": "x"}}
    assert overlay(below, {"format": "bearer", "config": {"secret": "y"}}) == {
        "format": "bearer",
        "config": {"secret": "y"},
    }


def test_variables_of_the_environment_are_put_in_but_not_into_expressions() -> None:
    given = changed(
        "webhook", "handle_verification", value="'${SECRET}' = 'x' ? {'type': 'meta'}", secrets=["${SECRET}"]
    )
    source = read_source("s", given, {"SECRET": SECRET})
    assert source.account({}).secrets == (SECRET.encode(),)


def test_a_dollar_can_be_written() -> None:
    source = read_source("s", changed(secrets=["$${SECRET} of sixteen"]), {})
    assert source.account({}).secrets == (b"${SECRET} of sixteen",)


FAULTY: dict[str, tuple[Any, str]] = {
    "no-object": (7, "s: must be an object"),
    "no-form": ({"secrets": [SECRET]}, "s: needs exactly one of"),
    "two-forms": ({**PLAIN, "preset": "github"}, "s: needs exactly one of"),
    "unknown-preset": ({"preset": "nope"}, "s.preset: there is no such preset"),
    "unknown-key": (changed(colour="red"), "s.colour: is not known here"),
    "unknown-option": (changed("options", "tolerance", value=3), "s.options.tolerance: is not known here"),
    "unknown-in-webhook": (changed("webhook", "verify", value="x"), "s.webhook.verify: is not known here"),
    "unknown-in-config": (
        changed("webhook", "signature_verification", "config", "salt", value="x"),
        "s.webhook.signature_verification.config.salt: is not known here",
    ),
    "unknown-format": (
        changed("webhook", "signature_verification", "format", value="rot13"),
        "s.webhook.signature_verification.format: must be one of adyen, basic",
    ),
    "no-format": (
        changed("webhook", "signature_verification", "format"),
        "s.webhook.signature_verification.format: must be one of adyen, basic",
    ),
    "no-compare": (
        changed("webhook", "signature_verification", "config", "compare_with"),
        "s.webhook.signature_verification.config.compare_with: is missing",
    ),
    "empty-compare": (
        changed("webhook", "signature_verification", "config", "compare_with", value=""),
        "s.webhook.signature_verification.config.compare_with: is empty",
    ),
    "nothing-signed": (
        changed("webhook", "signature_verification", "config", "parts"),
        "s.webhook.signature_verification.config: needs one of `parts` and `verification_content`",
    ),
    "signed-twice": (
        changed("webhook", "signature_verification", "config", "verification_content", value=["{{raw_body}}"]),
        "s.webhook.signature_verification.config: needs one of `parts` and `verification_content`",
    ),
    "odd-part": (
        changed("webhook", "signature_verification", "config", "parts", value=["raw body"]),
        "s.webhook.signature_verification.config.parts.0: is no name of a field",
    ),
    "odd-template": (
        changed("webhook", "signature_verification", "config", "compare_with", value="{{a b}}"),
        "s.webhook.signature_verification.config.compare_with: {{a b}}",
    ),
    "unknown-algorithm": (
        changed("webhook", "signature_verification", "config", "algorithm", value="sha3"),
        "s.webhook.signature_verification.config.algorithm: must be one of",
    ),
    "md5": (
        changed("webhook", "signature_verification", "config", "algorithm", value="MD5"),
        "s.webhook.signature_verification.config.algorithm: md5 is broken",
    ),
    "unknown-encoding": (
        changed("webhook", "signature_verification", "config", "string_type", value="octal"),
        "s.webhook.signature_verification.config.string_type: must be one of",
    ),
    "no-verification": (
        changed("webhook", "signature_verification"),
        "s.webhook.signature_verification: is missing; without it every delivery would be believed",
    ),
    "expression-and-signature": (
        changed("options", "verified_by_expression", value=True),
        "s.options.verified_by_expression: contradicts",
    ),
    "no-expression": (
        {"webhook": {}, "secrets": [SECRET], "options": {"verified_by_expression": True}},
        "s.options.verified_by_expression: needs webhook.handle_verification",
    ),
    "broken-expression": (changed("webhook", "payload_transform", value="body."), "s.webhook.payload_transform:"),
    "regex-beyond-re2": (
        changed("webhook", "handle_verification", value="$match(body.a, /(?=a)a/)"),
        "s.webhook.handle_verification: regular expression refused",
    ),
    "no-secret": (changed("secrets"), "s.secrets: {{context.webhook_secret}}: has no value"),
    "empty-secret": (changed(secrets=[""]), "s.secrets.0: a secret has fewer than 16 bytes"),
    "short-secret": (changed(secrets=[SECRET, "hunter2"]), "s.secrets.1: a secret has fewer than 16 bytes"),
    "short-in-context": (changed("secrets", context={"webhook_secret": "hunter2"}), "s.secrets: a secret has"),
    "secret-from-a-header": (
        changed("webhook", "signature_verification", "config", "secret", value="{{headers.x}}", secrets=[]),
        "s.secrets: {{headers.x}}: has no value",
    ),
    "secret-is-a-number": (changed(secrets=[1234567890123456]), "s.secrets.0: Input should be a valid string"),
    "unset-variable": (changed(secrets=["${NOPE}"]), "s.secrets.0: the environment variable NOPE is not set"),
    "undecodable-secret": (
        changed("options", "secret_encoding", value="hex"),
        "s.secrets.0: a secret cannot be read",
    ),
    "tolerance-without-time": (
        changed("options", "tolerance_seconds", value=300),
        "s.options.tolerance_seconds: needs `timestamp`",
    ),
    "no-network": (changed("options", "ip_allow_list", value=["here"]), "s.options.ip_allow_list.0: is no network"),
    "no-url": (changed("options", "public_url", value="you.example"), "s.options.public_url: must begin with"),
    "whsec-twice": (
        {"preset": "svix", "secrets": ["whsec_whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]},
        "s.secrets.0: a secret cannot be read: must be base64 behind whsec_",
    ),
    "whsec-short": ({"preset": "svix", "secrets": ["whsec_eA=="]}, "s.secrets.0: a secret has fewer than 16 bytes"),
    "basic-without-colon": ({"preset": "pipedrive", "secrets": ["x" * 40]}, "s.secrets.0: a secret cannot be read"),
    "basic-short-password": ({"preset": "pipedrive", "secrets": ["a-long-user-name:pw"]}, "s.secrets.0: a secret"),
    "short-public-key": ({"preset": "discord", "secrets": ["ab" * 31]}, "s.secrets.0: a secret cannot be read"),
    "no-config": ({"integration": {}}, "s.integration.config: is missing"),
    "no-webhook": ({"integration": {"config": {"label": "x"}}}, "s.integration.config.webhook: is missing"),
    "override-no-object": ({"integration": {"config": {}}, "override": []}, "s.integration.config.webhook"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_source_is_refused_by_keys_and_reason(name: str) -> None:
    given, expected = FAULTY[name]
    faults = faults_of(given)
    assert any(fault.startswith(expected) for fault in faults), faults
    assert "hunter2" not in str(faults)


def test_a_secret_that_a_handshake_brings_may_be_missing() -> None:
    source = read_source("s", {"preset": "asana"}, {})
    assert source.account({}).fault == "secret_missing"
    assert source.account({"webhook_secret": SECRET}).secrets == (SECRET.encode(),)
    assert source.account({"webhook_secret": "short"}).fault == "secret_too_short"


@pytest.mark.parametrize("name", ["", "a" * 65, "Capital", "a/b", "-a", "ä"])
def test_a_name_that_is_no_part_of_a_path_is_refused(name: str) -> None:
    with pytest.raises(Faults):
        read_source(name, PLAIN, {})


@pytest.mark.bad_input(194)
@pytest.mark.parametrize("name", ["workflows", "unknown", "truto"])
def test_a_name_that_means_something_already_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(Faults, match=f"^{name}: is .*: choose another (name|one)"):
        read_source(name, PLAIN, {})


def test_a_source_that_is_truto_s_may_have_its_name_and_any_other_may_resemble_a_reserved_one() -> None:
    assert read_source("truto", {"preset": "truto", "secrets": [SECRET]}, {}).name == "truto"
    assert read_source("workflows-of-ours", PLAIN, {}).name == "workflows-of-ours"


def test_a_taken_name_is_refused() -> None:
    with pytest.raises(Faults, match="truto: exists already"):
        read_source("truto", PLAIN, {}, taken={"truto"})


def test_a_file_names_every_fault_of_every_source_at_once(tmp_path: Path) -> None:
    file = tmp_path / "sources.yaml"
    file.write_text(yaml.safe_dump({"a": changed("secrets"), "b": changed(colour="red"), "c": PLAIN}))
    with pytest.raises(BadSources) as caught:
        load_sources(file, {})
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[:2] for line in lines] == [[str(file), "a.secrets"], [str(file), "b.colour"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "must map names to sources"),
        ("- a", "must map names to sources"),
        ("a: {b: 1\n", "line "),
        ("a: {}\na: {}\n", "'a' is there twice"),
        ("a: {webhook: {}, webhook: {}}\n", "'webhook' is there twice"),
        ("1: {}\n", "is not text"),
        ("a: !!python/object/apply:os.system [id]\n", "line 1"),
        ("a: \x00", "is not YAML"),
    ],
    ids=["empty", "list", "broken", "twice", "key-twice", "number", "object", "control"],
)
def test_a_file_that_is_no_map_of_sources_is_refused(text: str, expected: str) -> None:
    with pytest.raises(Faults, match=expected):
        read_sources(text, {})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSources, match="cannot be read: No such file"):
        load_sources(tmp_path / "sources.yaml", {})
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadSources, match="not UTF-8"):
        load_sources(tmp_path / "bytes.yaml", {})


def test_json_is_read_as_well() -> None:
    assert list(read_sources(orjson.dumps({"s": PLAIN}).decode(), {})) == ["s"]


def test_no_secret_is_in_what_a_source_prints() -> None:
    given = {**PLAIN, "context": {"x": "hunter2"}, "environment_variables": {"y": "hunter2"}}
    source = read_source("s", given, {})
    assert SECRET not in repr(source)
    assert "hunter2" not in repr(source) + repr(source.account({})) + repr(source.credentials)


def test_a_source_without_expressions_never_brings_jsonata_into_the_process() -> None:
    program = """
import sys, time, hmac
from ingress.sources.loading import read_source
from ingress.verification.context import Delivery
from ingress.verification.pipeline import verify_delivery
source = read_source("s", {"preset": "github", "secrets": ["0123456789abcdef"]}, {})
body = b'{"a":1}'
made = "sha256=" + hmac.digest(b"0123456789abcdef", body, "sha256").hex()
outcome = verify_delivery(source, Delivery([(b"x-hub-signature-256", made.encode())], body), source.account({}), now=0)
print(type(outcome).__name__, [name for name in ("jsonata", "re2", "truto.expressions") if name in sys.modules])
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "Accepted []"


WRAPPED = {"line feed": "{}\n", "crlf": "{}\r\n", "spaces": " {} "}


@pytest.mark.parametrize("wrapped", WRAPPED.values(), ids=list(WRAPPED))
def test_white_space_around_a_secret_is_no_part_of_it(wrapped: str) -> None:
    secret = "a secret of more than sixteen bytes"
    of_environment = read_source("s", {"preset": "github", "secrets": ["${S}"]}, {"S": wrapped.format(secret)})
    of_file = read_source("s", {"preset": "github", "secrets": [wrapped.format(secret)]}, {})
    assert of_environment.account({}).secrets == of_file.account({}).secrets == (secret.encode(),)


@pytest.mark.parametrize(
    "given",
    [
        {"preset": "github", "secrets": ["${S}"]},
        {"preset": "github", "secrets": ["'a secret of more than sixteen bytes'"]},
        {"preset": "github", "context": {"webhook_secret": "a secret of more than sixteen bytes\n"}},
    ],
    ids=["environment", "secrets", "context"],
)
def test_what_else_is_wrapped_around_a_secret_is_named(given: dict[str, Any]) -> None:
    with pytest.raises(Faults, match=r"take (it|them) off"):
        read_source("s", given, {"S": '"a secret of more than sixteen bytes"'})


def test_quotes_inside_of_a_secret_are_its_own() -> None:
    made = read_source("s", {"preset": "github", "secrets": ["It's a Secret to Everybody's"]}, {})
    assert made.account({}).secrets == (b"It's a Secret to Everybody's",)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ({"status": 302}, "s.options.answer.status"),
        ({"status": 404}, "s.options.answer.status"),
        ({"status": 204, "body": "x"}, "s.options.answer.body: has no meaning for the status 204"),
        ({"content_type": "text/xml"}, "s.options.answer.content_type: has no meaning without a `body`"),
        ({"body": "x", "content_type": "text/xml\r\nset-cookie: a=b"}, "s.options.answer.content_type"),
        ({"body": "x" * 20_000}, "s.options.answer.body: is larger"),
        ({"headers": {"location": "x"}}, "s.options.answer.headers: is not known here"),
    ],
)
def test_an_answer_that_no_sender_should_get_is_refused(answer: dict[str, Any], fault: str) -> None:
    given = {"preset": "github", "secrets": ["a secret of more than sixteen bytes"], "options": {"answer": answer}}
    with pytest.raises(Faults, match=re.escape(fault)):
        read_source("s", given, {})


def test_a_source_may_go_back_to_our_own_answer() -> None:
    given = {"preset": "xero", "secrets": ["a secret of more than sixteen bytes"], "options": {"answer": None}}
    assert read_source("s", given, {}).answer is None


@pytest.mark.bad_input(248)
@pytest.mark.parametrize(
    "name",
    ["Authorization", "Cookie", "X-Hub-Signature-256", "X-Slack-Signature", "X-Gitlab-Token", "X-Api-Key", "X-Sig"],
)
def test_no_event_keeps_a_header_that_may_hold_a_secret(name: str) -> None:
    given = {"preset": "github", "secrets": ["a secret of more than sixteen bytes"], "options": {"headers": [name]}}
    with pytest.raises(Faults, match=r"s\.options\.headers\.0: may hold a secret or a signature"):
        read_source("s", given, {})


@pytest.mark.bad_input(248)
def test_no_event_keeps_the_header_that_is_compared_whatever_its_name() -> None:
    config = {"compare_with": "{{headers.x-proof-of-origin}}", "parts": ["raw_body"]}
    given = {
        "webhook": {"signature_verification": {"format": "hmac", "config": config}},
        "secrets": ["a secret of more than sixteen bytes"],
        "options": {"headers": ["X-Proof-Of-Origin"]},
    }
    with pytest.raises(Faults, match="may hold a secret or a signature"):
        read_source("s", given, {})


def test_an_idempotency_token_is_no_secret() -> None:
    given = {"preset": "twilio", "secrets": ["a secret of more than sixteen bytes"]}
    assert read_source("s", given, {}).kept_headers == {b"i-twilio-idempotency-token"}


def test_at_most_twenty_headers_are_kept() -> None:
    options = {"headers": [f"x-{number}" for number in range(21)]}
    with pytest.raises(Faults, match=r"s\.options\.headers"):
        read_source(
            "s", {"preset": "github", "secrets": ["a secret of more than sixteen bytes"], "options": options}, {}
        )


CONTENT = ["{{headers.x-timestamp}}", ".", "{{raw_body}}"]


def _overridden(config: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The environment integration of Truto's own documents, with *config* as its override."""
    given = orjson.loads(INTEGRATION.read_text())
    verification = (
        {"signature_verification": {"config": config}} if "format" not in config else {"signature_verification": config}
    )
    variables = {"WEBHOOK_SECRET": SECRET}
    override = {"environment_variables": variables, "webhook": verification}
    return {**given, "override": override, **more}


def _signs(given: dict[str, Any]) -> tuple[Any, Any]:
    block = read_entry("s", given, {}).webhook.signature_verification
    assert block is not None
    config = block.config.model_dump()
    return config["parts"], config["verification_content"]


def test_an_override_s_verification_content_replaces_the_base_s_parts() -> None:
    assert _signs(_overridden({"verification_content": CONTENT})) == (None, CONTENT)


def test_an_override_s_parts_replace_the_base_s_verification_content() -> None:
    given = _overridden({"parts": ["raw_body", "body.id"]})
    base = given["integration"]["config"]["webhook"]["signature_verification"]["config"]
    del base["parts"]
    base["verification_content"] = CONTENT
    assert _signs(given) == (["raw_body", "body.id"], None)


def test_an_override_that_says_nothing_of_what_is_signed_keeps_the_base_s() -> None:
    assert _signs(_overridden({"string_type": "base64"})) == (["raw_body"], None)


@pytest.mark.bad_input(286)
def test_both_in_one_layer_are_still_refused() -> None:
    with pytest.raises(Faults, match="needs one of `parts` and `verification_content`, and not both"):
        _signs(_overridden({"verification_content": CONTENT, "parts": ["raw_body"]}))


def test_variables_of_those_names_do_not_replace_each_other() -> None:
    below = {"parts": "a", "verification_content": "b"}
    assert overlay(below, {"parts": "c"}) == {"parts": "c", "verification_content": "b"}


@pytest.mark.bad_input(287)
def test_a_token_without_exp_is_taken_where_the_source_says_so() -> None:
    token = {"format": "jwt", "config": {"secret": "{{environment_variables.WEBHOOK_SECRET}}"}}
    bare = jwt.encode({"iss": "them"}, SECRET, algorithm="HS256")
    delivery = Delivery(
        [(b"content-type", b"application/json"), (b"authorization", f"Bearer {bare}".encode())], b'{"id":"1"}'
    )
    strict = read_source("s", _overridden(token), {})
    lenient = read_source("s", _overridden(token, options={"jwt": {"require_exp": False}}), {})
    refused = explain_delivery(strict, delivery, strict.account({}), now=1_700_000_000.0)
    taken = explain_delivery(lenient, delivery, lenient.account({}), now=1_700_000_000.0)
    assert (refused.taken, taken.taken) == (False, True)


def test_thousands_of_sources_of_one_preset_share_its_expressions() -> None:
    """Each is compiled once, and kept once."""
    text = yaml.safe_dump({f"s{place}": {"preset": "slack", "secrets": [SECRET]} for place in range(300)})
    handles = [source.handle for source in read_sources(text, {}).values()]
    assert len({id(handle._expression) for handle in handles}) == 1  # type: ignore[union-attr]  # noqa: SLF001


def test_what_one_source_adds_to_its_preset_is_no_other_s() -> None:
    added = {"preset": "slack", "secrets": [SECRET], "context": {"mine": {"a": 1}}, "options": {"headers": ["X-Mine"]}}
    text = yaml.safe_dump({"one": added, "two": {"preset": "slack", "secrets": [SECRET]}})
    one, two = read_sources(text, {}).values()
    assert (one.context, two.context) == ({"mine": {"a": 1}}, {})
    assert (one.kept_headers, b"x-mine" in two.kept_headers) == (frozenset({b"x-mine"}), False)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (changed("options", "tolerence_seconds", value=3), "did you mean tolerance_seconds?"),
        (changed("options", "quota", value={"deliverys": 1}), "did you mean deliveries?"),
        (changed("options", "jwt", value={"algorithm": ["HS256"]}), "did you mean algorithms?"),
        (changed(secret=[SECRET]), "did you mean secrets?"),
        (changed("webhook", "payload_transfrom", value="$"), "did you mean payload_transform?"),
        (changed("webhook", "signature_verification", "config", "algoritm", value="x"), "did you mean algorithm?"),
        ({"preest": "github"}, "did you mean preset?"),
        ({"preset": "stripe", "secrets": [SECRET], "options": {"evnt": {}}}, "did you mean event?"),
    ],
    ids=lambda value: value[13:-1] if isinstance(value, str) else "",
)
def test_a_misspelt_key_is_told_the_one_it_was_meant_to_be(given: Any, told: str) -> None:
    with pytest.raises(Faults, match=re.escape(told)):
        read_source("s", given, {})


def test_a_key_of_another_format_is_not_suggested() -> None:
    given = changed("webhook", "signature_verification", "config", "public_kye", value="x")
    with pytest.raises(Faults) as raised:
        read_source("s", given, {})
    assert "did you mean" not in str(raised.value)


def test_a_key_that_is_like_no_other_is_told_as_unknown_alone() -> None:
    with pytest.raises(Faults) as raised:
        read_source("s", changed(colour="red"), {})
    assert str(raised.value) == "s.colour: is not known here"
