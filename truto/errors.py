"""Everything this package raises on purpose, in one tree.

::

    TrutoError
    ├── SignatureError          a delivery is not authentic: refuse it
    ├── TransportError          no usable answer came back: try again later
    │   └── CallTimeout         … within the time the caller allowed
    ├── AddressRefused          a host leads into our own network, and nobody allowed it
    ├── ProtocolError           the answer is not what Truto documents: do not retry blindly
    ├── McpError                an MCP server of Truto answered with a JSON-RPC error
    ├── ExpressionError         an expression is wrong, exceeded a limit, or gave what is no JSON
    ├── PlaceholderError        a template is wrong, or a field that must have a value has none
    │   └── UnusableValue       … or one that has more than one text
    ├── NotADocument            a text is not YAML
    ├── BadDefinition           a definition cannot be used
    │   ├── BadWorkflow         … of a workflow
    │   └── BadIntegration      … of an integration
    ├── IntegrationFailed       a request of an integration cannot be made, or its answer cannot be read
    │   └── RequestRefused      … because it would not be safe: nothing was sent
    ├── WorkflowFailed          a run cannot go on, and would fail again in the same way
    │   └── EvaluationFailed    … because of an expression
    └── ApiError                Truto answered with its error envelope
        ├── BadRequest          400, 405, 409, 422: fix the request
        ├── Unauthorized        401: our own token is wrong
        ├── NeedsReauth         401 from the provider: the account must be reconnected
        ├── Forbidden           403: out of the token's reach, or OAuth scopes are missing
        ├── NotFound            404
        ├── RateLimited         429: wait ``retry_after`` seconds
        ├── AccountBlocked      503 without the remote flag: the account is blocked
        └── ServerError         500, 502, 504, any 5xx of a provider, 408, 425: try again later

Source of the statuses: Truto's error documents (docs: errors; skill: error-and-evidence-model); 408 and 425 are in
neither, but the official TypeScript SDK repeats them (sdk: ts).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from truto.faults import DefinitionFault


class TrutoError(Exception):
    """Base of everything raised here on purpose; catching it never hides a bug."""


class SignatureError(TrutoError):
    """The delivery is not authentic. ``reason`` is one stable word for logs and metrics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TransportError(TrutoError):
    """No usable answer came back from Truto.

    ``sent`` is false only when the request cannot have left this machine. Otherwise Truto may have acted on it all the
    same: look before repeating it.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class CallTimeout(TransportError):
    """Truto did not answer within the time the caller allowed."""


class AddressRefused(TrutoError):
    """The host has an address that is neither public nor allowed; nothing was sent."""


class ProtocolError(TrutoError):
    """The answer is not what Truto documents, for example not JSON, or too large."""


class McpError(TrutoError):
    """An MCP server of Truto answered with a JSON-RPC error; ``code`` is the protocol's, ``message`` the server's."""

    def __init__(self, code: int | None, message: str) -> None:
        super().__init__(f"the MCP server answered {code}: {message}")
        self.code = code
        self.message = message


class ExpressionError(TrutoError):
    """An expression is wrong, exceeded a limit, or gave something that is not JSON.

    ``code`` is JSONata's own error code (``S0201``, ``T2001`` …), or one stable word of ours: ``limit_time``,
    ``limit_depth``, ``limit_size``, ``limit_source``, ``function``, ``regex``, ``syntax``, ``input``, ``result``,
    ``internal``. ``position`` counts characters of the source from 0 and is ``None`` where none is known. Values of the
    scope are in neither; what an author writes into ``$error()`` and ``$assert()`` is.
    """

    def __init__(self, message: str, *, code: str, position: int | None = None) -> None:
        super().__init__(message if position is None else f"{message} (at character {position})")
        self.code = code
        self.position = position


class PlaceholderError(TrutoError):
    """A template is wrong, or a field that must have a value has none.

    ``placeholder`` is the text between the braces and ``path`` the place inside the template (``a.0.b``); values of
    the context are in neither, nor in the message.
    """

    def __init__(self, message: str, *, placeholder: str = "", path: str = "") -> None:
        at = f" at {path}" if path else ""
        super().__init__(f"{message}{at}")
        self.placeholder = placeholder
        self.path = path


class UnusableValue(PlaceholderError):
    """A field that decides about trust has a value, but not one that has exactly one text."""


class NotADocument(TrutoError):
    """The text is not YAML, or holds something twice; the message names the line."""


class BadDefinition(TrutoError):
    """A definition cannot be used. The message has a line for each of the ``faults``."""

    def __init__(self, faults: Iterable[DefinitionFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


class BadWorkflow(BadDefinition):
    """The definition of a workflow cannot be used."""


class BadIntegration(BadDefinition):
    """The definition of an integration cannot be used, or lacks what was asked of it."""


class IntegrationFailed(TrutoError):
    """A request of an integration cannot be made, or its answer cannot be read. ``at`` is the place in the definition.

    Values of the account's context are in neither.
    """

    def __init__(self, message: str, *, at: str = "") -> None:
        super().__init__(f"{at}: {message}" if at else message)
        self.at = at


class RequestRefused(IntegrationFailed):
    """The request would leave the hosts of the definition, or say more than it should: nothing was sent."""


class WorkflowFailed(TrutoError):
    """A run cannot continue, and would fail again in the same way. ``at`` is the place (``config.steps.0.config``)."""

    def __init__(self, message: str, *, at: str = "") -> None:
        super().__init__(f"{at}: {message}" if at else message)
        self.at = at


class EvaluationFailed(WorkflowFailed):
    """An expression failed or gave what its place cannot use; ``entry`` is its trace.

    ``needs_more`` says that it crossed a limit, so that it may succeed with larger ones.
    """

    def __init__(self, message: str, *, at: str, entry: Mapping[str, Any], code: str = "") -> None:
        super().__init__(message, at=at)
        self.entry: dict[str, Any] = {**entry, "error": message}
        self.needs_more = code == "input" or code.startswith("limit_")


class ApiError(TrutoError):
    """Truto answered with an error.

    ``message`` is Truto's own text; the request's token and body are never part of it. ``remote`` says that the
    provider behind the account failed, not Truto. ``retryable`` says whether the same request may succeed later.
    ``integrated_account_id`` is the account that the request named, in its query or its body.
    """

    retryable = False

    def __init__(
        self,
        *,
        status: int,
        message: str,
        method: str,
        path: str,
        remote: bool = False,
        retry_after: float | None = None,
        body: Mapping[str, Any] | None = None,
        integrated_account_id: str | None = None,
    ) -> None:
        super().__init__(f"{method} {path}: {status} {message}")
        self.status = status
        self.message = message
        self.method = method
        self.path = path
        self.remote = remote
        self.retry_after = retry_after
        self.body: Mapping[str, Any] = body or {}
        self.integrated_account_id = integrated_account_id

    @property
    def failures(self) -> list[str]:
        """What ``details`` says is wrong, a line each: the field, where one is named, and the reason."""
        details = self.body.get("details")
        found = details.get("failures") if isinstance(details, Mapping) else None
        rest = [details] if details and not found else []
        return [_failure(each) for each in (found if isinstance(found, list) else rest)]

    @property
    def insight(self) -> Mapping[str, Any]:
        """What ``truto_error_insight`` says about the cause; empty where Truto gave none."""
        found = self.body.get("truto_error_insight")
        return found if isinstance(found, Mapping) else {}


def _failure(given: object) -> str:
    """One entry of ``details``, whose inside is in no source: as field and reason where it has both, else as JSON."""
    if isinstance(given, Mapping):
        path = next((given[name] for name in ("path", "field", "key") if given.get(name)), None)
        reason = next((given[name] for name in ("message", "reason", "error") if given.get(name)), None)
        if path is not None and reason is not None:
            where = ".".join(map(str, path)) if isinstance(path, list) else path
            return f"{where}: {reason}"
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False, default=str)


class BadRequest(ApiError):
    """400, 405, 409 or 422: the request itself has to change."""


class Unauthorized(ApiError):
    """401: Truto does not accept our own token. Check ``TRUTO_API_TOKEN``."""


class NeedsReauth(ApiError):
    """401 from the provider: every call fails until the tenant reconnects ``integrated_account_id``.

    Truto sets such an account to ``needs_reauth`` and sends ``integrated_account:authentication_error`` (docs: errors).
    """


class Forbidden(ApiError):
    """403: out of this token's reach, or the account lacks OAuth scopes (see ``insight``)."""


class NotFound(ApiError):
    """404: no such resource in this environment."""


class RateLimited(ApiError):
    """429: wait ``retry_after`` seconds (Truto's own limits answer 10)."""

    retryable = True


class AccountBlocked(ApiError):
    """503 without the remote flag: Truto blocks this account; waiting does not help."""


class ServerError(ApiError):
    """500, 502, 504, any 5xx of the provider, 408 or 425: the same request may succeed later."""

    retryable = True


def error_for(status: int, *, remote: bool) -> type[ApiError]:
    """The class for an answer; the decision table of Truto's error-and-evidence document."""
    match status:
        case 401:
            return NeedsReauth if remote else Unauthorized
        case 403:
            return Forbidden
        case 404:
            return NotFound
        case 429:
            return RateLimited
        case 503 if not remote:
            return AccountBlocked
        case _ if status >= 500 or status in (408, 425):
            return ServerError
        case _:
            return BadRequest
