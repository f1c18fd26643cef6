"""What is known of a source while it is compiled: its description, its faults, and what its proof reads."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from ingress.sources.coverage import named_in
from ingress.sources.faults import SourceFault
from ingress.sources.schema import Entry
from ingress.sources.source import Step
from ingress.verification.context import URLS
from ingress.verification.references import compile_reference
from truto.errors import PlaceholderError, SignatureError
from truto.placeholders import Template, compile_template

if TYPE_CHECKING:  # it brings JSONata, which sources without expressions never load
    from ingress.verification.expressions import Step as CompiledStep

CONFIG = ("webhook", "signature_verification", "config")
"""Where a source says how its sender signs."""

STEPS: dict[str, tuple[Step, ...]] = {
    "truto": ("transform", "handshake", "signature"),
    "transform_last": ("handshake", "signature", "transform"),
    "handshake_last": ("transform", "signature", "handshake"),
    "signature_first": ("signature", "handshake", "transform"),
}
"""The order of the steps, by ``options.order``."""

_WHOLE = frozenset({".", "body", "headers", "query", "context", "environment_variables", "env", "signature_fields"})
GIVEN = frozenset({"raw_body", "webhook_type", "method", *URLS, "path", *_WHOLE})
"""What is there of every delivery, and no transform has made."""

REPLACES = re.compile(r"['\"](raw_body|headers)['\"]\s*:")
"""What a transform writes that replaces what is signed."""

_FIXED = {"method": "POST", "path": "/", "webhook_type": "payload"}
"""What is the same for all deliveries that bring an event."""

Value = TypeVar("Value")


class Description:
    """One source of ``sources.yaml`` while it is compiled. What is wrong with it is collected in ``faults``.

    ``signed`` are the templates of what is signed, ``presented`` that of the proof; all that the proof reads is in
    ``proving``, and in ``proving_paths`` where an expression reads it.
    """

    def __init__(self, name: str, entry: Entry) -> None:
        self.name = name
        self.entry = entry
        self.options = entry.options
        self.faults: list[SourceFault] = []
        self.signed: list[Template] = []
        self.proving: list[Template] = []
        self.proving_paths: set[tuple[str, ...]] = set()
        self.presented: Template | None = None

    def fault(self, path: tuple[str, ...], reason: str) -> None:
        """Note that what stands at *path* is wrong."""
        self.faults.append(SourceFault((self.name, *path), reason))

    def attempt(self, make: Callable[[], Value], default: Value, *path: str) -> Value:
        """What *make* gives; where that fails, *default*, and a fault at *path*."""
        try:
            return make()
        except (ValueError, SignatureError) as exc:
            full = path if path[0] == "secrets" else (*CONFIG, *path)
            self.fault(full, str(exc))
            return default

    def template(self, path: tuple[str, ...], text: str) -> Template:
        """The template that *text* is, which stands at *path*; an empty one, and a fault, where it is none."""
        if not text:
            self.fault(path, "is empty")
        try:
            template = compile_reference(text)
        except PlaceholderError as exc:
            self.fault(path, str(exc))
            return compile_template("")
        for whole in _WHOLE & {name for names in template.alternatives for name in names}:
            remedy = (
                "`raw_body` is the body as it came, `body.NAME` a field of it" if whole == "body" else "name a field"
            )
            self.fault(path, f"`{whole}` is a whole object, which has no text of its own; {remedy}")
        return template

    def is_constant(self, template: Template) -> bool:
        """Whether *template* has a value even where a delivery brings nothing."""
        known = {"context": self.entry.context, "environment_variables": self.entry.environment_variables}
        try:
            template.render_text_or_fail({**known, "env": known["environment_variables"], **_FIXED})
        except PlaceholderError:
            return False
        return True

    def expression(self, field: str, source: str | None) -> CompiledStep | None:
        """The compiled expression of a *field* of ``webhook``; ``None`` where there is none, or a fault."""
        if not source:
            return None
        from ingress.verification.expressions import Step

        try:
            step = Step(source)
        except ValueError as exc:
            self.fault(("webhook", field), str(exc))
            return None
        proves = self.options.verified_by_expression
        if self._makes_what_is_signed(source) if field == "payload_transform" else proves:
            self.proving_paths |= step.paths()
        return step

    def _makes_what_is_signed(self, transform: str) -> bool:
        if STEPS[self.options.order][0] != "transform":
            return False
        made = {path[0] for path in self.paths_in_templates()}
        return not made <= GIVEN or REPLACES.search(transform) is not None

    def paths_of_the_proof(self) -> set[tuple[str, ...]]:
        """What of a delivery is read before its sender is proven, and for that."""
        return self.proving_paths | self.paths_in_templates()

    def paths_in_templates(self) -> set[tuple[str, ...]]:
        """What of a delivery the templates of the proof read."""
        return {tuple(path.split(".")) for names in named_in(self.proving) for path in names}

    @property
    def presents_what_is_made(self) -> bool:
        """Whether the proof is in a field that a transform makes."""
        named = named_in([self.presented] if self.presented else [])
        return not {path.partition(".")[0] for names in named for path in names} <= GIVEN

    @property
    def updates_context(self) -> bool:
        """Whether a handshake may leave something in the context."""
        return "update_context" in (self.entry.webhook.handle_verification or "")


def wrong_address(url: str) -> str:
    """Why nothing is fetched from *url*; empty where it may be."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")):
        return "must begin with https://"
    return "must hold no credentials" if parts.username or parts.password else ""
