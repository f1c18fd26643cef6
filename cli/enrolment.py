"""``truto-worker sources enrol`` and ``forget``: let a handshake leave a secret, and undo what handshakes have left."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from cli.opening import with_sources_store
from cli.printing import at, counted, print_json, printable
from events import ConfigError, Enrolment, Store
from ingress.sources.source import SecretState, Source
from truto.faults import did_you_mean

MAX_WINDOW_SECONDS = 24 * 3600
"""How long a stranger may have to be first, at most."""

_LENGTH = re.compile(r"([0-9]{1,6})([smh])")
_UNITS = {"s": 1, "m": 60, "h": 3600}


def read_length(text: str) -> int:
    """The seconds in a length of time such as ``90s``, ``10m`` or ``2h``. Raises :class:`ValueError`."""
    found = _LENGTH.fullmatch(text.strip())
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 1 <= seconds <= MAX_WINDOW_SECONDS:
        raise ValueError("a length of time such as 90s, 10m or 2h: at least 1s, at most 24h")
    return seconds


def no_such_source(name: str, known: Collection[str]) -> str:
    """What to say of a source that is not there: what was probably meant, and what there is."""
    meant = did_you_mean(name, known) or ";"
    return f"there is no source {printable(name, 64)!r}{meant} There are {', '.join(sorted(known))}"


@dataclass(frozen=True, slots=True)
class SecretStanding:
    """Where a source's secret comes from, for people and programs; never the secret."""

    state: SecretState | Literal["unknown"]
    name: str
    secrets: int
    enrolment: Enrolment

    @classmethod
    def of(cls, source: Source, enrolment: Enrolment | None) -> SecretStanding:
        """That of *source*; ``None`` is for a source of which the store did not say anything."""
        known = enrolment or Enrolment({}, None, None)
        state: SecretState | Literal["unknown"] = source.secret_state(known.context)
        if state == "none" and enrolment is None:
            state = "unknown"
        return cls(state, source.name, len(source.account(known.context).secrets), known)

    def described(self) -> dict[str, Any]:
        """What programs get."""
        enrolment = self.enrolment
        return {
            "secrets": self.secrets,
            "secret": self.state,
            "enrolled_since": enrolment.since if self.state == "enrolled" else None,
            "enrolment_open_until": enrolment.open_until,
        }

    def __str__(self) -> str:
        """A few words for people."""
        since = self.enrolment.since
        match self.state:
            case "none":
                waiting = self.enrolment.open_until is not None
                return "waiting for enrolment" if waiting else f"no secret: truto-worker sources enrol {self.name}"
            case "unusable":
                return f"unusable secret: truto-worker sources enrol {self.name}"
            case "unknown":
                return "unknown: what handshakes have left is in REDIS_URL"
            case "enrolled":
                return f"enrolled since {at(since)}" if since else "enrolled by an earlier version"
            case "configured":
                return f"{counted(self.secrets, 'secret')} configured" if self.secrets else "keys configured"

    @property
    def window(self) -> str:
        """A line about the enrolment window; empty when none is open."""
        until = self.enrolment.open_until
        return f"enrolment window open until {at(until)}" if until else ""


def open_enrolment(source: Source, *, seconds: int, as_json: bool) -> int:
    """Let the next handshake of *source* leave a secret for *seconds*. Raises ``ConfigError`` if it leaves nothing."""
    if not source.updates_context:
        raise ConfigError(
            f"handshakes of {source.name} leave nothing: its handle_verification has no update_context; "
            "its secret comes from `secrets`, `context` or `environment_variables`"
        )

    async def work(store: Store) -> int:
        until = await store.notes.open_enrolment(source.name, seconds)
        (enrolment,) = await store.notes.enrolments([source.name])
        if as_json:
            print_json({"source": source.name, "open_until": until, "enrolled_since": enrolment.since})
        else:
            _tell_window(source, until, replaces=source.secret_state(enrolment.context) == "enrolled")
        return 0

    return with_sources_store(work)


def _tell_window(source: Source, until: datetime, *, replaces: bool) -> None:
    print(f"{source.name}: enrolment is open until {at(until)}.")
    print("The first usable secret that a handshake brings is kept, and closes it.")
    if replaces:
        print("The secret that is there stays valid until then.")
    print(f"Now let the sender shake hands with /webhooks/{source.name}: create its webhook there (again).")
    print("Whether its secret has come: truto-worker sources list")


def forget_source(
    name: str, sources: Collection[Source], *, confirm: Callable[[str], bool] | None, as_json: bool
) -> int:
    """Remove what handshakes of *name* have left; *confirm* is asked before, and 1 is the answer when it says no.

    A source that is no longer configured can be forgotten too, as long as it has left something.
    """
    by_name = {source.name: source for source in sources}

    async def work(store: Store) -> int:
        (enrolment,) = await store.notes.enrolments([name])
        if name not in by_name and not enrolment.context:
            raise ConfigError(no_such_source(name, by_name))
        if confirm is not None and not confirm(_question(name, sorted(enrolment.context))):
            print("Nothing was changed.", file=sys.stderr)
            return 1
        gone = await store.notes.forget_source(name)
        if as_json:
            print_json({"source": name, "forgotten": gone})
        else:
            _tell_forgotten(name, gone, by_name.get(name))
        return 0

    return with_sources_store(work)


def _question(name: str, left: list[str]) -> str:
    what = printable(", ".join(left)) or "nothing"
    return f"Handshakes of {name} have left: {what}.\nWhat is signed with it will be refused. Forget it?"


def _tell_forgotten(name: str, gone: list[str], source: Source | None) -> None:
    print(f"Removed what handshakes of {name} had left: {printable(', '.join(gone)) or 'nothing'}.")
    if source is None or source.secret_state({}) == "configured":
        return
    print("Its deliveries are refused with 401 within a second, until a new secret is enrolled:")
    print(f"  1. truto-worker sources enrol {name} --for 10m")
    print("  2. delete the webhook at the sender, and create it again, so that it shakes hands anew")
