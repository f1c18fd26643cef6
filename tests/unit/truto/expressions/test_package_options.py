"""What the packages behind Truto's functions make of options, dates, paths and numbers that are none.

They are qs 6.15, xml-js 1.6, @json2csv/plainjs 7.0, luxon 3.5, lodash 4.18 and jsonata 2.2.

The right values are what `@truto/truto-jsonata` 3.0.6 itself gives.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.truto.expressions.evaluating import evaluate, failure
from truto.expressions import UNDEFINED

READING: list[tuple[str, Any, Any]] = [
    ("$parseQuery(t)", {"t": "a=%E9&b=%C3%A9"}, {"a": "%E9", "b": "é"}),
    ("$parseQuery(t)", {"t": "a%E9=1+2"}, {"a%E9": "1 2"}),
    ("$parseQuery(t)", {"t": "a=b%"}, {"a": "b%"}),
    ("$parseQuery(t, {'charset': 'iso-8859-1'})", {"t": "a=%E9+b"}, {"a": "é b"}),
    ("$parseQuery(t, {'strictMerge': false})", {"t": "foo=bar&foo[baz]=1"}, {"foo": ["bar", {"baz": "1"}]}),
    ("$parseQuery(t, {'strictMerge': true})", {"t": "foo=bar&foo[baz]=1"}, {"foo": ["bar", {"baz": "1"}]}),
    ("$parseQuery(t, {'strictMerge': false})", {"t": "foo[baz]=1&foo=bar"}, {"foo": {"baz": "1", "bar": True}}),
    ("$parseQuery(t, {'allowPrototypes': true})", {"t": "a[toString]=1&b=2"}, {"a": {"toString": "1"}, "b": "2"}),
    ("$parseQuery(t, {'plainObjects': true})", {"t": "a[toString]=1&b=2"}, {"a": {"toString": "1"}, "b": "2"}),
    ("$parseQuery(t, {'parameterLimit': 0})", {"t": "a=1&b=2"}, {}),
    ("$parseQuery(t, {'depth': false})", {"t": "a[b][c]=1"}, {"a[b][c]": "1"}),
    ("$parseQuery(t, {'depth': 'x'})", {"t": "a[b][c]=1"}, {"a": {"b": {"c": "1"}}}),
    ("$parseQuery(t, {'comma': 'yes'})", {"t": "a=1,2"}, {"a": "1,2"}),
    ("$parseQuery(t, {'delimiter': 5})", {"t": "a;b"}, {"a;b": ""}),
    ("$parseQuery(t, {'duplicates': 'last', 'comma': true})", {"t": "a=1&a=2"}, {"a": "2"}),
    ("$parseQuery(t, {'ignoreQueryPrefix': 1})", {"t": "?a=1"}, {"?a": "1"}),
    ("$parseQuery(t, {'allowDots': 1})", {"t": "a.b=1"}, {"a": {"b": "1"}}),
    ("$parseQuery(t, {'allowEmptyArrays': true, 'strictNullHandling': true})", {"t": "a[]"}, {"a": []}),
    ("$parseQuery(t, {'parseArrays': 0})", {"t": "a=1"}, {"a": "1"}),
]


@pytest.mark.parametrize(("text", "scope", "expected"), READING, ids=str)
def test_a_query_is_read_as_qs_reads_it(text: str, scope: Any, expected: Any) -> None:
    assert evaluate(text, scope) == expected


WRITING: list[tuple[str, Any, Any]] = [
    ("$stringifyQuery(v, {'skipNulls': true})", {"v": {"a": "", "b": None, "c": "x"}}, "a=&c=x"),
    ("$stringifyQuery(v, {'skipNulls': true})", {"v": {"a": [None, "b", ""]}}, "a%5B1%5D=b&a%5B2%5D="),
    ("$stringifyQuery(v, {'skipNulls': true, 'strictNullHandling': true})", {"v": {"a": {"b": ""}}}, "a%5Bb%5D="),
    ("$stringifyQuery(v, {'skipNulls': true, 'encode': false})", {"v": {"a": "", "b": "x"}}, "a=&b=x"),
    (
        "$stringifyQuery(v, {'arrayFormat': 'comma'})",
        {"v": {"a": [{"b": 1}, [2, [3, None]]]}},
        "a=%5Bobject%20Object%5D%2C2%2C3%2C",
    ),
    ("$stringifyQuery(v, {'arrayFormat': 'comma', 'encodeValuesOnly': true})", {"v": {"a": [[1], [2]]}}, "a=1,2"),
    (
        "$stringifyQuery(v, {'arrayFormat': 'comma', 'encode': false})",
        {"v": {"a": {"b": [{"c": 1}]}}},
        "a[b]=[object Object]",
    ),
    ("$stringifyQuery(v, {'arrayFormat': 'comma'})", {"v": {"a": [True, None, 1.5]}}, "a=true%2C%2C1.5"),
    ("$stringifyQuery(v, {'arrayFormat': 'comma'})", {"v": {"a": [""]}}, "a="),
    ("$stringifyQuery(v, {'indices': false})", {"v": {"a": ["b", "c"]}}, "a=b&a=c"),
    (
        "$stringifyQuery(v, {'indices': false, 'arrayFormat': 'brackets'})",
        {"v": {"a": ["b", "c"]}},
        "a%5B%5D=b&a%5B%5D=c",
    ),
    ("$stringifyQuery(v, {'indices': true})", {"v": {"a": ["b", "c"]}}, "a%5B0%5D=b&a%5B1%5D=c"),
    ("$stringifyQuery(v, {'addQueryPrefix': 1})", {"v": {"a": 1}}, "a=1"),
    ("$stringifyQuery(v, {'encode': 0})", {"v": {"a": "b c"}}, "a=b%20c"),
    ("$stringifyQuery(v, {'skipNulls': 'yes'})", {"v": {"a": None}}, "a="),
]


@pytest.mark.parametrize(("text", "scope", "expected"), WRITING, ids=str)
def test_a_query_is_written_as_qs_writes_it(text: str, scope: Any, expected: Any) -> None:
    assert evaluate(text, scope) == expected


CSV: list[tuple[str, Any, Any]] = [
    ("$jsonToCsv(r, {'defaultValue': '-'})", {"r": [{"a": None, "b": 1}, {"b": 2}]}, '"a","b"\n,1\n"-",2'),
    ("$jsonToCsv(r, {'fields': ['a', 'z'], 'defaultValue': 0})", {"r": [{"a": None}]}, '"a","z"\n,0'),
    (
        "$jsonToCsv(r, {'fields': [{'label': 'A', 'value': 'a', 'default': '-'}, {'value': 'z', 'default': '-'}]})",
        {"r": [{"a": None}]},
        '"A","z"\n,"-"',
    ),
    ("$jsonToCsv(r, {'delimiter': '', 'eol': ''})", {"r": [{"a": 1, "b": 2}]}, '"a","b"\n1,2'),
    ("$jsonToCsv(r, {'header': 0})", {"r": [{"a": 1}]}, '"a"\n1'),
    ("$jsonToCsv(r, {'fields': []})", {"r": [{"a": 1}]}, ""),
    ("$jsonToCsv(r, {'fields': [{'label': '', 'value': 'a'}]})", {"r": [{"a": 1}]}, '"a"\n1'),
    ("$jsonToCsv(r, {'fields': ['z'], 'includeEmptyRows': true})", {"r": [{"a": 1}, {"a": 2}]}, '"z"'),
    ("$jsonToCsv(r, {'fields': ['y', 'z'], 'includeEmptyRows': true})", {"r": [{"a": 1}]}, '"y","z"\n,'),
    ("$jsonToCsv(r)", {"r": [None, {"a": 1}, 0, ""]}, '"a"\n1'),
    ("$jsonToCsv(r)", {"r": [["x", "y"]]}, '"0","1"\n"x","y"'),
    ("$jsonToCsv(r, {'fields': ['a.b', 'a[b]']})", {"r": [{"a": {"b": 1}}]}, '"a.b","a[b]"\n1,1'),
]


@pytest.mark.parametrize(("text", "scope", "expected"), CSV, ids=str)
def test_rows_are_written_as_json2csv_writes_them(text: str, scope: Any, expected: Any) -> None:
    assert evaluate(text, scope) == expected


XML_READING: list[tuple[str, Any, Any]] = [
    (
        "$xmlToJs(x, o)",
        {"x": "<a><b>1</b><c/></a>", "o": {"compact": True, "alwaysArray": ["b", "_text"]}},
        {"a": {"b": [{"_text": ["1"]}], "c": {}}},
    ),
    (
        "$xmlToJs(x, o)",
        {"x": "<a><b>1</b></a>", "o": {"compact": True, "alwaysArray": ["a"]}},
        {"a": [{"b": {"_text": "1"}}]},
    ),
    (
        "$xmlToJs(x, o)",
        {"x": "<a><!-- c --><![CDATA[ d ]]> t </a>", "o": {"compact": True, "trim": True}},
        {"a": {"_comment": "c", "_cdata": "d", "_text": "t"}},
    ),
    ("$xmlToJs(x, o)", {"x": "<a><![CDATA[]]></a>", "o": {"compact": True}}, {"a": {}}),
    ("$xmlToJs(x, o)", {"x": "", "o": {"compact": True}}, {}),
    ("$xmlToJs(x, o)", {"x": "", "o": {}}, {}),
    (
        "$xmlToJs(x, o)",
        {"x": "<a>1</a>", "o": {"compact": "yes"}},
        {"elements": [{"type": "element", "name": "a", "elements": [{"type": "text", "text": "1"}]}]},
    ),
    ("$xmlToJs(x, o)", {"x": "<a>1</a>", "o": {"compact": True, "nativeType": 1}}, {"a": {"_text": "1"}}),
    ("$xmlToJs(x, o)", {"x": "<a/>", "o": {"compact": True, "ignoreDoctype": True}}, {"a": {}}),
]


@pytest.mark.parametrize(("text", "scope", "expected"), XML_READING, ids=str)
def test_xml_is_read_as_xml_js_reads_it(text: str, scope: Any, expected: Any) -> None:
    assert evaluate(text, scope) == expected


XML_WRITING: list[tuple[str, Any, Any]] = [
    (
        "$jsToXml(x, o)",
        {"x": {"_instruction": {"go": {"_attributes": {"x": "1", "y": 2}}}}, "o": {"compact": True}},
        '<?go x="1" y="2"?>',
    ),
    (
        "$jsToXml(x, o)",
        {"x": {"a": {"_instruction": {"go": "there"}, "b": {}}}, "o": {"compact": True, "spaces": 2}},
        "<a><?go there?>\n  <b/>\n</a>",
    ),
    ("$jsToXml(x, o)", {"x": {"a": {"_instruction": {"go": ""}}}, "o": {"compact": True}}, "<a><?go?></a>"),
    (
        "$jsToXml(x, o)",
        {"x": {"_doctype": 'a SYSTEM "a.dtd"', "a": {}}, "o": {"compact": True}},
        '<!DOCTYPE a SYSTEM "a.dtd"><a/>',
    ),
    ("$jsToXml(x, o)", {"x": {"_doctype": "a", "a": {}}, "o": {"compact": True, "ignoreDoctype": True}}, "<a/>"),
    (
        "$jsToXml(x, o)",
        {"x": {"elements": [{"type": "doctype", "doctype": "a"}, {"type": "element", "name": "a"}]}, "o": {}},
        "<!DOCTYPE a><a/>",
    ),
    (
        "$jsToXml(x, o)",
        {"x": {"a": {"_text": "&amp; &lt; &"}}, "o": {"compact": True}},
        "<a>&amp; &amp;lt; &amp;</a>",
    ),
    ("$jsToXml(x, o)", {"x": {"a": 1}, "o": {"compact": "yes"}}, ""),
    (
        "$jsToXml(x, o)",
        {"x": {"elements": [{"type": "instruction", "name": "p", "attributes": {"q": 1}}]}, "o": {}},
        '<?p q="1"?>',
    ),
    (
        "$jsToXml(x, o)",
        {
            "x": {
                "elements": [
                    {
                        "type": "element",
                        "name": "a",
                        "elements": [
                            {"type": "comment", "comment": "k"},
                            {"type": "instruction", "name": "p", "instruction": "q"},
                        ],
                    }
                ]
            },
            "o": {"spaces": 1},
        },
        "<a>\n <!--k--><?p q?>\n</a>",
    ),
]


@pytest.mark.parametrize(("text", "scope", "expected"), XML_WRITING, ids=str)
def test_xml_is_written_as_xml_js_writes_it(text: str, scope: Any, expected: Any) -> None:
    assert evaluate(text, scope) == expected


@pytest.mark.parametrize(
    "text",
    [
        "$parseQuery('a=1', {'allowEmptyArrays': 1})",
        "$parseQuery('a=1', {'throwOnLimitExceeded': 'x'})",
        "$parseQuery('a=1', {'charset': 'latin-9'})",
        "$stringifyQuery({'a': 1}, {'commaRoundTrip': 'x'})",
        "$stringifyQuery('text', {'charset': 'x'})",
        "$stringifyQuery(5, {'format': 'x'})",
        "$jsonToCsv([{'a': 1}], {'fields': 'a'})",
        "$jsonToCsv([{'a': 1}], {'fields': [1]})",
        "$jsonToCsv([{'a': 1}], {'fields': [{'label': 'A'}]})",
        "$jsonToCsv('text')",
        "$jsonToCsv([1, 2])",
        "$jsonToCsv([{'a': 1}, 'z'])",
        "$jsToXml({'_doctype': 'a [<!ENTITY b \"c\">]'})",
    ],
)
def test_what_the_packages_refuse_is_refused(text: str) -> None:
    assert failure(text).code == "function"


DATES = [
    ("$dtFromIso('2024-01-01T00:00:00Z','UTC').toSQL()", "2024-01-01 00:00:00.000 Z"),
    ("$dtFromIso('2024-01-01T00:00:00Z','UTC').toSQL({'includeOffset': false})", "2024-01-01 00:00:00.000"),
    ("$dtFromIso('2024-01-01T00:00:00Z','UTC').toSQL({'includeZone': true})", "2024-01-01 00:00:00.000 UTC"),
    ("$dtFromIso('2024-01-01T00:00:00Z','UTC').toSQLTime()", "00:00:00.000 Z"),
    ("$dtFromIso('2024-01-01T00:00:00Z','UTC').setZone('America/New_York').toSQL()", "2023-12-31 19:00:00.000 -05:00"),
    (
        "$dtFromIso('2024-01-01T00:00:00Z','UTC').setZone('America/New_York').toSQL({'includeZone': true})",
        "2023-12-31 19:00:00.000 America/New_York",
    ),
    ("$dtFromIso('2024-01-01T00:00:00Z','UTC').setZone('America/New_York').offsetNameShort", "EST"),
    ("$dtFromIso('2024-01-01T00:00:00Z','UTC').setZone('America/Havana').offsetNameShort", "GMT-5"),
    ("$dtFromIso('2024-01-01T00:00:00Z','UTC').setZone('Asia/Shanghai').offsetNameShort", "GMT+8"),
    ("$dtFromIso('2024-01-01T00:00:00Z','UTC').setZone('Europe/London').offsetNameShort", "GMT"),
    ("$dtFromIso('2024-07-01','Europe/London').offsetNameShort", "GMT+1"),
    ("$dtFromIso('2024-01-01T00:00:00Z','UTC').setZone('Pacific/Honolulu').offsetNameShort", "HST"),
    ("'x' & $dtFromIso('2024-01-01T00:00:00Z','UTC')", 'x"2024-01-01T00:00:00.000Z"'),
    ("$string($dtFromIso('2024-01-01T00:00:00Z','UTC'), true)", '"2024-01-01T00:00:00.000Z"'),
    ("$string({'d': $dtFromIso('2024-01-01T00:00:00Z','UTC')})", '{"d":"2024-01-01T00:00:00.000Z"}'),
    ("$dtFromIso('2024-07-01', 'Europe/Paris').[isInDST, offset, offsetNameShort]", [True, 120, "GMT+2"]),
    (
        "$dtFromIso('2024-11-05T12:34:56.789Z').setZone('Asia/Kolkata').toFormat('Z ZZ ZZZ ZZZZ z')",
        "+5:30 +05:30 +0530 GMT+5:30 Asia/Kolkata",
    ),
    ("$string($dtFromIso('2024-01-01'))", '"2024-01-01T00:00:00.000+00:00"'),
]
PICKED: list[tuple[str, Any]] = [
    ("$pick({'a': [1, 2, {'b': 3}]}, ['a[2].b'])", {"a": [None, None, {"b": 3}]}),
    ("$pick({'a': [1, 2]}, ['a[0]', 'a[1]'])", {"a": [1, 2]}),
    ("$pick({'a': [1, 2]}, ['a.1'])", {"a": [None, 2]}),
    ("$pick({'a': {'0': 'z'}}, ['a[0]'])", {"a": ["z"]}),
    ("$pick({'a': {'b': [{'c': 1, 'd': 2}]}}, 'a.b[0].c')", {"a": {"b": [{"c": 1}]}}),
    ("$omit({'a': [1, 2, 3]}, ['a[1]'])", {"a": [1, None, 3]}),
    ("$omit({'a': [{'b': 1, 'c': 2}]}, 'a[0].b')", {"a": [{"c": 2}]}),
    ("$omit({'a': [1]}, 'a[5]')", {"a": [1]}),
]
NOT_FINITE = [
    ("1 / 0", None),
    ("-1 / 0", None),
    ("0 / 0", None),
    ("10 % 0", None),
    ("[1 / 0]", [None]),
    ("{'a': 1 / 0}", {"a": None}),
    ("10e300 * 10e100", None),
    ("1 / 0 > 5", True),
    ("0 / 0 = 0 / 0", False),
    ("0 / 0 ? 'yes' : 'no'", "no"),
    ("$boolean(0 / 0)", False),
    ("$not(0 / 0)", True),
    ("$toNumber('x') ? 'yes' : 'no'", "no"),
    ("$toNumber('x') and true", False),
    ("[1, 2][$toNumber('x')]", UNDEFINED),
    ("$filter([1, 2], function($v) { $toNumber('x') })", UNDEFINED),
    ("[0 / 0, 0 / 0] ? 1 : 2", 2),
    ("$exists(1 / 0)", True),
    ("$sum([1, 2]) / $count([])", None),
    ("0 / 0 ?: 'none'", "none"),
]


@pytest.mark.parametrize(("text", "expected"), DATES, ids=str)
def test_a_date_is_written_as_luxon_writes_it(text: str, expected: Any) -> None:
    assert evaluate(text) == expected


@pytest.mark.parametrize(("text", "expected"), PICKED, ids=str)
def test_a_path_into_an_array_is_followed_as_lodash_follows_it(text: str, expected: Any) -> None:
    assert evaluate(text) == expected


@pytest.mark.parametrize(("text", "expected"), NOT_FINITE, ids=str)
def test_what_is_no_finite_number_is_null_and_never_a_reason_to_go_on(text: str, expected: Any) -> None:
    assert evaluate(text) == expected


def test_a_far_place_in_an_array_is_bounded() -> None:
    assert failure("$pick({'a': {'999999': 1}}, 'a.999999')").code == "limit_size"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("$jsonParse(['7'])", 7), ("$jsonParse([1, 2])", None), ("$jsonParse(2.5)", 2.5), ("$jsonParse({'a': 1})", None)],
)
def test_what_is_no_text_is_read_as_its_text(text: str, expected: Any) -> None:
    assert evaluate(text) == expected


@pytest.mark.parametrize("text", ["missing[1 / 'a']", "missing.x[$error('no')]"])
def test_a_predicate_over_nothing_is_not_evaluated(text: str) -> None:
    assert evaluate(text) is UNDEFINED
