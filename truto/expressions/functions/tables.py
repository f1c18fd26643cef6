"""Rows: ``$jsonToCsv``, ``$zipSqlResponse``, ``$convertQueryToSql``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from truto import javascript
from truto.expressions.evaluator import current
from truto.expressions.functions.collections import map_values
from truto.expressions.functions.datetimes import iso_to_format
from truto.expressions.functions.iteratees import is_true
from truto.expressions.native import options_of, refused
from truto.expressions.text_form import stringify
from truto.expressions.values import UNDEFINED

_OPERATORS = {
    "eq": "=",
    "ne": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "in": "in",
    "nin": "not in",
    "like": "like",
}
_SQL_OPTIONS = {
    "useOrForIn": False,
    "conjunction": "AND",
    "useDoubleQuotes": False,
    "noSpaceBetweenOperator": False,
    "noQuotes": False,
    "noQuotesForDate": False,
    "groupComparisonInBrackets": False,
    "escapeSingleQuotes": False,
}


def json_to_csv(rows: Any = UNDEFINED, options: Any = UNDEFINED) -> str:
    """CSV with every text in quotes and a header of all keys; nothing to write gives ``""`` (lib).

    Options: ``delimiter``, ``header``, ``fields`` (names, or ``{label, value, default}``), ``eol``, ``defaultValue``,
    ``includeEmptyRows``, ``withBOM``.
    """
    chosen = options_of(options, _CSV_OPTIONS)
    items = [_row(row) for row in (rows if isinstance(rows, list) else [rows]) if is_true(row)]
    if not items:
        return ""
    if not isinstance(chosen["fields"], list | None):
        raise refused("the option 'fields' is not an array")
    fields = chosen["fields"] if chosen["fields"] is not None else dict.fromkeys(key for row in items for key in row)
    columns = [_column(field, chosen["defaultValue"]) for field in fields]
    lines = [[_cell(label) for label, _, _ in columns]] if chosen["header"] is not False else []
    cells = ([_cell(javascript.get_path(row, path, default)) for _, path, default in columns] for row in items)
    lines += (line for line in cells if any(line) or chosen["includeEmptyRows"])
    written = [str(chosen["delimiter"] or ",").join(line) for line in lines]
    return ("\ufeff" if chosen["withBOM"] else "") + str(chosen["eol"] or "\n").join(filter(None, written))


_CSV_OPTIONS = {
    "delimiter": ",",
    "header": True,
    "fields": None,
    "eol": "\n",
    "defaultValue": UNDEFINED,
    "includeEmptyRows": False,
    "withBOM": False,
}


def _row(value: Any) -> Mapping[str, Any]:
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value)}
    if not isinstance(value, Mapping):
        raise refused("a row is not an object")
    return value


def _column(field: Any, default: Any) -> tuple[str, str, Any]:
    if isinstance(field, str):
        return field, field, default
    if isinstance(field, Mapping) and isinstance(path := field.get("value"), str):
        return javascript.text(field.get("label") or path), path, field.get("default", default)
    raise refused("a field is neither a name nor an object with the text 'value'")


def _cell(value: Any) -> str:
    current().meter.step()
    if value is UNDEFINED or value is None:
        return ""
    if isinstance(value, list | Mapping):
        value = stringify(value, current().meter)
    return '"' + value.replace('"', '""') + '"' if isinstance(value, str) else javascript.text(value)


def zip_sql_response(columns: Any, rows: Any, key: Any = UNDEFINED) -> list[dict[str, Any]]:
    """Rows as objects, named by ``columns[key]``; a row that is too short has no such members."""
    names = [javascript.text(column[key]) for column in columns]
    return [dict(zip(names, row, strict=False)) for row in rows]


def convert_query_to_sql(
    query: Any,
    keys: Any = None,
    mapping: Any = None,
    data_types: Any = None,
    operators: Any = None,
    options: Any = None,
) -> str:
    """The conditions of a ``WHERE`` clause as Truto's mappings write it; quoting is theirs, and no safeguard (lib)."""
    chosen = options_of(options, _SQL_OPTIONS)
    maps = [each if isinstance(each, Mapping) else {} for each in (mapping, data_types, operators)]
    names = keys if isinstance(keys, list) and keys else list(query)
    statements: list[str] = []
    for name in names:
        if name == "or":
            inner = convert_query_to_sql(query["or"], None, mapping, data_types, operators, options)
            statements.append(f"({inner})")
        elif name in query:
            statements += _conditions(name, query[name], maps, chosen)
    conjunction = f" {chosen['conjunction']} "
    if not chosen["groupComparisonInBrackets"] or len(statements) < 2:
        return conjunction.join(statements)
    grouped = statements[0]
    for statement in statements[1:]:
        current().meter.make_text(len(grouped))
        grouped = f"({grouped}{conjunction}{statement})"
    return grouped


def _conditions(name: str, wanted: Any, maps: list[Mapping[str, Any]], options: Mapping[str, Any]) -> list[str]:
    mapping, data_types, operators = maps
    if isinstance(wanted, list):
        wanted = {"in": wanted}
    elif not isinstance(wanted, Mapping):
        wanted = {"eq": wanted}
    column = mapping.get(name) or name
    found = []
    for operator, value in wanted.items():
        sign = operators.get(operator) or _OPERATORS.get(operator)
        if sign is None:
            raise refused("the operator is not known")
        if operator in ("in", "nin"):
            literals = [_literal(item, data_types.get(name), options) for item in value]
            equal = operators.get("eq") or "="
            found.append(_among(column, sign, equal, literals, options))
        elif (literal := _literal(value, data_types.get(name), options)) is not None:
            found.append(_comparison(column, sign, literal, options))
    return found


def _among(column: str, sign: str, equal: str, literals: list[Any], options: Mapping[str, Any]) -> str:
    if options["useOrForIn"]:
        each = [_comparison(column, equal, literal, options) for literal in literals if literal is not None]
        return f"({' OR '.join(each)})"
    return _comparison(column, sign, f"({','.join(literal or '' for literal in literals)})", options)


def _comparison(column: str, sign: str, literal: str, options: Mapping[str, Any]) -> str:
    return ("" if options["noSpaceBetweenOperator"] else " ").join((column, sign, literal))


def _literal(value: Any, kind: Any, options: Mapping[str, Any]) -> str | None:
    """A value as SQL text; quoted only when its data type says so."""
    if value is None:
        return None
    text = javascript.text(value)
    if kind == "string":
        escape = options["escapeSingleQuotes"] and not options["useDoubleQuotes"] and not options["noQuotes"]
        return _quoted(text.replace("'", "\\'") if escape else text, options)
    if isinstance(kind, Mapping):
        mapped = map_values(value, kind)
        return _quoted(mapped, options) if isinstance(mapped, str) else javascript.text(mapped)
    if kind == "dotnetdate":
        return f"DateTime({iso_to_format(text, 'yyyy,MM,dd')})"
    if isinstance(kind, str) and kind.startswith("date"):
        written = iso_to_format(text, kind.partition("|")[2])
        return written if options["noQuotesForDate"] else _quoted(written, options)
    return text


def _quoted(text: str, options: Mapping[str, Any]) -> str:
    if options["noQuotes"]:
        return text
    return f'"{text}"' if options["useDoubleQuotes"] else f"'{text}'"


FUNCTIONS = {
    "jsonToCsv": json_to_csv,
    "zipSqlResponse": zip_sql_response,
    "convertQueryToSql": convert_query_to_sql,
}
