"""``truto-worker sources``: what the configured senders are, and why a delivery of theirs would be refused."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from cli.enrolment import SecretStanding, no_such_source
from cli.opening import read_enrolments, read_stored_secret, with_sources_store
from cli.printing import at, counted, print_json, printable
from cli.settings import DEFAULT_SOURCES, STORED
from events import ConfigError, Enrolment, Store
from ingress.errors import BadSources, CannotSign, Faults
from ingress.sources.drafting import draft
from ingress.sources.faults import SourceFault
from ingress.sources.layers import presets, read_preset
from ingress.sources.loading import load_sources, read_descriptions, read_entry, read_source
from ingress.sources.named_keys import fetch_certificate, fetch_key
from ingress.sources.reviewing import review
from ingress.sources.sampling import Sample, signed_sample
from ingress.sources.schema import Entry
from ingress.sources.source import Source
from ingress.verification.context import Delivery
from ingress.verification.explaining import Explanation, explain_delivery
from ingress.verification.pipeline import Walk, context_of

if TYPE_CHECKING:  # it brings httpx, which most commands never load
    from truto.jwks import JwksClient

TRUTO = "truto"


def check_sources(file: Path | None, *, as_json: bool) -> int:
    """Say whether the file can be used. Every fault is named, as JSON with exit code 2 or by a ``ConfigError``.

    1 where it can be loaded, but one of its sources would refuse whatever comes, or names what nothing can match.
    """
    path = _path(file)
    try:
        sources = load_sources(path, os.environ, public_url=_public_url())
    except BadSources as exc:
        if not as_json:
            raise ConfigError(str(exc)) from None
        print_json({"sources": [], "faults": str(exc).splitlines()})
        return 2
    faults = [f"{path}: {fault}" for _, source in sorted(sources.items()) for fault in faults_of(source, path)]
    if as_json:
        print_json({"sources": sorted(sources), "faults": faults})
    else:
        for fault in faults:
            print(fault)
        verdict = counted(len(faults), "fault") if faults else "no faults"
        print(f"{counted(len(sources), 'source')}, {verdict}: {', '.join(sorted(sources))}")
    return 1 if faults else 0


def faults_of(source: Source, path: Path) -> list[SourceFault]:
    """Why it would refuse whatever comes, and what of it nothing can match."""
    unprovable = [source.unprovable] if source.unprovable else []
    return [*unprovable, *review(read_configured(source.name, path), source)]


def list_sources(file: Path | None, *, as_json: bool) -> int:
    """Print what each source is, and where its secret comes from."""
    sources = [source for _, source in sorted(_sources(file).items())]
    asked = [source.name for source in sources if source.updates_context]
    found = read_enrolments(asked) if asked else None
    enrolments = dict(zip(asked, found, strict=True)) if found is not None else {}
    rows = [(_row(source), SecretStanding.of(source, enrolments.get(source.name))) for source in sources]
    if as_json:
        print_json([{**row, **standing.described()} for row, standing in rows])
        return 0
    for row, standing in rows:
        print(f"{row['name']:<20} {row['format']:<18} {standing}")
        for line in filter(None, (standing.window, row["about"])):
            print(f"    {printable(line, 96)}")
    return 0


def list_presets(*, as_json: bool) -> int:
    """Print the presets and what each is for."""
    described = {name: str(read_preset(name).get("description", "")).strip() for name in presets()}
    if as_json:
        print_json(described)
    else:
        for name, about in described.items():
            print(textwrap.fill(f"{name:<19} {printable(about, 400)}", 100, subsequent_indent=" " * 20))
    return 0


def _row(source: Source) -> dict[str, Any]:
    verifier = source.verifier
    return {
        "name": source.name,
        "format": type(verifier).__name__.removesuffix("Verifier").lower() if verifier else "expression",
        "expressions": source.evaluates,
        "tolerance_seconds": source.freshness.tolerance if source.freshness else None,
        "about": source.description.strip(),
    }


def try_source(name: str, file: Path | None, *, as_json: bool) -> int:
    """Sign a sample as the sender would, and forge some; 0 when the first is taken and the others are refused.

    A sample that cannot be signed has told nothing of the source: 1.
    """
    source = find_source(name, file)
    account = source.account(enrolment_of(source).context)
    now = time.time()
    found: dict[str, str] = {}
    wrong = False
    sample = Sample({"content-type": "application/json"})
    try:
        entry = read_configured(name, file)
        written = draft(entry, name=name, now=now, event_id="sample-1")
        sample = signed_sample(source, entry, account, now=now, draft=written)
    except CannotSign as exc:
        found["signed sample"] = f"not tested: {exc}"
        wrong = True
    else:
        told = explain_delivery(source, sample.delivery(), account, now=now)
        found["signed sample"] = told.reason
        wrong = told.reason != "accepted"
    bare = Sample({"content-type": sample.headers["content-type"]}).delivery()
    forged = {"without a signature": bare, "with another body": sample.delivery(body=sample.body + b" ")}
    if not _binds_the_body(source):
        del forged["with another body"]
    for what, delivery in forged.items():
        told = explain_delivery(source, delivery, account, now=now)
        found[what] = f"refused: {told.reason}" if not told.taken else told.reason
        wrong = wrong or told.taken
    if as_json:
        print_json({"source": name, "ok": not wrong, "tried": found})
    else:
        for what, told_of_it in found.items():
            print(f"{what:<20} {printable(told_of_it)}")
    return int(wrong)


def _binds_the_body(source: Source) -> bool:
    from ingress.verification.adyen import AdyenVerifier
    from ingress.verification.sns import SnsVerifier
    from ingress.verification.words import BasicVerifier, BearerVerifier

    binding_nothing = BasicVerifier | BearerVerifier | AdyenVerifier | SnsVerifier  # or fields of it, however spaced
    if source.verifier is None or isinstance(source.verifier, binding_nothing):
        return False
    from ingress.verification.tokens import TokenVerifier

    return not isinstance(source.verifier, TokenVerifier) or bool(source.verifier.rules.body_claim)


def explain(
    name: str,
    *,
    headers: Path,
    body: Path | None,
    file: Path | None,
    method: str,
    url: str,
    client: str | None,
    moment: float | None,
    as_json: bool,
) -> int:
    """Print why a delivery would be taken or refused; 0 when it would be taken."""
    source = find_source(name, file)
    path, _, query = (url or f"/webhooks/{name}").partition("?")
    delivery = Delivery(
        _headers(headers),
        _read(body) if body is not None else b"",
        method=method.upper(),
        path=path,
        query=query.encode(),
        client=client,
    )
    now = time.time() if moment is None else moment
    enrolment = enrolment_of(source)
    told = explain_delivery(
        source,
        delivery,
        source.account(enrolment.context),
        now=now,
        keys=_keys(source, delivery, now=now),
        enrolling=enrolment.open_until is not None,
    )
    if as_json:
        print_json({"source": name, "taken": told.taken, "reason": told.reason, "lines": told.lines})
    else:
        _tell(name, told)
    return 0 if told.taken else 1


def _tell(name: str, told: Explanation) -> None:
    print(f"{name}: {'taken' if told.taken else 'refused'} ({told.reason})")
    for line in told.lines:
        print(f"  {printable(line, 400)}")


def list_refusals(*, source: str | None, limit: int, as_json: bool) -> int:
    """Print the deliveries that were refused last."""

    async def work(store: Store) -> int:
        found = [refused for refused in await store.notes.refusals(500) if source in (None, refused.source)][:limit]
        if as_json:
            print_json([refused._asdict() for refused in found])
        for refused in () if as_json else found:
            detail = f"  {printable(refused.detail)}" if refused.detail else ""
            where = f"{at(refused.at)}  {refused.status}  {printable(refused.source):<16}"
            print(f"{where} {printable(refused.reason)}{detail}")
        if not found and not as_json:
            print("Nothing was refused.")
        return 0

    return with_sources_store(work)


# -- what the commands need --------------------------------------------------------------------------------------------


def sources_file(file: Path | None) -> Path | None:
    """The file that was named, or is named by the environment, or lies here."""
    named = file or (Path(os.environ["SOURCES_FILE"]) if os.environ.get("SOURCES_FILE") else None)
    return named or (DEFAULT_SOURCES if DEFAULT_SOURCES.is_file() else None)


def _path(file: Path | None) -> Path:
    path = sources_file(file)
    if path is None:
        raise ConfigError("no file of sources: name one, set SOURCES_FILE, or put a sources.yaml here")
    return path


def _public_url() -> str:
    from ingress.sources.address import read_public_url

    given = os.environ.get("PUBLIC_URL", "")
    try:
        return read_public_url(given) if given else ""
    except ValueError as exc:
        raise ConfigError(f"PUBLIC_URL: {exc}") from None


def configured_sources(file: Path | None) -> list[Source]:
    """The sources of the file. Raises ``ConfigError``."""
    return list(_sources(file).values())


def _sources(file: Path | None) -> dict[str, Source]:
    try:
        return load_sources(_path(file), os.environ, public_url=_public_url())
    except BadSources as exc:
        raise ConfigError(str(exc)) from None


def find_source(name: str, file: Path | None) -> Source:
    """The source *name*. Raises ``ConfigError``, with what was probably meant, when there is none."""
    secrets = _truto_secrets()
    if name == TRUTO and secrets:
        return read_source(name, {"preset": TRUTO, "secrets": secrets}, {})
    sources = _sources(file)
    if name not in sources:
        raise ConfigError(no_such_source(name, sources))
    return sources[name]


def read_configured(name: str, file: Path | None) -> Entry:
    """What the file says of the source *name*, which is in it. Raises ``ConfigError``."""
    secrets = _truto_secrets()
    if name == TRUTO and secrets:
        return read_entry(name, {"preset": TRUTO, "secrets": secrets}, {})
    try:
        return read_entry(name, read_descriptions(_path(file).read_text(encoding="utf-8"))[name], os.environ)
    except Faults as exc:
        raise ConfigError(str(exc)) from None


def _truto_secrets() -> list[str]:
    given = [part.strip() for part in os.environ.get("TRUTO_WEBHOOK_SECRET", "").split(",") if part.strip()]
    return [secret for one in given if (secret := read_stored_secret() if one == STORED else one)]


def enrolment_of(source: Source) -> Enrolment:
    """What the source's handshakes have left in Redis, where there are any and one is configured."""
    found = read_enrolments([source.name]) if source.handle is not None else None
    return found[0] if found else Enrolment({}, None, None)


def _keys(source: Source, delivery: Delivery, *, now: float) -> Mapping[str, Any]:
    """The keys that are fetched for *delivery*, as the ingress would fetch them."""
    if source.jwks is not None:
        return _fetched(source.jwks.url, partial(_fetch_key_set, url=source.jwks.url))
    if source.key_request is None and not source.certified:
        return {}
    name = Walk(source, context_of(source, delivery, source.account({})), now=now).key_name()
    if name is None:
        return {}
    request = source.key_request
    fetch = partial(fetch_certificate, url=name) if request is None else partial(fetch_key, request=request, kid=name)
    return _fetched(name if request is None else request.url, partial(_fetch_named, name=name, fetch=fetch))


async def _fetch_key_set(client: JwksClient, *, url: str) -> Mapping[str, Any]:
    from ingress.verification.tokens import key_set

    return key_set(await client.fetch(url))


async def _fetch_named(
    client: JwksClient, *, name: str, fetch: Callable[[JwksClient], Awaitable[Any]]
) -> Mapping[str, Any]:
    return {name: await fetch(client)}


def _fetched(url: str, fetch: Callable[[JwksClient], Awaitable[Mapping[str, Any]]]) -> Mapping[str, Any]:
    from truto import TrutoError
    from truto.jwks import JwksClient

    async def run() -> Mapping[str, Any]:
        client = JwksClient()
        try:
            return await fetch(client)
        finally:
            await client.aclose()

    try:
        return asyncio.run(run())
    except (TrutoError, ValueError) as exc:
        print(f"Without the keys of {url}: {exc}", file=sys.stderr)
        return {}


def _headers(path: Path) -> list[tuple[bytes, bytes]]:
    """Headers as JSON (an object), or as lines `Name: value`."""
    text = _read(path).decode("utf-8", "surrogateescape")
    if text.lstrip().startswith("{"):
        try:
            given = orjson.loads(text)
        except orjson.JSONDecodeError as exc:
            raise ConfigError(f"--headers {path}: not JSON: {exc}") from None
        pairs = [(str(name), str(value)) for name, value in given.items()]
    else:
        lines = [line.partition(":") for line in text.splitlines() if ":" in line]
        pairs = [(name, value) for name, _, value in lines]
        if text.strip() and not pairs:
            raise ConfigError(f"--headers {path}: no line is `Name: value`, and it is no JSON object")
    return [(n.strip().lower().encode(), v.strip().encode("utf-8", "surrogateescape")) for n, v in pairs]


def _read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror}") from None
