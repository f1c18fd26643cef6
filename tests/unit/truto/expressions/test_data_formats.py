"""XML, CSV, SQL, HTML, Markdown, and chunks of text."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from tests.unit.truto.expressions.evaluating import evaluate, failure

XML = (
    '<?xml version="1.0" encoding="UTF-16"?><!--c--><?pi data?><a x="1"><b>1</b><b>two</b>'
    "<e/><c><![CDATA[<raw>]]></c> <d> t &amp; u </d></a>"
)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            "",
            {
                "_declaration": {"_attributes": {"version": "1.0", "encoding": "UTF-16"}},
                "_comment": "c",
                "_instruction": {"pi": "data"},
                "a": {
                    "_attributes": {"x": "1"},
                    "b": [{"_text": "1"}, {"_text": "two"}],
                    "e": {},
                    "c": {"_cdata": "<raw>"},
                    "d": {"_text": " t & u "},
                },
            },
        ),
        (
            ", {'compact': true, 'ignoreDeclaration': true, 'ignoreComment': true, 'ignoreInstruction': true,"
            " 'ignoreAttributes': true, 'ignoreCdata': true, 'trim': true, 'nativeType': true}",
            {"a": {"b": [{"_text": 1}, {"_text": "two"}], "e": {}, "c": {}, "d": {"_text": "t & u"}}},
        ),
    ],
    ids=["compact", "options"],
)
def test_xml_becomes_an_object(options: str, expected: Any) -> None:
    assert evaluate(f"$xmlToJs(xml{options})", {"xml": XML}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "$xmlToJs('<a b=\"1\">t</a>', {})",
            {
                "elements": [
                    {
                        "type": "element",
                        "name": "a",
                        "attributes": {"b": "1"},
                        "elements": [{"type": "text", "text": "t"}],
                    }
                ]
            },
        ),
        (
            "$xmlToJs('<a>true</a>', {'compact': true, 'alwaysArray': true, 'nativeType': true})",
            {"a": [{"_text": [True]}]},
        ),
        ("$xmlToJs('<n:a xmlns:n=\"u\"><n:b/></n:a>').`n:a`.`n:b`", {}),
    ],
    ids=["not-compact", "always-array", "namespaces"],
)
def test_xml_options_change_the_form(text: str, expected: Any) -> None:
    assert evaluate(text) == expected


@pytest.mark.parametrize(
    "xml",
    [
        '<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;">]><a>&c;</a>',
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        '<!DOCTYPE a SYSTEM "http://localhost/a.dtd"><a/>',
        "<a><b></a>",
        "<a>&undefined;</a>",
        "<a/><b/>",
        "<a x='1' x='2'/>",
    ],
    ids=["laughs", "file", "dtd", "unbalanced", "entity", "two-roots", "twice"],
)
def test_dangerous_and_broken_xml_is_refused(xml: str) -> None:
    error = failure("$xmlToJs(xml)", {"xml": xml})
    assert error.code == "function"
    assert "passwd" not in str(error)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "$jsToXml({'a': {'_attributes': {'x': 1, 'y': null}, 'b': ['1', {'_text': '<&>'}], 'c': {}}})",
            '<a x="1">\n    <b>1</b>\n    <b>&lt;&amp;&gt;</b>\n    <c/>\n</a>',
        ),
        (
            "$jsToXml({'_declaration': {'_attributes': {'version': '1.0'}}, "
            "'a': {'_cdata': 'x]]>y', '_comment': 'c'}})",
            '<?xml version="1.0"?>\n<a><![CDATA[x]]]]><![CDATA[>y]]>\n    <!--c-->\n</a>',
        ),
        (
            "$jsToXml({'_instruction': {'pi': 'd'}, 'a': null}, {'compact': true, 'fullTagEmptyElement': true})",
            "<?pi d?><a></a>",
        ),
        ("$jsToXml({'a': {'b': {'c': 1}}}, {'compact': true, 'spaces': 2})", "<a>\n  <b>\n    <c>1</c>\n  </b>\n</a>"),
        (
            "$jsToXml({'declaration': {'attributes': {'version': '1.0'}}, "
            "'elements': [{'type': 'element', 'name': 'a'}]}, {})",
            '<?xml version="1.0"?><a/>',
        ),
        (
            "$jsToXml({'declaration': {}, "
            "'elements': [{'type': 'element', 'name': 'a', 'attributes': {'q': '\"'}}]}, {'ignoreDeclaration': true})",
            '<a q="&quot;"/>',
        ),
        ("$jsToXml({})", ""),
        ("$jsToXml({'a': {'_text': 't', 'b': {}}}, {'compact': true, 'spaces': 1})", "<a>t\n <b/>\n</a>"),
        ("$jsToXml({'a': {'b': 1}}, {'compact': true, 'spaces': '\t'})", "<a>\n\t<b>1</b>\n</a>"),
        ("$jsToXml({'a': ''})", "<a/>"),
        (
            "$jsToXml({'a': {'_attributes': {'x': 1}, '_text': 't'}}, {'compact': true, 'ignoreAttributes': true})",
            "<a>t</a>",
        ),
    ],
    ids=[
        "attributes",
        "cdata",
        "instruction",
        "spaces",
        "not-compact",
        "no-declaration",
        "empty",
        "mixed",
        "tabs",
        "no-text",
        "no-attributes",
    ],
)
def test_an_object_becomes_xml(text: str, expected: str) -> None:
    assert evaluate(text) == expected


def test_xml_survives_the_way_there_and_back() -> None:
    xml = '<?xml version="1.0"?><a x="1"><b>1</b><b>two</b><c><![CDATA[<raw>]]></c></a>'
    assert evaluate("$jsToXml($xmlToJs(xml), {'compact': true})", {"xml": xml}) == xml


@pytest.mark.parametrize(
    "text",
    [
        "$jsToXml({'a b': 1})",
        "$jsToXml({'a': {'_attributes': {'x><y': 1}}})",
        "$jsToXml({'_comment': '--><script>'})",
        "$jsToXml({'_instruction': {'pi': '?>'}})",
        "$jsToXml($reduce([1..120], function($a, $i) { {'a': $a} }, 0))",
    ],
    ids=["name", "attribute", "comment", "instruction", "depth"],
)
def test_what_would_break_out_of_its_place_in_xml_is_refused(text: str) -> None:
    assert failure(text).code == "function"


@pytest.mark.parametrize(
    ("rows", "options", "expected"),
    [
        ([{"n": "John", "a": 30}, {"n": "Jane", "c": 'L"A'}], "", '"n","a","c"\n"John",30,\n"Jane",,"L""A"'),
        ([{"n": "a", "b": True}], ", {'delimiter': ';'}", '"n";"b"\n"a";true'),
        ([{"n": "a"}], ", {'header': false}", '"a"'),
        ([{"n": {"m": 1}}], ", {'fields': [{'label': 'L', 'value': 'n.m'}, 'n']}", '"L","n"\n1,"{""m"":1}"'),
        ([{"n": 1}], ", {'fields': [{'value': 'n'}], 'eol': '|'}", '"n"|1'),
        ([None, {"n": ""}, None], "", '"n"\n""'),
        ([{"n": 1}, {"m": None}], ", {'defaultValue': 'D'}", '"n","m"\n1,"D"\n"D",'),
        ([{"n": 1, "m": 2}, {"n": None}], ", {'includeEmptyRows': true}", '"n","m"\n1,2\n,'),
        ([{"n": 1}, {"n": None}], ", {'withBOM': true}", '\ufeff"n"\n1'),
        ([], "", ""),
        (None, "", ""),
        ([None], "", ""),
    ],
    ids=[
        "union",
        "delimiter",
        "no-header",
        "fields",
        "eol",
        "nulls",
        "default",
        "empty-rows",
        "bom",
        "empty",
        "null",
        "only-nulls",
    ],
)
def test_rows_become_csv(rows: Any, options: str, expected: str) -> None:
    assert evaluate(f"$jsonToCsv(rows{options})", {"rows": rows}) == expected


def test_sql_rows_become_objects() -> None:
    text = "$zipSqlResponse([{'name': 'a'}, {'name': 'b'}], [[1, 2], [3]], 'name')"
    assert evaluate(text) == [{"a": 1, "b": 2}, {"a": 3}]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("{'a': 'x'}", "a = x"),
        ("{'a': 'x'}, [], {}, {'a': 'string'}", "a = 'x'"),
        ("{'a': 1, 'b': {'gt': 2, 'lte': 5}}", "a = 1 AND b > 2 AND b <= 5"),
        ("{'a': {'ne': 1, 'lt': 2, 'gte': 3, 'like': 'x%'}}", "a <> 1 AND a < 2 AND a >= 3 AND a like x%"),
        ("{'a': ['x', 'y']}, [], {}, {'a': 'string'}", "a in ('x','y')"),
        ("{'a': {'nin': [1, null]}}", "a not in (1,)"),
        ("{'a': [1, 2, null]}, [], {}, {}, {}, {'useOrForIn': true}", "(a = 1 OR a = 2)"),
        ("{'a': null, 'b': 1}", "b = 1"),
        ("{'a': 1, 'b': 2}, ['b', 'z'], {'b': 'col'}", "col = 2"),
        ("{'a': 1}, [], {}, {}, {'eq': 'IS'}", "a IS 1"),
        ("{'or': {'a': 1, 'b': 2}}, [], {}, {}, {}, {'conjunction': 'OR'}", "(a = 1 OR b = 2)"),
        (
            "{'a': 1, 'b': 2, 'c': 3}, [], {}, {}, {}, {'groupComparisonInBrackets': true}",
            "((a = 1 AND b = 2) AND c = 3)",
        ),
        ("{'a': 1}, [], {}, {}, {}, {'noSpaceBetweenOperator': true}", "a=1"),
        ("{'a': 'x'}, [], {}, {'a': 'string'}, {}, {'useDoubleQuotes': true}", 'a = "x"'),
        ("{'a': 'x'}, [], {}, {'a': 'string'}, {}, {'noQuotes': true}", "a = x"),
        ("{'a': q}, [], {}, {'a': 'string'}, {}, {'escapeSingleQuotes': true}", "a = 'O\\'B'"),
        ("{'a': 'open'}, [], {}, {'a': {'open': 'O'}}", "a = 'O'"),
        ("{'a': 'open'}, [], {}, {'a': {'open': 1}}", "a = 1"),
        ("{'a': '2024-05-06'}, [], {}, {'a': 'dotnetdate'}", "a = DateTime(2024,05,06)"),
        ("{'a': '2024-05-06'}, [], {}, {'a': 'date|yyyy'}", "a = '2024'"),
        (
            "{'a': '2024-05-06'}, [], {}, {'a': 'date'}, {}, {'noQuotesForDate': true}",
            "a = 2024-05-06T00:00:00.000+00:00",
        ),
        ("{'a': 'soon'}, [], {}, {'a': 'date'}", "a = 'Invalid DateTime'"),
        ("{}", ""),
    ],
    ids=lambda value: value[:70],
)
def test_a_query_becomes_sql(arguments: str, expected: str) -> None:
    assert evaluate(f"$convertQueryToSql({arguments})", {"q": "O'B"}) == expected


def test_an_unknown_sql_operator_is_refused() -> None:
    assert "operator is not known" in str(failure("$convertQueryToSql({'a': {'near': 1}})"))


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<h1>Title</h1><p>a <em>b</em> <strong>c</strong></p>", "Title\n=====\n\na _b_ **c**"),
        ("a<hr>b", "a\n\n* * *\n\nb"),
        ("<ul><li>x</li></ul>", "* x"),
        ('<a href="http://e.x">l</a>', "[l](http://e.x)"),
        ("<table><tr><th>a</th></tr><tr><td>1</td></tr></table>", "| a |\n| --- |\n| 1 |"),
        ("<del>x</del> <em> </em>", "~~x~~"),
        ("", ""),
    ],
    ids=["heading", "rule", "list", "link", "table", "strike", "empty"],
)
def test_html_becomes_markdown(html: str, markdown: str) -> None:
    assert evaluate("$convertHtmlToMarkdown(html)", {"html": html}) == markdown


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("# T\n\n*a* ~~b~~", "<h1>T</h1>\n<p><em>a</em> <s>b</s></p>\n"),
        (
            "|a|\n|-|\n|1|",
            "<table>\n<thead>\n<tr>\n<th>a</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td>1</td>\n</tr>\n</tbody>\n</table>\n",
        ),
    ],
    ids=["inline", "table"],
)
def test_markdown_becomes_html(markdown: str, html: str) -> None:
    assert evaluate("$convertMarkdownToHtml(m)", {"m": markdown}) == html


@pytest.mark.parametrize("name", ["convertHtmlToMarkdown", "convertMarkdownToHtml"])
def test_markup_that_is_not_text_is_refused(name: str) -> None:
    assert "not text" in str(failure(f"${name}(5)"))


def test_text_is_split_into_chunks_that_overlap() -> None:
    text = "".join(chr(65 + index % 26) for index in range(50))
    chunks = evaluate("$recursiveCharacterTextSplitter(t, {'chunkSize': 10, 'chunkOverlap': 2})", {"t": text})
    assert len(chunks) == 6
    assert all(len(chunk) <= 10 for chunk in chunks)
    assert all(after[:2] == before[-2:] for before, after in pairwise(chunks))


@pytest.mark.parametrize(
    ("value", "options", "expected"),
    [
        ("one two three four", "{'chunkSize': 9, 'chunkOverlap': 0}", ["one two", "three", "four"]),
        ("a b\n\nc d\n\ne", "{'chunkSize': 5, 'chunkOverlap': 0}", ["a b", "c d", "e"]),
        ("para one\n\nabcdefghijkl", "{'chunkSize': 8, 'chunkOverlap': 0}", ["para one", "abcdefg", "hijkl"]),
        (
            {"a": 1, "b": {"c": "x"}},
            "{'chunkSize': 10000, 'chunkOverlap': 0}",
            [json.dumps({"a": 1, "b": {"c": "x"}}, indent=2)],
        ),
        (123, "{}", ["123"]),
        (None, "{}", []),
        ("short", "{}", ["short"]),
    ],
    ids=["words", "paragraphs", "mixed", "object", "number", "null", "defaults"],
)
def test_chunks_keep_together_what_belongs_together(value: Any, options: str, expected: list[str]) -> None:
    assert evaluate(f"$recursiveCharacterTextSplitter(v, {options})", {"v": value}) == expected


def test_an_overlap_that_is_not_smaller_than_the_chunk_is_refused() -> None:
    assert "chunkOverlap" in str(failure("$recursiveCharacterTextSplitter('x', {'chunkSize': 5, 'chunkOverlap': 5})"))
