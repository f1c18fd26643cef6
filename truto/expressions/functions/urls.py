"""``$parseUrl``, ``$parseQuery``, ``$stringifyQuery``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from qs_codec import Charset, DecodeOptions, Duplicates, EncodeOptions, Format, ListFormat
from qs_codec import decode as decode_query
from qs_codec import encode as encode_query

from truto import javascript
from truto.expressions.evaluator import current
from truto.expressions.native import options_of, refused, wrapped
from truto.expressions.values import UNDEFINED

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
_SAFE_PATH = "%/:@!$&'()*+,;=-._~|[]^"
_SAFE_QUERY = "%/:@!$&()*+,;=-._~?|[]^{}`\\"
_LIST_FORMATS = {
    "indices": ListFormat.INDICES,
    "brackets": ListFormat.BRACKETS,
    "repeat": ListFormat.REPEAT,
    "comma": ListFormat.COMMA,
}
_DUPLICATES = {"combine": Duplicates.COMBINE, "first": Duplicates.FIRST, "last": Duplicates.LAST}
_CHARSETS = {"utf-8": Charset.UTF8, "iso-8859-1": Charset.LATIN1}
_FORMATS = {"RFC1738": Format.RFC1738, "RFC3986": Format.RFC3986}
_READ_OPTIONS = {
    "ignoreQueryPrefix": False,
    "delimiter": "&",
    "depth": 5,
    "parameterLimit": 1000,
    "arrayLimit": 20,
    "allowDots": False,
    "comma": False,
    "strictMerge": True,
    "strictNullHandling": False,
    "parseArrays": True,
    "allowEmptyArrays": False,
    "allowPrototypes": False,  # these two change nothing here: every key is one like any other
    "plainObjects": False,
    "charset": "utf-8",
    "charsetSentinel": False,
    "duplicates": "combine",
    "decodeDotInKeys": False,
    "interpretNumericEntities": False,
    "strictDepth": False,
    "throwOnLimitExceeded": False,
}
_WRITE_OPTIONS = {
    "arrayFormat": None,
    "delimiter": "&",
    "addQueryPrefix": False,
    "allowDots": False,
    "encode": True,
    "encodeValuesOnly": False,
    "skipNulls": False,
    "strictNullHandling": False,
    "allowEmptyArrays": False,
    "commaRoundTrip": False,
    "charset": "utf-8",
    "charsetSentinel": False,
    "format": "RFC3986",
    "encodeDotInKeys": False,
    "filter": None,
    "indices": None,
}
_TRUTHY = frozenset({"allowDots", "strictDepth", "charset", "duplicates", "format"})
"""Options of ``qs`` that take any value; for most others, the default counts where the value is of another kind."""
_YES_OR_NO = frozenset(
    {"allowEmptyArrays", "decodeDotInKeys", "encodeDotInKeys", "commaRoundTrip", "throwOnLimitExceeded"}
)
"""Those that refuse what is not a boolean."""
_STRAY = re.compile("%(?![0-9a-fA-F]{2})")
_MAX_DEPTH = 20
# Measured: qs-codec is quadratic in the entries of one array, and needs 10 µs for each value it writes.
_MAX_ENTRIES = 1_000
_MAX_VALUES = 20_000
_MAX_TEXT = 100_000


def parse_url(text: Any) -> Any:
    """The parts of an absolute URL, and its query as ``searchParams``; anything else raises. As JSON it is its text."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as error:
        raise refused("the text is not an URL") from error
    special = parts.scheme in _DEFAULT_PORTS
    if not parts.scheme or (special and not parts.hostname) or " " in parts.netloc:
        raise refused("the text is not an absolute URL")
    hostname = parts.hostname or ""
    if ":" in hostname:
        hostname = f"[{hostname}]"
    shown_port = "" if port is None or port == _DEFAULT_PORTS.get(parts.scheme) else str(port)
    host = f"{hostname}:{shown_port}" if shown_port else hostname
    path = quote(parts.path, safe=_SAFE_PATH) or ("/" if special else "")
    search = f"?{quote(parts.query, safe=_SAFE_QUERY)}" if parts.query else ""
    fragment = f"#{quote(parts.fragment, safe=_SAFE_QUERY)}" if parts.fragment else ""
    user = f"{parts.username or ''}{':' + parts.password if parts.password else ''}"
    authority = f"//{user}{'@' if user else ''}{host}" if parts.netloc or special else ""
    href = f"{parts.scheme}:{authority}{path}{search}{fragment}"
    members = {
        "href": href,
        "origin": f"{parts.scheme}://{host}" if special else "null",
        "protocol": f"{parts.scheme}:",
        "username": parts.username or "",
        "password": parts.password or "",
        "host": host,
        "hostname": hostname,
        "port": shown_port,
        "pathname": path,
        "search": search,
        "hash": fragment,
        "searchParams": _search_params(parts.query),
    }
    return wrapped(members, {"toString": lambda: href, "toJSON": lambda: href}, native=href, to_json=lambda: href)


def _search_params(query: str) -> Any:
    pairs = parse_qsl(query, keep_blank_values=True)
    text = urlencode(pairs)
    methods: dict[str, Callable[..., Any]] = {
        "get": lambda name: next((value for key, value in pairs if key == name), None),
        "getAll": lambda name: [value for key, value in pairs if key == name],
        "has": lambda name: any(key == name for key, _ in pairs),
        "keys": lambda: [key for key, _ in pairs],
        "values": lambda: [value for _, value in pairs],
        "entries": lambda: [list(pair) for pair in pairs],
        "toString": lambda: text,
    }
    return wrapped({"size": len(pairs)}, methods, native=pairs, to_json=dict)


def parse_query(text: Any, options: Any = UNDEFINED) -> Any:
    """A query string as objects and arrays the way ``qs`` reads it: ``b[c]=2``, ``d[]=3``, repeated keys as arrays."""
    chosen = _query_options(options, _READ_OPTIONS)
    if text is UNDEFINED or text is None or text == "":
        return {}
    if len(text) > _MAX_TEXT:
        raise refused(f"the text is longer than {_MAX_TEXT} characters")
    if chosen["parameterLimit"] == 0:
        return {}
    return decode_query(
        text,
        DecodeOptions(
            ignore_query_prefix=bool(chosen["ignoreQueryPrefix"]),
            delimiter=chosen["delimiter"] or re.compile(""),
            depth=min(chosen["depth"], _MAX_DEPTH),
            parameter_limit=min(chosen["parameterLimit"], _MAX_ENTRIES),
            strict_merge=bool(chosen["strictMerge"]),
            decoder=_decoded,
            list_limit=min(chosen["arrayLimit"], _MAX_ENTRIES),
            allow_dots=bool(chosen["allowDots"] or chosen["decodeDotInKeys"]),
            decode_dot_in_keys=bool(chosen["decodeDotInKeys"]),
            comma=bool(chosen["comma"]),
            charset=_one_of(_CHARSETS, chosen["charset"], "charset"),
            interpret_numeric_entities=bool(chosen["interpretNumericEntities"]),
            strict_depth=bool(chosen["strictDepth"]),
            raise_on_limit_exceeded=bool(chosen["throwOnLimitExceeded"]),
            strict_null_handling=bool(chosen["strictNullHandling"]),
            parse_lists=bool(chosen["parseArrays"]),
            allow_empty_lists=bool(chosen["allowEmptyArrays"]),
            charset_sentinel=bool(chosen["charsetSentinel"]),
            duplicates=_one_of(_DUPLICATES, chosen["duplicates"], "duplicates"),
        ),
    )


def stringify_query(value: Any, options: Any = UNDEFINED) -> str:
    """Objects and arrays as a query string; arrays as ``a[0]=…`` unless ``arrayFormat`` says otherwise."""
    chosen = _query_options(options, _WRITE_OPTIONS)
    names = chosen["filter"]
    if not isinstance(names, list | None):
        raise refused("the option 'filter' is not an array of names")
    list_format = _one_of(_LIST_FORMATS, _array_format(chosen), "arrayFormat")
    charset = _one_of(_CHARSETS, chosen["charset"], "charset")
    layout = _one_of(_FORMATS, chosen["format"], "format")
    if not isinstance(value, list | dict):
        return ""
    if _count(value, 0) > _MAX_VALUES:
        raise refused(f"the value has more than {_MAX_VALUES} parts")
    return encode_query(
        _in_javascript(value, skips_nulls=bool(chosen["skipNulls"]), joins=list_format is ListFormat.COMMA),
        EncodeOptions(
            list_format=list_format,
            delimiter=chosen["delimiter"],
            add_query_prefix=bool(chosen["addQueryPrefix"]),
            allow_dots=bool(chosen["allowDots"] or chosen["encodeDotInKeys"]),
            encode_dot_in_keys=bool(chosen["encodeDotInKeys"]),
            charset=charset,
            filter=names and [name if isinstance(name, int) else javascript.text(name) for name in names],
            encode=bool(chosen["encode"]),
            encode_values_only=bool(chosen["encodeValuesOnly"]),
            skip_nulls=bool(chosen["skipNulls"]),
            strict_null_handling=bool(chosen["strictNullHandling"]),
            allow_empty_lists=bool(chosen["allowEmptyArrays"]),
            comma_round_trip=bool(chosen["commaRoundTrip"]),
            charset_sentinel=bool(chosen["charsetSentinel"]),
            format=layout,
        ),
    )


def _array_format(chosen: Mapping[str, Any]) -> Any:
    """What ``arrayFormat`` says, else the older option ``indices``."""
    if chosen["arrayFormat"] is not None or chosen["indices"] is None:
        return chosen["arrayFormat"] or "indices"
    return "indices" if chosen["indices"] else "repeat"


def _query_options(given: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    """The options over their defaults, which count where a value is of another kind, as for ``qs``."""
    chosen = options_of(given, known)
    for name, default in known.items():
        if default is None or name in _TRUTHY or type(chosen[name]) is type(default):
            continue
        if name in _YES_OR_NO and chosen[name] is not None:
            raise refused(f"the option {name!r} is not true or false")
        if not (isinstance(default, int) and isinstance(chosen[name], float) and not isinstance(default, bool)):
            chosen[name] = default if chosen[name] is not False or name != "depth" else 0
    return chosen


def _decoded(text: str | None, charset: Charset | None = Charset.UTF8) -> str | None:
    """*text* without percent signs and pluses; as it stands where its bytes are no UTF-8, as in JavaScript."""
    if text is None:
        return None
    spaced = text.replace("+", " ")
    if charset is Charset.LATIN1:
        return re.sub("%([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), spaced)
    try:
        return unquote(spaced, errors="strict") if _STRAY.search(spaced) is None else spaced
    except UnicodeDecodeError:
        return spaced


_Choice = TypeVar("_Choice")


def _one_of(known: Mapping[str, _Choice], value: Any, option: str) -> _Choice:
    if not isinstance(value, str) or value not in known:
        raise refused(f"the option {option!r} is none of {', '.join(known)}")
    return known[value]


def _count(value: Any, depth: int) -> int:
    # The whole path is written again for every leaf.
    if depth > _MAX_DEPTH:
        raise refused(f"the value is nested deeper than {_MAX_DEPTH} levels")
    current().meter.step()
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(_count(item, depth + 1) for item in items)


class _Empty(str):
    """An empty text that qs-codec does not leave out with the nulls, as qs does not either."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __ne__(self, other: object) -> bool:
        return True


def _in_javascript(value: Any, *, skips_nulls: bool, joins: bool, joined: bool = False) -> Any:
    """*value* with texts for its leaves; with *joins*, also for what is in an array, of which one text is made."""
    if isinstance(value, list | dict) and not joined:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        within = joins and isinstance(value, list)
        made = {key: _in_javascript(one, skips_nulls=skips_nulls, joins=joins, joined=within) for key, one in items}
        return made if isinstance(value, dict) else list(made.values())
    if value == "" and skips_nulls:
        return _Empty()
    return value if value is None or isinstance(value, str) else javascript.text(value)


FUNCTIONS = {"parseUrl": parse_url, "parseQuery": parse_query, "stringifyQuery": stringify_query}
