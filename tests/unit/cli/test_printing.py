"""How lengths of time, numbers and strangers' text look on a terminal."""

from __future__ import annotations

import pytest

from cli.printing import counted, lasting, printable


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.2, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h"), (200_000, "2 d")],
)
def test_a_length_of_time_has_the_one_unit_that_fits(seconds: float, shown: str) -> None:
    assert lasting(seconds) == shown


@pytest.mark.parametrize(("number", "shown"), [(0, "0 letters"), (1, "1 letter"), (2, "2 letters")])
def test_a_number_stands_with_its_noun(number: int, shown: str) -> None:
    assert counted(number, "letter") == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\nb", r"a\nb"), ("\x1b[31m", r"\x1b[31m"), ("\x9b", r"\x9b"), ("\u202e", r"\u202e"), ("grüße", "grüße")],
)
def test_what_a_terminal_would_obey_is_shown_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_is_cut() -> None:
    assert printable("x" * 300, 10) == "xxxxxxxxx…"
