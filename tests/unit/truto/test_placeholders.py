"""``{{path}}`` placeholders: the table of cases that was run against Truto's own library."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truto.errors import PlaceholderError
from truto.placeholders import NO_VALUE, compile_template


class Fails:
    """Expected in place of a value: rendering raises with this text."""

    def __init__(self, text: str) -> None:
        self.text = text


SAME = object()

CASES: list[tuple[Any, dict[str, Any], Any]] = [
    ("{{a}}", {"a": "x"}, "x"),
    ("{{a}}", {"a": 1}, "1"),
    ("{{a}}", {"a": True}, "true"),
    ("{{a}}", {"a": None}, None),
    ("{{a}}", {"a": ""}, ""),
    ("{{a}}", {}, SAME),
    ("x{{a}}y", {}, SAME),
    ("x{{a}}y", {"a": None}, "xnully"),
    ("{{a}}", {"a": {"b": 1}}, "[object Object]"),
    ("{{a}}", {"a": [1, [2, 3], None, "z"]}, "1,2,3,null,z"),
    ("{{a}}", {"a": "  s  "}, "  s  "),
    ("{{a}}", {"a": 1e21}, "1e+21"),
    ("{{a:any}}", {"a": "  s  "}, "s"),
    ("{{a:any}}", {"a": {"b": 1}}, {"b": 1}),
    ("x {{a:any}}", {"a": {"b": 1}}, "x [object Object]"),
    ("{{a:int}}", {"a": "12px"}, 12),
    ("{{a:int}}", {"a": "1e3"}, 1),
    ("{{a:num}}", {"a": "1e3"}, 1000),
    ("{{a:num}}", {"a": "abc"}, "abc"),
    ("{{a:int}}", {"a": True}, True),
    ("{{a : int}}", {"a": "5"}, 5),
    ("n={{a:int}}", {"a": "5"}, "n=5"),
    ("{{a:bool}}", {"a": " true "}, True),
    ("{{a:bool}}", {"a": "TRUE"}, "TRUE"),
    ("{{a:bool}}", {"a": 1}, 1),
    ("{{a:json}}", {"a": "[1]"}, [1]),
    ("{{a:json}}", {"a": "null"}, None),
    ("v={{a:json}}", {"a": {"b": 1}}, "v=[object Object]"),
    ("{{a:null}}", {"a": "null"}, None),
    ("x{{a:null}}", {"a": "zz"}, "xnull"),
    ("x{{a:null}}", {}, "xnull"),
    ("{{a:int:null}}", {}, None),
    ("{{a:undefined}}", {"a": 5}, 5),
    ("{{a:undefined}}", {}, NO_VALUE),
    ("x{{a:undefined}}y", {}, "xy"),
    ("{{a:undefined}}", {"a": None}, None),
    ("{{a:str:undefined}}", {}, NO_VALUE),
    ("{{a: undefined}}", {}, SAME),
    ("{{a|b}}", {"b": "B"}, "B"),
    ("{{a|b}}", {"a": None, "b": "B"}, None),
    ("{{a|b}}", {"a": "", "b": "B"}, ""),
    ("{{a|b:ignore-empty-str}}", {"a": "", "b": "B"}, "B"),
    ("{{a|b:ignore-empty-str}}", {"a": "", "b": ""}, SAME),
    ("{{a:int|b}}", {"a": "x", "b": "B"}, "x"),
    ("{{a:undefined|b:int}}", {"b": "7"}, 7),
    ("{{a|b:undefined}}", {}, NO_VALUE),
    ("{{a|}}", {}, Fails("the path is empty")),
    ("{{a?:z}}", {}, "z"),
    ("{{a?:z}}", {"a": None}, None),
    ("{{a?:z}}", {"a": ""}, ""),
    ("{{a?: z}}", {}, " z"),
    ("{{a?:}}", {}, SAME),
    ("{{a?:1:int}}", {}, 1),
    ("{{a?: false:bool}}", {}, False),
    ("{{a?:z?:w}}", {}, "z"),
    ("{{a?:https://x.io/p}}", {}, "https://x.io/p"),
    ("{{a?:http://x.io:8080}}", {}, Fails("Unsupported type: 8080")),
    ("{{a?:x: int}}", {}, Fails("Unsupported type:  int")),
    ("{{a?:a,b}}", {}, SAME),
    ("{{a:foo}}", {"a": 1}, Fails("Unsupported type: foo")),
    ("{{a:foo}}", {}, SAME),
    ("{{a.0:2}}", {"a": [1, 2]}, Fails("Unsupported type: 2")),
    ("{{a.b.0.c}}", {"a": {"b": [{"c": 9}]}}, "9"),
    ("{{a.-1}}", {"a": [1, 2, 3]}, "3"),
    ("{{a.5}}", {"a": [1]}, SAME),
    ("{{a.0}}", {"a": {"0": "x"}}, SAME),
    ("{{a[0]}}", {"a": [1]}, SAME),
    ("{{a.*}}", {"a": {"b": 1}}, SAME),
    ("{{a.b}}", {"a.b": 1}, SAME),
    ("{{A}}", {"a": 5}, SAME),
    ("{{ a }}", {"a": "x"}, "x"),
    ("{{headers.x-hub-signature-256}}", {"headers": {"x-hub-signature-256": "s"}}, "s"),
    ("{{{a}}}", {"a": 1}, "{1}"),
    ("{{a}", {"a": 1}, SAME),
    ("{{a}}{{a}}", {"a": "1"}, "11"),
    ("{{a}}{{b}}", {"a": "x"}, "x{{b}}"),
    (
        {"k": "{{a}}", "l": ["{{a:int}}", {"m": "x{{a}}"}], "n": 5},
        {"a": "1"},
        {"k": "1", "l": [1, {"m": "x1"}], "n": 5},
    ),
    ({"k": "{{a:undefined}}"}, {}, {}),
    (["{{a:undefined}}"], {}, [None]),
    ({"{{a}}": "{{a}}"}, {"a": "q"}, {"{{a}}": "q"}),
    ({"b": 1, "$truto_merge": "{{o:json}}"}, {"o": {"b": 2, "c": 3}}, {"b": 2, "c": 3}),
    ({"b": [1], "$truto_merge": "{{o:json}}"}, {"o": {"b": [2]}}, {"b": [1, 2]}),
    ({"b": 1, "$truto_merge": "{{o}}"}, {"o": {"c": 3}}, {"b": 1}),
    (
        {"b": 1, "$truto_merge": ["{{o:json}}", "{{p:json}}"]},
        {"o": {"c": 1, "d": 1}, "p": {"d": 2}},
        {"b": 1, "c": 1, "d": 2},
    ),
    ({"$truto_merge": {"x": "{{a}}"}, "b": 1}, {"a": "A"}, {"b": 1, "x": "A"}),
    ({"b": 1, "$truto_merge": "{{u:json}}"}, {}, {"b": 1}),
]

# Rows of the same table where this module differs on purpose.
DIFFERENT: list[tuple[Any, dict[str, Any], Any]] = [
    ("{{a}} {{b}}", {"a": "{{b}}", "b": "B"}, "{{b}} B"),
    ("{{a}} {{b}}", {"a": "$& $1 $$", "b": "B"}, "$& $1 $$ B"),
    ("{{ a . b }}", {"a": {"b": 1}}, Fails("several paths")),
]

MORE: list[tuple[Any, dict[str, Any], Any]] = [
    ("", {}, ""),
    ("{{.}}", {"a": 1}, "[object Object]"),
    ("{{.:any}}", {"a": 1}, {"a": 1}),
    ("{{.a}}", {"a": 1}, "1"),
    ("{{a.x}}", {"a": "text"}, SAME),
    ("{{a.b}}", {"a": [1]}, SAME),
    ("{{a.items}}", {"a": {}}, SAME),
    ("{{a:json}}", {"a": "{"}, "{"),
    ("{{a:json}}", {"a": "NaN"}, "NaN"),
    ("{{a:json}}", {"a": 5}, 5),
    ("v={{a:json}}", {"a": "[1]"}, "v=[1]"),
    ("{{a:int}}", {"a": None}, None),
    ("{{a:int}}", {"a": " x "}, "x"),
    ("{{a:int}}", {"a": "٣"}, "٣"),
    ("{{a:int}}", {"a": 1.1}, 1),
    ("{{a:int}}", {"a": "-7"}, -7),
    ("{{a:num}}", {"a": "1.50 EUR"}, 1.5),
    ("{{a:num}}", {"a": "1e999"}, "1e999"),
    ("{{a:num}}", {"a": {"b": 1}}, {"b": 1}),
    ("{{a:int}}", {"a": [7]}, 7),
    ("{{a:int}}", {"a": []}, []),
    ("{{a:null}}", {"a": "zz"}, "zz"),
    ("{{a}}", {"a": b"\xff"}, b"\xff"),
    ("{{a:int}}", {"a": b"1"}, b"1"),
    ("<{{a}}>", {"a": b"x"}, "<x>"),
    ("<{{a}}>", {"a": b"\xff"}, Fails("not UTF-8")),
    ("{{a?::str}}", {}, ""),
    ("{{a?::int}}", {}, ""),
    ("<{{a?::str}}>", {}, "<>"),
    ("{{a:undefined?::str}}", {}, ""),
    ("{{a?: :json}}", {}, ""),
    ("{{a?: null:null}}", {}, None),
    ("{{a?:{x}:json}}", {}, SAME),
    ("{{a: }}", {"a": 1}, Fails("Unsupported type: ")),
    ("{{a:null}}", {"a": " null "}, None),
    ("{{a:null}}", {"a": " x "}, "x"),
    ("{{a:bool}}", {"a": " TRUE "}, "TRUE"),
    ("<{{a:bool}}>", {"a": " false "}, "<false>"),
    ("{{a:json}}", {"a": " [1] "}, [1]),
    ("{{a:json}}", {"a": " nul "}, "nul"),
    ("<{{a:json}}>", {"a": ' {"b": 1} '}, '<{"b": 1}>'),
    ("{{a:any}}", {"a": "\u00a0\ufeffx\u3000"}, "x"),
    ("{{a:any}}", {"a": "\x1cx\x85"}, "\x1cx\x85"),
    ("{{a:str}}", {"a": " null "}, " null "),
    ("{{a.length}}", {"a": [1, 2, 3]}, "3"),
    ("{{a.length:int}}", {"a": []}, 0),
    ("{{a.0.length}}", {"a": [[1, 2]]}, "2"),
    ("{{a.length}}", {"a": {"length": "own"}}, "own"),
    ("{{a.length}}", {"a": "text"}, SAME),
    ("{{a.length.x}}", {"a": [1]}, SAME),
    ("{{a.-9}}", {"a": ["first", "last"]}, "first"),
    ("{{a.-2}}", {"a": ["first", "last"]}, "first"),
    ("{{a.-0}}", {"a": [1, 2]}, SAME),
    ("{{a.-1}}", {"a": []}, SAME),
    ("{{a.-1}}", {"a": {"-1": "x"}}, SAME),
    ("{{a.01}}", {"a": [1, 2]}, "2"),
    ("{{a}}", {"a": -0.0}, "-0"),
    ("{{a}}", {"a": [-0.0, 0]}, "-0,0"),
    ("<{{a:any}}>", {"a": -0.0}, "<0>"),
    ("{{a:int}}", {"a": "-0"}, 0),
    ("{{a:num}}", {"a": -0.0}, 0),
    ("<{{a}}>", {"a": [1, None]}, "<1,null>"),
    ("<{{a:any}}>", {"a": [1, None]}, "<1,>"),
    ("{{a:int}}", {"a": "0x1f"}, 31),
    ("{{a:int}}", {"a": "-0X1Fg"}, -31),
    ("{{a:int}}", {"a": "0x"}, "0x"),
    ("{{a:num}}", {"a": "0x1f"}, 0),
    ({"a": [1, None, True]}, {}, {"a": [1, None, True]}),
    ([{"a": 1}, "{{b}}"], {"b": "x"}, [{"a": 1}, "x"]),
    ({"a": {"b": 1}, "$truto_merge": "{{o:any}}"}, {"o": {"a": {"c": 2}}}, {"a": {"b": 1, "c": 2}}),
    ({"a": 1, "$truto_merge": "{{o:json}}"}, {"o": '{"a": 2}'}, {"a": 2}),
    ({"a": 1, "$truto_merge": "{{o:json}}"}, {"o": [{"a": 2}]}, {"a": 1}),
    ({"a": 1, "$truto_merge": [None, 5, [1], {"b": 2}]}, {}, {"a": 1, "b": 2}),
    ({"$truto_merge": {"x": 1, "$truto_merge": {"y": 2}}}, {}, {"x": 1, "y": 2}),
    ([{"$truto_merge": {"x": 1}}], {}, [{"x": 1}]),
    ({"l": [{"$truto_merge": "{{o:any}}", "b": 1}]}, {"o": {"c": 2}}, {"l": [{"b": 1, "c": 2}]}),
]


def _id(case: tuple[Any, dict[str, Any], Any]) -> str:
    template, context, _ = case
    return f"{template if isinstance(template, str) else json.dumps(template)} with {json.dumps(context, default=repr)}"


def _check(template: Any, context: dict[str, Any], expected: Any) -> None:
    if isinstance(expected, Fails):
        with pytest.raises(PlaceholderError, match=expected.text):
            compile_template(template).render(context)
        return
    value = compile_template(template).render(context)
    expected = template if expected is SAME else expected
    assert (value, type(value)) == (expected, type(expected))


@pytest.mark.parametrize(("template", "context", "expected"), CASES, ids=map(_id, CASES))
def test_a_template_renders_as_trutos_library_does(template: Any, context: dict[str, Any], expected: Any) -> None:
    _check(template, context, expected)


@pytest.mark.parametrize(("template", "context", "expected"), DIFFERENT, ids=map(_id, DIFFERENT))
def test_inserted_text_is_never_read_again_and_unions_are_refused_unlike_in_trutos_library(
    template: Any, context: dict[str, Any], expected: Any
) -> None:
    _check(template, context, expected)


@pytest.mark.parametrize(("template", "context", "expected"), MORE, ids=map(_id, MORE))
def test_a_template_renders_by_the_rules(template: Any, context: dict[str, Any], expected: Any) -> None:
    _check(template, context, expected)


@pytest.mark.parametrize("root", [1, 1.5, True, None, b"x"], ids=repr)
def test_a_root_that_cannot_hold_a_placeholder_is_an_error(root: object) -> None:
    with pytest.raises(PlaceholderError, match="Invalid type"):
        compile_template(root)


@pytest.mark.parametrize("root", [[1], ["a", None], [["a", True]]], ids=repr)
def test_a_constant_in_a_list_outside_of_objects_is_an_error(root: object) -> None:
    with pytest.raises(PlaceholderError, match="Invalid type"):
        compile_template(root)


@pytest.mark.parametrize("text", ["{{/a.*/}}".replace("*", "x"), "{{a./b/}}", "{{a b}}"], ids=str)
def test_what_is_not_supported_is_refused_when_it_is_compiled(text: str) -> None:
    with pytest.raises(PlaceholderError, match="not supported") as raised:
        compile_template({"outer": [text]})
    assert (raised.value.path, raised.value.placeholder) == ("outer.0", text)


def test_a_template_that_holds_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    with pytest.raises(PlaceholderError, match="deeper than 64"):
        compile_template(loop)


def test_rendering_changes_neither_template_nor_context() -> None:
    source = {"b": [1], "$truto_merge": "{{o:json}}"}
    context = {"o": {"b": [2]}}
    template = compile_template(source)
    assert template.render(context) == template.render(context) == {"b": [1, 2]}
    assert (source, context) == ({"b": [1], "$truto_merge": "{{o:json}}"}, {"o": {"b": [2]}})


def test_members_that_are_not_keys_are_never_found() -> None:
    assert compile_template("{{a.__class__}}").render({"a": "x"}) == "{{a.__class__}}"


def test_no_value_is_false_and_names_itself() -> None:
    assert (bool(NO_VALUE), repr(NO_VALUE)) == (False, "NO_VALUE")


@settings(deadline=None)
@given(st.text(alphabet="{}ab.:|?int -_/0$&", max_size=30), st.text(alphabet="{}ab$&", max_size=8))
def test_any_text_renders_or_raises_our_own_error(template: str, value: str) -> None:
    with suppress(PlaceholderError):
        compile_template(template).render({"a": value, "b": [value]})


@settings(deadline=None)
@given(st.text())
def test_a_value_is_inserted_unchanged(value: str) -> None:
    assert compile_template("<{{a}}|{{a}}>").render({"a": value}) == f"<{value}|{value}>"
