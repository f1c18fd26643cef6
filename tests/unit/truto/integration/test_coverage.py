"""Every property of Truto's schema is held by a test, or listed with the reason why nothing runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.truto.integration.coverage import ROOT, STORED, covered, page, properties

DOCUMENTED = (Path(__file__).parent / "documented.txt").read_text().split()
"""What Truto's documents name (seed: Environment Integrations object; skill: authoring-integrations)."""


def test_every_property_of_the_documents_is_one_of_the_models() -> None:
    assert set(DOCUMENTED) - set(properties()) == set()


def test_the_models_have_no_property_that_no_document_names() -> None:
    assert set(properties()) - set(DOCUMENTED) == set()


@pytest.mark.parametrize("name", properties())
def test_a_property_is_held_by_a_test_or_stored_for_a_reason(name: str) -> None:
    assert (name in covered()) != (name in STORED)


def test_no_mark_names_what_is_no_property() -> None:
    assert covered().keys() - set(properties()) == set()


def test_the_list_in_the_documents_is_the_one_that_is_generated() -> None:
    assert (ROOT / "docs" / "integration-coverage.md").read_text() == page(), "run `make docs`"
