from __future__ import annotations

import keyword
import sys
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.worker.samples import an_event
from truto import EVENT_TYPES
from worker.registry import registry
from worker.suggestion import suggest_handler

PRINTABLE = st.text(st.characters().filter(str.isprintable), min_size=1, max_size=256)
"""What the ingress lets through as an event's name."""
NAMES = st.sampled_from(["record", "1st", "Größe", "*", "", *keyword.kwlist, *keyword.softkwlist])


@pytest.fixture(autouse=True)
def _empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_handlers", {})
    monkeypatch.setattr(registry, "_ignored", [])


def pasted(source: str) -> None:
    """Run *source* as the module it says it is, and forget what was registered before."""
    registry.clear()
    module = ModuleType("handlers.pasted")
    exec(compile(source, "<pasted>", "exec"), module.__dict__)


@pytest.mark.parametrize("event_type", sorted(EVENT_TYPES))
def test_the_suggestion_for_a_known_type_wants_that_type(event_type: str) -> None:
    pasted(suggest_handler(an_event(event_type)))
    assert len(registry.matching(an_event(event_type))) == 1


@given(event_type=PRINTABLE | st.builds("{}:{}".format, NAMES, NAMES))
def test_the_suggestion_for_any_type_compiles_and_wants_that_type(event_type: str) -> None:
    pasted(suggest_handler(an_event(event_type)))
    assert len(registry.matching(an_event(event_type))) == 1


@given(payload=st.dictionaries(st.text(), st.none(), max_size=30))
def test_no_field_name_breaks_out_of_the_comment(payload: dict[str, Any]) -> None:
    source = suggest_handler(an_event(payload=payload))
    pasted(source)
    assert len(source.splitlines()) == 9
    assert source.replace("\n", "").isprintable()


def test_a_suggestion_names_its_file_and_the_payloads_fields_but_no_values() -> None:
    source = suggest_handler(an_event("sync_job_run:record", payload={"records": ["s3cret"], "meta": {}}))
    assert source.startswith("# handlers/sync_job_run.py\n")
    assert "async def record(" in source
    assert "holds: meta, records\n" in source
    assert "s3cret" not in source


def test_a_payload_without_fields_is_said_to_have_none() -> None:
    assert "holds: no fields" in suggest_handler(an_event(payload={}))


def test_a_payload_of_endless_names_makes_a_short_suggestion() -> None:
    payload = {f"{number}" + "x" * 10_000: 1 for number in range(100)}
    assert len(suggest_handler(an_event(payload=payload))) < 5_000


@pytest.mark.parametrize(
    ("event_type", "file", "function"),
    [
        ("ticket:1st-reply", "ticket.py", "on_1st_reply"),
        ("push", "push.py", "received"),
        ("::", "event.py", "received"),
        ("mail:return", "mail.py", "on_return"),
        ("class:on", "class.py", "on_on"),
    ],
)
def test_names_are_made_fit_for_python(event_type: str, file: str, function: str) -> None:
    source = suggest_handler(an_event(event_type))
    assert source.startswith(f"# handlers/{file}\n")
    assert f"async def {function}(" in source
    assert "handlers.pasted" not in sys.modules


@pytest.mark.parametrize(("event_type", "pattern"), [("a:b*", "a:*"), ("a:*", "a:*"), ("a*:b", "*"), ("a*", "*")])
def test_a_type_with_a_star_in_it_is_asked_for_by_the_narrowest_pattern(event_type: str, pattern: str) -> None:
    assert f'@on("{pattern}")' in suggest_handler(an_event(event_type))
