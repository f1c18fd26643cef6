"""``truto-worker sources``: checked, listed, tried and explained, without a secret on the screen."""

from __future__ import annotations

import hmac
import json
import sys
from pathlib import Path

import pytest

from cli.main import main
from ingress.sources.layers import presets, read_preset

SECRET = "a secret of more than sixteen bytes"
BODY = b'{"event":"ping"}'

FILE = f"""
github: {{preset: github, secrets: ["another secret of more than 16", "{SECRET}"]}}
gitlab: {{preset: gitlab, secrets: ["{SECRET}"]}}
stripe: {{preset: stripe, secrets: ["{SECRET}"]}}
slack: {{preset: slack, secrets: ["{SECRET}"]}}
zendesk: {{preset: zendesk, secrets: ["{SECRET}"]}}
hubspot: {{preset: hubspot, secrets: ["{SECRET}"]}}
square: {{preset: square, secrets: ["{SECRET}"]}}
pipedrive: {{preset: pipedrive, secrets: ["user:{SECRET}"]}}
monday: {{preset: monday, secrets: ["{SECRET}"]}}
svix: {{preset: svix, secrets: [whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw]}}
own: {{preset: truto, secrets: ["{SECRET}"]}}
asana: {{preset: asana}}
twilio: {{preset: twilio, secrets: ["{SECRET}"]}}
linear: {{preset: linear, secrets: ["{SECRET}"]}}
graph: {{preset: microsoft-graph, secrets: ["{SECRET}"]}}
discord: {{preset: discord, secrets: ["{"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"}"]}}
near: {{preset: github, secrets: ["{SECRET}"], options: {{ip_allow_list: [192.0.2.0/24]}}}}
"""


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("REDIS_URL", "TRUTO_WEBHOOK_SECRET", "SOURCES_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PUBLIC_URL", "https://you.example/hooks")
    Path("sources.yaml").write_text(FILE)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["truto-worker", "sources", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


def test_a_good_file_is_confirmed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "check") == 0
    assert "17 sources, no faults" in capsys.readouterr().out
    assert run(monkeypatch, "check", "--json") == 0
    assert json.loads(capsys.readouterr().out)["faults"] == []


def test_sources_that_can_prove_nothing_without_an_address_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PUBLIC_URL")
    assert run(monkeypatch, "check", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert "hubspot" in told["sources"]
    assert [fault.split(": ")[1] for fault in told["faults"]] == [
        f"{name}.options.public_url" for name in ("hubspot", "square", "twilio")
    ]
    assert run(monkeypatch, "check") == 1
    assert "set one of them to the address" in capsys.readouterr().out
    assert run(monkeypatch, "test", "square") == 1


def test_a_bad_public_url_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PUBLIC_URL", "you.example")
    assert run(monkeypatch, "check") == 2
    assert "PUBLIC_URL: must begin with https://" in capsys.readouterr().err


def test_a_faulty_file_ends_with_2_and_every_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other.yaml").write_text("a: {preset: nope}\nb: {preset: github}\n")
    assert run(monkeypatch, "check", "--file", "other.yaml") == 2
    said = capsys.readouterr().err
    assert "other.yaml: a.preset: there is no such preset" in said
    assert "other.yaml: b.secrets: " in said
    assert run(monkeypatch, "check", "--file", "other.yaml", "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert told["sources"] == []
    assert [fault.split(": ")[1] for fault in told["faults"]] == ["a.preset", "b.secrets"]


def test_a_file_without_headers_is_not_taken_for_a_delivery_without_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("headers").write_text("garbage\n")
    assert run(monkeypatch, "explain", "--source", "github", "--headers", "headers") == 2
    assert "no line is `Name: value`" in capsys.readouterr().err
    Path("headers").write_text("")
    assert run(monkeypatch, "explain", "--source", "github", "--headers", "headers") == 1
    assert "signature_missing" in capsys.readouterr().out


def test_without_a_file_there_is_nothing_to_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("sources.yaml").unlink()
    assert run(monkeypatch, "check") == 2
    assert "SOURCES_FILE" in capsys.readouterr().err


def test_sources_and_presets_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "list") == 0
    told = capsys.readouterr().out
    assert "github" in told
    assert SECRET not in told
    assert run(monkeypatch, "list", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["github"]["secrets"], rows["graph"]["format"]) == (2, "expression")
    assert run(monkeypatch, "list", "--presets", "--json") == 0
    assert set(json.loads(capsys.readouterr().out)) == set(presets())
    assert run(monkeypatch, "list", "--presets") == 0
    told = capsys.readouterr().out
    assert all(f"\n{name} " in f"\n{told}" for name in presets())
    assert max(map(len, told.splitlines())) <= 100
    words = " ".join(told.split())
    assert all(" ".join(read_preset(name)["description"].split()) in words for name in presets())


SIGNABLE = (
    "github",
    "gitlab",
    "stripe",
    "slack",
    "zendesk",
    "hubspot",
    "square",
    "pipedrive",
    "monday",
    "svix",
    "own",
    "linear",
)
UNSIGNABLE = ("asana", "twilio", "graph", "discord", "near")


@pytest.mark.parametrize("name", [*SIGNABLE, *UNSIGNABLE])
def test_a_source_is_tried_with_a_sample_and_forgeries(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run(monkeypatch, "test", name, "--json") == int(name in UNSIGNABLE)
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is (name in SIGNABLE)
    sample = told["tried"].pop("signed sample")
    assert sample == "accepted" if name in SIGNABLE else sample.startswith("not tested: ")
    assert all(found.startswith(("refused: ", "handshake")) for found in told["tried"].values())


def test_truto_s_own_source_is_tried_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TRUTO_WEBHOOK_SECRET", f"{SECRET},old secret of sixteen bytes")
    assert run(monkeypatch, "test", "truto") == 0
    assert "accepted" in capsys.readouterr().out


def test_an_unknown_source_is_named_with_those_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "test", "nope") == 2
    assert "there is no source 'nope'" in capsys.readouterr().err


def explained(monkeypatch: pytest.MonkeyPatch, source: str, headers: dict[str, str], *more: str) -> int:
    Path("headers").write_text(json.dumps(headers))
    Path("body").write_bytes(BODY)
    return run(monkeypatch, "explain", "--source", source, "--headers", "headers", "--body", "body", *more)


def test_a_good_delivery_is_explained_with_its_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = hmac.digest(SECRET.encode(), BODY, "sha256").hex()
    assert explained(monkeypatch, "github", {"X-Hub-Signature-256": f"sha256={made}"}) == 0
    told = capsys.readouterr().out
    assert "github: taken (accepted)" in told
    assert "authentic with secret 1" in told
    assert "event: ping" in told


@pytest.mark.parametrize(
    ("source", "headers", "reason", "hint"),
    [
        ("github", {}, "signature_missing", "{{headers.x-hub-signature-256}}: has no value"),
        ("github", {"X-Hub-Signature-256": "sha256=abcdef0123"}, "signature_mismatch", "received: abcdef01…"),
        ("github", {"X-Hub-Signature-256": "sha1=abcdef0123"}, "signature_malformed", "no value begins with 'sha256='"),
        ("own", {"X-Truto-Signature": "format=sha256,v=" + "0" * 64}, "signature_mismatch", "received: 00000000…"),
        ("gitlab", {"X-Gitlab-Token": "x"}, "signature_mismatch", "received: 1 characters"),
        ("pipedrive", {"Authorization": "Basic eDp5"}, "signature_mismatch", "received: 4 characters"),
        ("pipedrive", {"Authorization": "nothing"}, "credentials_malformed", "a scheme, one space"),
        ("monday", {"Authorization": "nothing"}, "jwt_malformed", "not three segments"),
        (
            "svix",
            {"svix-id": "m", "svix-timestamp": "1700000000", "svix-signature": "v1,AAAA"},
            "signature_mismatch",
            "timestamp: -100 s from now",
        ),
        ("asana", {"x-hook-signature": "00"}, "secret_missing", "live secrets: 0 (secret_missing)"),
        ("near", {}, "client_not_allowed", "ip_allow_list"),
        (
            "discord",
            {"x-signature-timestamp": "1700000000", "x-signature-ed25519": "00" * 64},
            "signature_mismatch",
            "received: 00000000…",
        ),
    ],
)
def test_a_refused_delivery_is_explained_by_what_was_expected_and_what_came(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: str,
    headers: dict[str, str],
    reason: str,
    hint: str,
) -> None:
    assert explained(monkeypatch, source, headers, "--at", "1700000100", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["taken"], told["reason"]) == (False, reason)
    assert any(hint in line for line in told["lines"]), told
    assert SECRET not in str(told)


def test_an_old_delivery_is_explained_by_the_clock(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = hmac.digest(SECRET.encode(), b"1700000000." + BODY, "sha256").hex()
    Path("lines").write_text(f"Stripe-Signature: t=1700000000,v1={made}\nnot a header\n")
    arguments = ("--source", "stripe", "--headers", "lines", "--body", "body", "--at", "1700001000")
    Path("body").write_bytes(BODY)
    assert run(monkeypatch, "explain", *arguments) == 1
    told = capsys.readouterr().out
    assert "timestamp_out_of_tolerance" in told
    assert "timestamp: -1000 s from now; allowed: 300 s" in told


def test_files_that_cannot_be_read_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "explain", "--source", "github", "--headers", "nowhere") == 2
    assert "nowhere: No such file" in capsys.readouterr().err
    Path("broken").write_text("{")
    assert run(monkeypatch, "explain", "--source", "github", "--headers", "broken") == 2
    assert "not JSON" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "heading"),
    [
        (["sources", "check", "--file", "none.yaml"], "truto-worker sources check failed:"),
        (["sources", "test", "gihtub"], "truto-worker sources test failed:"),
        (["send", "--source", "gihtub"], "truto-worker send failed:"),
        (["ingress"], "truto-worker cannot start:"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_only_what_runs_on_says_that_it_cannot_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], heading: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["truto-worker", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"{heading}\n  - ")


@pytest.mark.parametrize("arguments", [["sources", "test", "gihtub"], ["send", "--source", "gihtub"]], ids=" ".join)
def test_a_misspelt_source_is_guessed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["truto-worker", *arguments])
    with pytest.raises(SystemExit):
        main()
    assert "did you mean github?" in capsys.readouterr().err


def test_a_misspelt_preset_is_guessed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Path("other.yaml").write_text("a: {preset: gihtub}\n")
    assert run(monkeypatch, "check", "--file", "other.yaml") == 2
    assert "there is no such preset; did you mean github? known are " in capsys.readouterr().err


def test_what_can_never_match_is_a_fault_of_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other.yaml").write_text(
        f"""
own:
  secrets: ["{SECRET}"]
  webhook:
    signature_verification:
      format: hmac
      config: {{parts: [raw_body], compare_with: "{{{{header.x-signature}}}}"}}
"""
    )
    assert run(monkeypatch, "check", "--file", "other.yaml") == 1
    told = capsys.readouterr().out
    assert "other.yaml: own.webhook.signature_verification.config.compare_with: `header.x-signature`" in told
    assert "did you mean headers?" in told
    assert "1 source, 1 fault: own" in told
