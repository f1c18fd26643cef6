from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import Event
from tests.unit.worker.samples import an_event
from worker import Backoff, ConfigError, Context
from worker.registry import Registry


@pytest.fixture
def registry() -> Registry:
    return Registry()


async def handle(event: Event, ctx: Context) -> None:
    pass


async def handle_too(event: Event, ctx: Context) -> None:
    pass


@pytest.mark.parametrize(
    ("pattern", "event_type", "wanted"),
    [
        ("sync_job_run:failed", "sync_job_run:failed", True),
        ("sync_job_run:failed", "sync_job_run:failed_twice", False),
        ("sync_job_run:failed", "SYNC_JOB_RUN:failed", False),
        ("sync_job_run:*", "sync_job_run:failed", True),
        ("sync_job_run:*", "sync_job_run:", True),
        ("sync_job_run:*", "sync_job_run", False),
        ("sync_job_run:*", "sync_job_runner:failed", False),
        ("*", "anything at all", True),
        ("*", "", True),
        ("a.b:c", "aXb:c", False),
    ],
)
def test_a_pattern_wants_the_types_it_names(registry: Registry, pattern: str, event_type: str, wanted: bool) -> None:
    registry.on(pattern)(handle)
    assert bool(registry.matching(an_event(event_type))) is wanted


@given(event_type=st.text(st.characters(exclude_characters="*"), min_size=1))
def test_an_exact_name_wants_itself(event_type: str) -> None:
    registry = Registry()
    registry.on(event_type)(handle)
    assert registry.matching(an_event(event_type))


def test_one_of_several_patterns_is_enough_and_the_handler_is_there_once(registry: Registry) -> None:
    registry.on("a:b", "a:*", "*")(handle)
    assert len(registry.matching(an_event("a:b"))) == 1


@pytest.mark.parametrize("pattern", ["", "a*", "*:failed", "a:*:b", "**", "a:**", "a:b*", "a:*b"])
def test_a_pattern_that_means_nothing_is_refused(registry: Registry, pattern: str) -> None:
    with pytest.raises(ConfigError, match="not a pattern"):
        registry.on(pattern)
    with pytest.raises(ConfigError, match="not a pattern"):
        registry.ignore("a:b", pattern)


def test_no_pattern_at_all_is_refused(registry: Registry) -> None:
    with pytest.raises(ConfigError, match="needs at least one event type"):
        registry.on()
    with pytest.raises(ConfigError, match="needs at least one event type"):
        registry.ignore()


def test_a_decorator_without_its_parentheses_is_refused_with_a_remedy(registry: Registry) -> None:
    bare: Any = registry.on
    with pytest.raises(ConfigError, match="not a pattern"):
        bare(handle)


def test_a_handler_for_one_source_does_not_want_the_others(registry: Registry) -> None:
    registry.on("*", source="github")(handle)
    assert registry.matching(an_event(source="github"))
    assert not registry.matching(an_event(source="truto"))


def test_handlers_come_in_the_order_of_registration_every_time(registry: Registry) -> None:
    registry.on("*")(handle_too)
    registry.on("*")(handle)
    orders = [[handler.function for handler in registry.matching(an_event())] for _ in range(3)]
    assert orders == [[handle_too, handle]] * 3


def test_a_name_can_be_taken_only_once(registry: Registry) -> None:
    registry.on("a:b")(handle)
    with pytest.raises(ConfigError, match="registered twice"):
        registry.on("a:c")(handle)
    assert len(registry) == 1


def test_registering_gives_the_function_back_unchanged(registry: Registry) -> None:
    assert registry.on("a:b")(handle) is handle


def test_a_handler_is_found_by_module_and_name(registry: Registry) -> None:
    registry.on("a:b", max_attempts=2, timeout=3, backoff=Backoff(1, 4))(handle)
    found = registry.get(f"{__name__}.handle")
    assert found is not None
    assert (found.max_attempts, found.timeout, found.backoff) == (2, 3, Backoff(1, 4))
    assert registry.get("handle") is None


def not_async(event: Event, ctx: Context) -> None: ...
async def generates(event: Event, ctx: Context) -> Any:
    yield


async def takes_one(event: Event) -> None: ...
async def takes_three(event: Event, ctx: Context, more: object) -> None: ...
async def takes_keywords(event: Event, *, ctx: Context) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (not_async, "async def"),
        (generates, "async def"),
        (print, "async def"),
        (functools.partial(takes_three, more=1), "async def"),
        (takes_one, "exactly two arguments"),
        (takes_three, "exactly two arguments"),
        (takes_keywords, "exactly two arguments"),
    ],
    ids=["plain", "generator", "builtin", "partial", "one", "three", "keyword-only"],
)
def test_what_cannot_handle_an_event_is_refused(registry: Registry, function: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        registry.on("a:b")(function)
    assert len(registry) == 0


async def takes_more_by_default(event: Event, ctx: Context, more: int = 1) -> None: ...


def test_further_arguments_with_defaults_do_no_harm(registry: Registry) -> None:
    registry.on("a:b")(takes_more_by_default)
    assert len(registry) == 1


@pytest.mark.parametrize(
    "options", [{"max_attempts": 0}, {"max_attempts": -1}, {"timeout": 0}, {"timeout": -0.5}], ids=str
)
def test_limits_that_allow_nothing_are_refused(registry: Registry, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        registry.on("a:b", **options)


def test_ignored_types_are_known_as_such(registry: Registry) -> None:
    registry.ignore("a:b", "c:*")
    assert registry.ignores(an_event("a:b"))
    assert registry.ignores(an_event("c:d"))
    assert not registry.ignores(an_event("a:c"))


def test_a_handler_is_stronger_than_ignore(registry: Registry) -> None:
    registry.ignore("a:b")
    registry.on("a:*")(handle)
    assert [handler.function for handler in registry.matching(an_event("a:b"))] == [handle]


def test_clearing_forgets_handlers_and_ignored_types(registry: Registry) -> None:
    registry.on("a:b")(handle)
    registry.ignore("a:c")
    registry.clear()
    assert len(registry) == 0
    assert not registry.ignores(an_event("a:c"))
    registry.on("a:b")(handle)


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("integrated_acount:active", "integrated_account:active"),
        ("sync_jobs_run:*", "sync_job_run:*"),
        ("record:create", "record:created"),
    ],
)
def test_a_pattern_that_is_nearly_an_event_of_truto_is_told(registry: Registry, pattern: str, meant: str) -> None:
    registry.on(pattern)(handle)
    assert [found[1:] for found in registry.misspelt()] == [(pattern, meant)]


@pytest.mark.parametrize("pattern", ["record:created", "record:*", "*", "booking:made", "record:archived"])
def test_a_pattern_of_its_own_is_no_misspelling(registry: Registry, pattern: str) -> None:
    registry.on(pattern)(handle)
    assert list(registry.misspelt()) == []


def test_the_names_of_other_senders_are_their_own(registry: Registry) -> None:
    registry.on("record:create", source="erp")(handle)
    assert list(registry.misspelt()) == []


def test_a_message_names_a_function_as_a_person_would(registry: Registry) -> None:
    def plain(event: object, ctx: object) -> None: ...

    with pytest.raises(ConfigError) as caught:
        registry.on("a:b")(plain)  # type: ignore[arg-type]  # that is what is refused
    assert "plain must be `async def" in str(caught.value)
    assert " at 0x" not in str(caught.value)
