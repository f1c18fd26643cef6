from __future__ import annotations

import re

from truto.catalogue import EVENT_TYPES, TEST_EVENT_TYPE


def test_all_37_names_of_the_platform_are_known() -> None:
    assert len(EVENT_TYPES) == 37


def test_every_name_is_an_entity_and_an_action() -> None:
    assert [name for name in EVENT_TYPES if not re.fullmatch(r"[a-z_]+:[a-z_]+", name)] == []


def test_the_test_event_is_not_one_of_them() -> None:
    assert TEST_EVENT_TYPE not in EVENT_TYPES
