"""Whose an event's name is: those of Truto's families belong to Truto's own source. Performs no I/O."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from truto.catalogue import EVENT_FAMILIES

PLATFORM_SOURCE = "truto"
"""The source that is Truto's own by its very name; others are where their configuration says so."""

WORKFLOWS_SOURCE = "workflows"
"""The source of events that workflows emit."""

_ANY = "\ufffd"
"""Stands for a character outside ASCII: which letter it looks like is a matter of the font."""

_INVISIBLE = frozenset("\u115f\u1160\u2800")  # shown as nothing, though Unicode calls them letters and symbols
_UNSEEN = frozenset({"Cc", "Cf", "Me", "Mn", "Zl", "Zp", "Zs"})
_FAMILY = re.compile(
    "(?=[^:]*[a-z])(?:"
    + "|".join("".join(f"[{letter}{_ANY}]" for letter in family) for family in sorted(EVENT_FAMILIES))
    + f")[:{_ANY}].*"
)


def name_from(source: str, name: str) -> str:
    """What an event of *source*, which is not Truto's own, is called: ``<source>/<name>`` where *name* is Truto's.

    Other names stay as they are, and so does one that was made here before.
    """
    if not is_platform_name(name) or name.startswith(f"{source}/"):
        return name
    return f"{source}/{name}"


@lru_cache(maxsize=4096)
def is_platform_name(name: str) -> bool:
    """Whether *name* belongs to one of Truto's families, or could pass for such a name.

    It could by its case, by spaces and characters that are not seen, by letters that look alike, and behind a slash.
    """
    return any(_FAMILY.fullmatch(part) for part in _as_seen(name).split("/"))


def _as_seen(name: str) -> str:
    if name.isascii():
        return "".join(name.lower().split())
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    seen = (letter for letter in plain if letter not in _INVISIBLE and unicodedata.category(letter) not in _UNSEEN)
    return "".join(letter if letter.isascii() else _ANY for letter in seen)
