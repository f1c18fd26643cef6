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
from worker.suggestion import free_module, suggest_handler

FILE = "handlers/booking.py"

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
    pasted(suggest_handler(an_event(event_type), FILE))
    assert len(registry.matching(an_event(event_type))) == 1


@given(event_type=PRINTABLE | st.builds("{}:{}".format, NAMES, NAMES))
def test_the_suggestion_for_any_type_compiles_and_wants_that_type(event_type: str) -> None:
    pasted(suggest_handler(an_event(event_type), FILE))
    assert len(registry.matching(an_event(event_type))) == 1


@given(payload=st.dictionaries(st.text(), st.none(), max_size=30))
def test_no_field_name_breaks_out_of_the_comment(payload: dict[str, Any]) -> None:
    source = suggest_handler(an_event(payload=payload), FILE)
    pasted(source)
    assert all(line.startswith("    #") for line in source.splitlines()[7:-1])
    assert len(source.splitlines()) < 30
    assert source.replace("\n", "").isprintable()


def test_a_suggestion_names_its_file_and_the_payloads_fields_but_no_values() -> None:
    source = suggest_handler(an_event("sync_job_run:record", payload={"records": ["s3cret"], "meta": {}}), FILE)
    assert source.startswith("# handlers/booking.py\n")
    assert "async def record(" in source
    assert "holds: meta, records\n" in source
    assert "s3cret" not in source


def test_a_payload_without_fields_is_said_to_have_none() -> None:
    assert "holds: no fields" in suggest_handler(an_event(payload={}), FILE)


def test_a_payload_of_endless_names_makes_a_short_suggestion() -> None:
    payload = {f"{number}" + "x" * 10_000: 1 for number in range(100)}
    assert len(suggest_handler(an_event(payload=payload), FILE)) < 5_000


@pytest.mark.parametrize(
    ("event_type", "file", "function"),
    [
        ("ticket:1st-reply", "ticket.py", "on_1st_reply"),
        ("push", "push.py", "received"),
        ("::", "event.py", "received"),
        ("mail:return", "mail.py", "on_return"),
        ("class:on", "event_class.py", "on_on"),
    ],
)
def test_names_are_made_fit_for_python(event_type: str, file: str, function: str) -> None:
    assert free_module(event_type, set()) == file.removesuffix(".py")
    source = suggest_handler(an_event(event_type), FILE)
    assert f"async def {function}(" in source
    assert "handlers.pasted" not in sys.modules


@pytest.mark.parametrize(("event_type", "pattern"), [("a:b*", "a:*"), ("a:*", "a:*"), ("a*:b", "*"), ("a*", "*")])
def test_a_type_with_a_star_in_it_is_asked_for_by_the_narrowest_pattern(event_type: str, pattern: str) -> None:
    assert f'@on("{pattern}")' in suggest_handler(an_event(event_type), FILE)


def test_a_suggested_module_is_named_after_the_entity() -> None:
    assert free_module("booking:created", set()) == "booking"


def test_a_suggested_module_never_takes_the_name_of_one_that_is_there() -> None:
    assert free_module("record:meta", {"record"}) == "record_meta"
    assert free_module("record:meta", {"record", "record_meta"}) == "record_meta_2"


@given(event_type=PRINTABLE)
def test_a_suggested_module_has_a_name_that_can_be_imported(event_type: str) -> None:
    name = free_module(event_type, {"event"})
    assert name.isidentifier()
    assert not keyword.iskeyword(name)
