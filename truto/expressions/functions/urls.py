"""``$parseUrl``, ``$parseQuery``, ``$stringifyQuery``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

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
    chosen = options_of(
        options,
        {
            "ignoreQueryPrefix": False,
            "delimiter": "&",
            "depth": 5,
            "parameterLimit": 1000,
            "arrayLimit": 20,
            "allowDots": False,
            "comma": False,
            "strictNullHandling": False,
            "parseArrays": True,
            "allowEmptyArrays": False,
            "charset": "utf-8",
            "charsetSentinel": False,
            "duplicates": "combine",
            "decodeDotInKeys": False,
            "interpretNumericEntities": False,
            "strictDepth": False,
            "throwOnLimitExceeded": False,
        },
    )
    if text is UNDEFINED or text is None or text == "":
        return {}
    if len(text) > _MAX_TEXT:
        raise refused(f"the text is longer than {_MAX_TEXT} characters")
    return decode_query(
        text,
        DecodeOptions(
            ignore_query_prefix=bool(chosen["ignoreQueryPrefix"]),
            delimiter=chosen["delimiter"],
            depth=min(chosen["depth"], _MAX_DEPTH),
            parameter_limit=min(chosen["parameterLimit"], _MAX_ENTRIES),
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
    chosen = options_of(
        options,
        {
            "arrayFormat": "indices",
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
        },
    )
    names = chosen["filter"]
    if not isinstance(names, list | None):
        raise refused("the option 'filter' is not an array of names")
    arrays = chosen["arrayFormat"] if chosen["indices"] is None else "indices" if chosen["indices"] else "repeat"
    if not isinstance(value, list | dict):
        return ""
    if _count(value, 0) > _MAX_VALUES:
        raise refused(f"the value has more than {_MAX_VALUES} parts")
    return encode_query(
        _in_javascript(value),
        EncodeOptions(
            list_format=_one_of(_LIST_FORMATS, arrays, "arrayFormat"),
            delimiter=chosen["delimiter"],
            add_query_prefix=bool(chosen["addQueryPrefix"]),
            allow_dots=bool(chosen["allowDots"] or chosen["encodeDotInKeys"]),
            encode_dot_in_keys=bool(chosen["encodeDotInKeys"]),
            charset=_one_of(_CHARSETS, chosen["charset"], "charset"),
            filter=names and [name if isinstance(name, int) else javascript.text(name) for name in names],
            encode=bool(chosen["encode"]),
            encode_values_only=bool(chosen["encodeValuesOnly"]),
            skip_nulls=bool(chosen["skipNulls"]),
            strict_null_handling=bool(chosen["strictNullHandling"]),
            allow_empty_lists=bool(chosen["allowEmptyArrays"]),
            comma_round_trip=bool(chosen["commaRoundTrip"]),
            charset_sentinel=bool(chosen["charsetSentinel"]),
            format=_one_of(_FORMATS, chosen["format"], "format"),
        ),
    )


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


def _in_javascript(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_javascript(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_in_javascript(item) for item in value]
    return value if value is None or isinstance(value, str) else javascript.text(value)


FUNCTIONS = {"parseUrl": parse_url, "parseQuery": parse_query, "stringifyQuery": stringify_query}
