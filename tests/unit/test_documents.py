"""What documents say about tests is true: each one they name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(test_\w+)`")
DEFINED = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)
DOCUMENTS = sorted(path for path in (ROOT / "docs").glob("*.md") if NAMED.search(path.read_text()))

LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md"))]


def existing_tests() -> set[str]:
    return {name for path in (ROOT / "tests").rglob("test_*.py") for name in DEFINED.findall(path.read_text())}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    named = set(NAMED.findall(document.read_text())) - {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    assert named - existing_tests() == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_file_that_a_page_links_to_exists(page: Path) -> None:
    linked = {link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()}
    assert linked == set()


def test_every_hazard_has_a_row_with_a_test() -> None:
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]*) \|$", (ROOT / "docs" / "hazards.md").read_text(), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 29))
    assert all(NAMED.search(held_by) for _, held_by in rows)


def test_every_threat_has_a_row_with_a_test() -> None:
    """The tables of threats have three columns; the one that says who is who has others."""
    page = (ROOT / "docs" / "security.md").read_text()
    tables = re.findall(r"^\| Threat \| What holds \| Tests \|\n\|[-|]+\|\n((?:\|.*\n)+)", page, re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()]
    assert len(tables) >= 5
    assert [row for row in rows if row.count(" | ") != 2 or not NAMED.search(row.split(" | ")[2])] == []


@pytest.mark.parametrize("page", ["README.md", "SECURITY.md"])
def test_who_looks_for_the_security_page_finds_it(page: str) -> None:
    assert "(docs/security.md)" in (ROOT / page).read_text()
