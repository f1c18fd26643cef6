"""Definitions are read with every fault at once, and layers are merged as Truto merges them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truto.integration import BadIntegration, read_integration
from truto.integration.loading import effective_config

BASE: dict[str, Any] = {
    "base_url": "https://api.example.com",
    "headers": {"X-A": "1", "X-B": "2"},
    "authorization": {"format": "bearer", "config": {"value": "{{api_key}}"}},
    "pagination": {"format": "page", "config": {"page_key": "p"}},
    "resources": {"users": {"list": {"path": "/users", "headers": {"X-A": "m"}, "scopes": ["a", "b"]}}},
}


def faults(document: Any) -> list[str]:
    with pytest.raises(BadIntegration) as caught:
        read_integration(document)
    return [str(fault) for fault in caught.value.faults]


def installed(override: dict[str, Any]) -> dict[str, Any]:
    return {"id": "i", "integration": {"name": "acme", "config": BASE}, "override": override}


@pytest.mark.parametrize(
    ("document", "name"),
    [
        (installed({}), "acme"),
        ({"name": "acme", "config": BASE}, "acme"),
        ({"override": BASE, "name": "acme"}, "acme"),
        (BASE, "file"),
    ],
    ids=["environment integration", "integration", "override", "config"],
)
def test_four_shapes_are_taken(document: dict[str, Any], name: str) -> None:
    integration = read_integration(document, name="file")
    assert integration.name == name
    assert list(integration.config.resources) == ["users"]


def test_the_override_lies_over_the_config() -> None:
    config = read_integration(
        installed({"headers": {"X-A": "9"}, "resources": {"users": {"get": {"path": "/u"}}}})
    ).config
    assert config.headers == {"X-A": "9", "X-B": "2"}
    assert sorted(config.resources["users"]) == ["get", "list"]


def test_arrays_are_replaced() -> None:
    config = read_integration(installed({"resources": {"users": {"list": {"scopes": ["c"]}}}})).config
    assert config.resources["users"]["list"].scopes == ("c",)


def test_null_removes_what_lies_below() -> None:
    assert read_integration(installed({"authorization": None})).config.authorization is None
    assert "list" not in effective_config(BASE, {"resources": {"users": {"list": None}}})["resources"]["users"]


def test_null_as_a_header_takes_it_away_for_good() -> None:
    assert read_integration(installed({"headers": {"X-A": None}})).config.headers["X-A"] is None


def test_null_as_a_methods_pagination_switches_it_off() -> None:
    config = read_integration(installed({"resources": {"users": {"list": {"pagination": None}}}})).config
    assert config.resources["users"]["list"].disables_pagination


def test_blocks_of_different_formats_are_not_mixed() -> None:
    override = {"pagination": {"format": "offset", "config": {"offset_key": "o"}}}
    assert effective_config(BASE, override)["pagination"] == override["pagination"]


def test_neither_layer_is_changed() -> None:
    before = repr(BASE)
    effective_config(BASE, {"headers": {"X-A": None}, "resources": {"users": {"list": {"pagination": None}}}})
    assert repr(BASE) == before


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ([], "must be an object: an environment integration, or a config"),
        ({}, "has none of `integration`, `config`, `override` and `base_url`"),
        ({"integration": {}}, "integration.config: is missing, or not an object"),
        ({"integration": {"config": {}}, "override": []}, "override: must be an object"),
        ({**BASE, "resources": {"a": {"b": {}}}}, "resources.a.b.path: is missing"),
        ({**BASE, "authorization": {"config": {}}}, "authorization: needs a `format`"),
        (
            {**BASE, "pagination": {"format": "pages"}},
            "pagination: has an unknown `format`; known are 'page', 'cursor', 'link_header', 'offset', "
            "'range', 'dynamic'",
        ),
        ({**BASE, "pagination": {"format": "cursor"}}, "pagination.config: is missing"),
        ({**BASE, "pagination": {"format": "cursor", "config": {}}}, "pagination.config.cursor_path: is missing"),
        ({**BASE, "headers": {"a": "{{x y}}"}}, "headers: {{x y}}: several paths in one are not supported at a"),
        (
            {**BASE, "resources": {"a": {"b": {"path": "/", "respnse_path": "x"}}}},
            "resources.a.b.respnse_path: is not known here; did you mean response_path?",
        ),
        ({**BASE, "resourcs": {}}, "resourcs: is not known here; did you mean resources?"),
    ],
    ids=lambda value: None if isinstance(value, str) else "document",
)
def test_a_fault_is_told_with_its_place(document: Any, fault: str) -> None:
    assert faults(document) == [fault]


@pytest.mark.parametrize(
    ("place", "config"),
    [
        ("error_expression", {"error_expression": "("}),
        ("resources.a.b.error_expression", {"resources": {"a": {"b": {"path": "/", "error_expression": "("}}}}),
        ("authorization.config.expression", {"authorization": {"format": "header", "config": {"expression": "("}}}),
        ("rate_limit.is_rate_limited", {"rate_limit": {"is_rate_limited": "("}}),
        (
            "pagination.config.get_cursor_from_response_expression",
            {"pagination": {"format": "dynamic", "config": {"get_cursor_from_response_expression": "("}}},
        ),
        ("actions.a.steps.0.config", {"actions": {"a": {"steps": [{"type": "transform", "config": "("}]}}}),
    ],
)
def test_every_expression_is_compiled_when_it_is_read(place: str, config: dict[str, Any]) -> None:
    (fault,) = faults({**BASE, **config})
    assert fault.startswith(f"{place}: is not valid JSONata: ")


def test_all_faults_are_told_at_once() -> None:
    document = {**BASE, "query_array_format": "x", "resources": {"a": {"b": {"path": 1, "method": "fetch"}}}}
    assert len(faults(document)) == 3


def test_a_step_that_is_no_method_is_told_with_its_place() -> None:
    assert faults({**BASE, "actions": {"a": {"type": "request", "config": {}}}}) == [
        "actions.a.steps.0.config.path: is missing"
    ]


def test_what_no_document_names_is_kept_and_noted() -> None:
    integration = read_integration({**BASE, "zzz": 1, "resources": {"a": {"b": {"path": "/", "qqq": 1}}}})
    assert [str(note) for note in integration.notes] == [
        "zzz: is in none of Truto's documents: kept, not executed",
        "resources.a.b.qqq: is in none of Truto's documents: kept, not executed",
    ]


@pytest.mark.parametrize("url", ["http://api.example.com", "http://{{sub}}.example.com"])
def test_plain_http_is_noted(url: str) -> None:
    (note,) = read_integration({**BASE, "base_url": url}).notes
    assert str(note) == "base_url: is http: whoever is on the way reads the credentials"
    assert read_integration({**BASE, "base_url": "http://127.0.0.1:8080"}).notes == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
KEYS = st.sampled_from(
    [
        "base_url",
        "resources",
        "pagination",
        "authorization",
        "credentials",
        "actions",
        "headers",
        "rate_limit",
        "override",
        "config",
        "integration",
    ]
)


@given(document=st.dictionaries(KEYS, JSON, max_size=5))
def test_no_document_causes_another_error(document: dict[str, Any]) -> None:
    try:
        read_integration(document)
    except BadIntegration as exc:
        assert exc.faults  # noqa: PT017  either outcome is right
