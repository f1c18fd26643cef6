"""Names of Truto's families belong to Truto's own source, however another one spells them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.naming import is_platform_name, name_from
from truto.catalogue import EVENT_FAMILIES, EVENT_TYPES

_LOOK_ALIKES = str.maketrans(
    "aceopxyij", "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0458"
)  # Cyrillic letters that look like the Latin ones
_SOURCES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,63}", fullmatch=True)
_ACTIONS = st.text(st.characters(categories=("L", "N", "P", "Z"), exclude_characters="/"), max_size=20)


@st.composite
def _disguised(draw: st.DrawFn) -> str:
    """A name of Truto's as somebody would write it who hopes that it passes."""
    name = f"{draw(st.sampled_from(sorted(EVENT_FAMILIES)))}:{draw(_ACTIONS)}"
    family, colon, action = name.partition(":")
    if draw(st.booleans()):
        family = "".join(draw(st.sampled_from([letter, letter.upper()])) for letter in family)
    position = draw(st.integers(0, len(family)))
    unseen = draw(st.sampled_from(["", " ", "\u00a0", "\u200b", "\u2060", "\u0301", "\u00ad", "\u3164"]))
    family = family[:position] + unseen + family[position:]
    if draw(st.booleans()):
        at = draw(st.integers(0, len(family) - 1))
        family = family[:at] + family[at].translate(_LOOK_ALIKES) + family[at + 1 :]
    if draw(st.booleans()):  # full-width
        family = "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in family)
    colon = draw(st.sampled_from([":", " :", "\uff1a", "\u2236", "\u02d0"]))
    return draw(st.sampled_from(["", " ", "truto/", "github/", "a/b/", "/"])) + family + colon + action


@given(source=_SOURCES, name=_disguised())
def test_no_disguise_gives_another_source_a_name_of_trutos(source: str, name: str) -> None:
    given_name = name_from(source, name)
    assert given_name.startswith(f"{source}/")
    assert given_name.partition(":")[0] not in EVENT_FAMILIES


@given(source=_SOURCES, name=_disguised())
def test_a_name_that_was_put_under_its_source_stays_what_it_is(source: str, name: str) -> None:
    once = name_from(source, name)
    assert name_from(source, once) == once


@given(mine=_SOURCES, other=_SOURCES, name=st.sampled_from(sorted(EVENT_TYPES)))
def test_no_source_can_bear_the_names_that_are_put_under_another_one(mine: str, other: str, name: str) -> None:
    """Not by writing the other's name before it, nor by a name of its own that runs into it."""
    if mine != other:
        assert name_from(mine, f"{other}/{name}") != name_from(other, name)


@given(st.text(max_size=300))
def test_every_text_can_be_looked_at(name: str) -> None:
    assert name_from("s", name) in (name, f"s/{name}")


@pytest.mark.parametrize(
    "name",
    [
        "push", "ping", "record", "records:created", "sync:done", "issue.created", "customer.subscription.deleted",
        "order:paid", "test", "repo/push", "my_record:created", "Заказы:created", "订单:record", "a:record:created",
        "integrated_account", "",
    ],
)  # fmt: skip
def test_other_names_stay_as_the_sender_wrote_them(name: str) -> None:
    assert not is_platform_name(name)
    assert name_from("shop", name) == name


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_every_name_of_the_catalogue_is_trutos(name: str) -> None:
    assert is_platform_name(name)
    assert is_platform_name(unicodedata.normalize("NFKD", name).upper())


def test_names_that_truto_adds_to_a_family_are_trutos_too() -> None:
    assert is_platform_name("integrated_account:connected")
