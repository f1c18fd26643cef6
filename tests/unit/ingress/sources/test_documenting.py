"""The page of presets says what the presets say, and where their facts are from."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ingress.errors import Faults
from ingress.sources.documenting import preset_page
from ingress.sources.layers import presets, read_preset
from ingress.sources.loading import read_source
from tests.unit.ingress.sources.senders import SECRET

ROOT = Path(__file__).parents[4]
ROWS = {row.split(" | ")[0].strip("| `"): row for row in preset_page().splitlines() if row.startswith("| `")}


def test_the_page_in_the_documents_is_the_current_one() -> None:
    assert (ROOT / "docs" / "presets.md").read_text(encoding="utf-8") == preset_page(), "run `make docs`"


def test_every_preset_has_a_row_with_every_column() -> None:
    assert set(ROWS) == set(presets())
    assert {row.replace("\\|", "").count("|") for row in ROWS.values()} == {9}


@pytest.mark.parametrize("preset", presets())
def test_a_preset_names_documents_of_its_sender(preset: str) -> None:
    documents = read_preset(preset)["documents"]
    assert documents
    for url in documents:
        parts = urlsplit(url)
        assert parts.scheme == "https"
        assert parts.hostname


@pytest.mark.parametrize(
    ("preset", "told"),
    [
        ("github", "HMAC-SHA256 (hex) of `raw_body` in `headers.x-hub-signature-256` after `sha256=`"),
        ("close", "key in hex"),
        ("pipedrive", "Basic credentials in `headers.authorization`"),
        ("plaid", "| 300 s |"),
        ("gong", "body bound by `body_sha256`"),
        ("gmail-push", "claims `issuer`, `audience`, `email`, `email_verified`, body not bound"),
        ("zoom", "| POST, signed |"),
        ("meta", "| GET, unsigned |"),
        ("gusto", "| POST, brings the secret: `sources enrol` |"),
        ("hubspot-v1", "| none |"),
        ("box", "| 600 s |"),
        ("svix", "| 300 s |"),
    ],
)
def test_a_row_says_how_its_preset_works(preset: str, told: str) -> None:
    assert told in ROWS[preset]


def test_where_the_facts_are_from_is_nothing_a_source_may_say() -> None:
    assert read_source("s", {"preset": "github", "secrets": [SECRET]}, {}).name == "s"
    with pytest.raises(Faults, match="documents: is not known here"):
        read_source("s", {"preset": "github", "secrets": [SECRET], "documents": ["https://a.example"]}, {})
