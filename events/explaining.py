"""Say in one sentence why an event is where it is, and what comes next.

:func:`explain` and :func:`unknown` decide, and perform no I/O; :func:`explain_event` reads what they need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

from events.naming import PLATFORM_SOURCE
from events.queue import HANDLER_MISSING, NEEDS_REAUTH
from events.stories import HistoryEntry, Piece, Story

if TYPE_CHECKING:
    from events.all_shards import AllShards

_SUPERSEDED = "superseded by "
_CONDITION = "when: "
_IGNORED = "ignored"
_AWAITS = "waits for "
_CRASHES = "crash:"
_REFUSALS_TOLD = 3


class Verdict(NamedTuple):
    """Why an event, or a piece of it, is where it is.

    ``word`` is for programs. ``next`` says what happens by itself, and ``remedy`` is the command to act with; either
    may be empty.
    """

    word: str
    sentence: str
    next: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else decides: the number of workers that ask for work, how much is due, and Redis' time."""

    workers: int
    ready: int
    now: datetime


class Explanation(NamedTuple):
    """The verdict on an event, and, where it has several pieces, on each piece that is not over, by handler."""

    verdict: Verdict
    pieces: dict[str, Verdict]


def explain(story: Story, around: Surroundings) -> Explanation:
    """The verdict on an event that is known."""
    verdicts = {piece.handler or "": _of_piece(piece, story, around) for piece in story.pieces}
    if not story.pieces:
        return Explanation(_of_end(story), {})
    if len(verdicts) == 1:
        return Explanation(next(iter(verdicts.values())), {})
    parts = "; ".join(f"{handler}: {verdict.sentence}" for handler, verdict in sorted(verdicts.items()))
    return Explanation(Verdict("several_pieces", f"{len(verdicts)} of its handlers are not over. {parts}"), verdicts)


def unknown(
    source: str, event_id: str, *, was_handled: bool, elsewhere: Sequence[str], refused: Sequence[str]
) -> Verdict:
    """The verdict on an event of which there is no story.

    *was_handled* says that it is remembered as handled, *elsewhere* names sources or types that have this id, *refused*
    are the newest reasons for which deliveries of *source* were refused.
    """
    if elsewhere:
        return Verdict(
            "known_elsewhere",
            f"{event_id} is not known under {source} as asked, but as {', '.join(elsewhere)}.",
            remedy="ask again with --source and --type",
        )
    if was_handled:
        return Verdict("handled_long_ago", "It was handled; what happened is over for longer than HISTORY_TTL.")
    if refused:
        return Verdict(
            "perhaps_refused",
            f"It was never accepted. Deliveries of {source} were refused, the newest for {', '.join(refused)}.",
            remedy="truto-worker sources refusals",
        )
    return Verdict(
        "never_accepted",
        f"No delivery of {source} with this id was accepted, or it is over for longer than HISTORY_TTL and DEDUP_TTL.",
        "Truto's own events that never arrived are fetched by the workers (RECONCILE).",
        "truto-worker reconcile --dry-run",
    )


async def explain_event(
    shards: AllShards, source: str, event_id: str, event_type: str = ""
) -> tuple[Story | None, Explanation]:
    """What is known of an event, and the verdict on it; of one that is not known, why that may be."""
    story = await shards.story(source, event_id, event_type)
    view = await shards.overview()
    if story is not None:
        return story, explain(story, Surroundings(view.workers, view.ready, await shards.now()))
    elsewhere = [
        f"--source {other} --type {kind}" if kind else f"--source {other}"
        for other in sorted({*view.sources, source, PLATFORM_SOURCE})
        for kind in await shards.known_as(other, event_id)
    ]
    refusals = [one.reason for one in await shards.refusals() if one.source == source]
    verdict = unknown(
        source,
        event_id,
        was_handled=await shards.was_handled(source, event_id, event_type),
        elsewhere=elsewhere,
        refused=list(dict.fromkeys(refusals))[:_REFUSALS_TOLD],
    )
    return None, Explanation(verdict, {})


def _of_end(story: Story) -> Verdict:
    end = story.end
    if story.unreadable:
        return Verdict("unreadable", "What is stored of it cannot be read.")
    if end is None:
        return Verdict("over", "It is over; what happened was not recorded.")
    who, why = _who(end.detail), str(end.detail.get("why") or "")
    if end.what == "let_go":
        return Verdict(
            "dropped", f"It waited without a handler, and was dropped: {why} was reached.", remedy="truto-worker events"
        )
    if why == _IGNORED:
        return Verdict("ignored", "No handler wanted it: its type is registered as ignored.")
    if why.startswith(_SUPERSEDED):
        return Verdict("superseded", f"{who} skipped it: within the window of its key it was {why}.")
    if why.startswith(_CONDITION):
        return Verdict("condition_not_met", f"{who} did not want it: {why}.")
    if end.what == "discarded":
        told = f": {why}" if why else ""
        by = who if end.detail.get("handler") else "Someone"
        return Verdict("discarded", f"{by} discarded it{told}.")
    again = _count(story.history, "duplicate")
    twice = f" It was delivered {_times(again, 'more time')}, and ran once." if again else ""
    tried = _count(story.history, "retried")
    failed = f", after {_times(tried, 'failed attempt')}" if tried else ""
    word = "done_delivered_again" if again else "done_after_retries" if tried else "done"
    return Verdict(word, f"{who} has handled it{failed}.{twice}")


def _of_piece(piece: Piece, story: Story, around: Surroundings) -> Verdict:
    return _PLACES[piece.place](piece, story, around)


def _running(piece: Piece, story: Story, around: Surroundings) -> Verdict:
    del around
    claim = _last(story.history, ("claimed",), piece.handler)
    worker = claim.detail.get("worker", "a worker") if claim else "a worker"
    return Verdict(
        "running",
        f"{_handler(piece)} is running on {worker}.",
        f"Unless its lease is renewed, it runs again from {_clock(piece.moment)}.",
    )


def _held(piece: Piece, story: Story, around: Surroundings) -> Verdict:
    del story, around
    return Verdict(
        "key_busy",
        f"{_handler(piece)} waits until its key ({piece.lane}) is free: other events of it are before this one.",
        "It starts when they are over.",
    )


def _parked(piece: Piece, story: Story, around: Surroundings) -> Verdict:
    del around
    why = piece.note.get("why")
    remedy = f"truto-worker replay --parked {quote(piece.member)}"
    if why == NEEDS_REAUTH:
        account = piece.note.get("account_id")
        return Verdict(
            "needs_reauth",
            f"{_handler(piece)} cannot go on: account {account} needs to be connected again by its tenant.",
            "It runs when the account is connected again.",
            remedy,
        )
    if why == HANDLER_MISSING:
        return Verdict(
            "handler_missing",
            f"{piece.handler} began with it, and is not in the version of the code that runs now.",
            "It runs when a worker has this handler.",
            remedy,
        )
    kind = story.beginning.get("type", "this type")
    return Verdict(
        "no_handler", f"No handler is registered for {kind}.", "It runs when a worker has a handler for it.", remedy
    )


def _dead(piece: Piece, story: Story, around: Surroundings) -> Verdict:
    del story, around
    note, remedy = piece.note, f"truto-worker replay {quote(piece.member)}"
    error = str(note.get("error") or note.get("why") or "unknown")
    fingerprint = str(note.get("fingerprint") or "")
    if fingerprint.startswith(_CRASHES):
        return Verdict("crashes_worker", f"{_handler(piece)} was given up: {error}.", remedy=remedy)
    if note.get("why"):
        return Verdict("given_up_by_handler", f"{_handler(piece)} gave it up: {note['why']}.", remedy=remedy)
    if piece.handler is None:
        return Verdict("unreadable", f"It cannot be read: {error}.", remedy=remedy)
    attempts = _times(int(note.get("attempts", piece.attempts)), "attempt")
    return Verdict("attempts_used_up", f"{piece.handler} failed in all of its {attempts}: {error}.", remedy=remedy)


def _waiting(piece: Piece, story: Story, around: Surroundings) -> Verdict:
    if piece.moment > around.now:
        return _due_later(piece, story)
    if piece.crashes:
        return Verdict(
            "worker_lost",
            f"The worker that had it was lost ({_times(piece.crashes, 'time')}): killed, out of memory, or blocked.",
            "It runs again as soon as a worker takes it; after the third time it is given up.",
        )
    if not around.workers:
        return Verdict("no_worker", "It is due, and no worker asks for work.", "It runs when a worker is started.")
    before = max(0, around.ready - 1)
    again = _last(story.history, ("replayed", "unparked"), None)
    word, sentence = (
        "waiting_for_worker",
        f"It is due, with {before} others; {_times(around.workers, 'worker')} ask for work.",
    )
    if again is not None and story.history[-1] is again:
        word, sentence = again.what, f"It was {again.what}, and is due. {sentence}"
    return Verdict(word, sentence, "It runs when a slot is free.")


def _due_later(piece: Piece, story: Story) -> Verdict:
    when = f"It runs again at {_clock(piece.moment)}."
    last = _last(story.history, ("retried", "released", "held"), piece.handler)
    detail: Mapping[str, Any] = last.detail if last else {}
    why = str(detail.get("why") or "")
    who = _handler(piece)
    if last is None:
        return Verdict("due_later", f"It is due at {_clock(piece.moment)}.", when)
    if last.what == "retried":
        attempt = detail.get("attempt", piece.attempts)
        return Verdict("next_attempt", f"{who} failed in attempt {attempt}: {detail.get('error', 'unknown')}.", when)
    if why == "debounce":
        return Verdict(
            "debounce", f"{who} waits whether a later event with its key comes.", f"It runs at {_clock(piece.moment)}."
        )
    if why == "rate_limited":
        return Verdict("rate_limited", f"An API limits {who}; no attempt is used up.", when)
    if why.startswith(_AWAITS):
        return Verdict("awaits_event", f"{who} {why}.", f"It goes on when that comes, or at {_clock(piece.moment)}.")
    if piece.lane is not None and last.what == "held":
        return Verdict(
            "rate",
            f"{who} may start only so often for its key ({piece.lane}).",
            f"It starts at {_clock(piece.moment)}.",
        )
    return Verdict("postponed", f"{who} was put off: {why or 'no reason is known'}.", when)


_PLACES: dict[str, Callable[[Piece, Story, Surroundings], Verdict]] = {
    "running": _running,
    "waiting": _waiting,
    "held": _held,
    "parked": _parked,
    "dead": _dead,
}


def _last(history: Sequence[HistoryEntry], words: tuple[str, ...], handler: str | None) -> HistoryEntry | None:
    """The last entry with one of *words* that is about *handler*, or about all of them."""
    about = (None, handler)
    fitting = (
        e for e in reversed(history) if e.what in words and (handler is None or e.detail.get("handler") in about)
    )
    return next(fitting, None)


def _count(history: Sequence[HistoryEntry], word: str) -> int:
    return sum(entry.what == word for entry in history)


def _handler(piece: Piece) -> str:
    return piece.handler or "It"


def _who(detail: Mapping[str, Any]) -> str:
    return str(detail.get("handler") or "A worker")


def _times(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _clock(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")
