"""``$xmlToJs``, ``$jsToXml``: the object forms of the package xml-js, compact and not.

Documents with a DTD are refused, and with it entities that multiply or reach outside.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from xml.sax.handler import ContentHandler, feature_namespaces, property_lexical_handler
from xml.sax.saxutils import escape
from xml.sax.xmlreader import InputSource

from defusedxml import DefusedXmlException
from defusedxml.sax import make_parser

from truto import javascript
from truto.expressions.evaluator import current
from truto.expressions.native import options_of, refused
from truto.expressions.values import UNDEFINED

_MAX_DEPTH = 100
_DECLARATION = re.compile(r"\s*<\?xml\s+([^?]*)\?>")
_ATTRIBUTE = re.compile(r"""([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_NAME = re.compile(r"[^\W\d][\w:.-]*")
_READ_OPTIONS = {
    "compact": False,
    "spaces": 0,
    "trim": False,
    "nativeType": False,
    "alwaysArray": False,
    "ignoreDeclaration": False,
    "ignoreInstruction": False,
    "ignoreAttributes": False,
    "ignoreComment": False,
    "ignoreCdata": False,
    "ignoreText": False,
    "ignoreDoctype": False,
}
_WRITE_OPTIONS = {
    "compact": False,
    "spaces": 0,
    "fullTagEmptyElement": False,
    "ignoreDeclaration": False,
    "ignoreInstruction": False,
    "ignoreAttributes": False,
    "ignoreComment": False,
    "ignoreCdata": False,
    "ignoreText": False,
    "ignoreDoctype": False,
}
_IN_LINE = frozenset({"text", "cdata", "instruction"})
"""What stands where it is: white space before a text would become a part of it."""
_IGNORED_BY = {
    "doctype": "ignoreDoctype",
    "text": "ignoreText",
    "cdata": "ignoreCdata",
    "comment": "ignoreComment",
    "instruction": "ignoreInstruction",
}


class _Reader(ContentHandler):
    """Builds the form that is not compact: elements with ``type``, ``name``, ``attributes`` and ``elements``."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.options = options
        self.root: dict[str, Any] = {}
        self._open = [self.root]
        self._text: list[str] = []
        self._in_cdata = False

    def _add(self, item: dict[str, Any]) -> None:
        current().meter.step()
        ignored = _IGNORED_BY.get(item["type"])
        if ignored is None or not self.options[ignored]:
            self._open[-1].setdefault("elements", []).append(item)

    def _flush(self) -> None:
        content, self._text = "".join(self._text), []
        if self._in_cdata and content:
            self._add({"type": "cdata", "cdata": self._trimmed(content)})
        elif content.strip():  # white space between elements is layout, as for xml-js
            content = self._trimmed(content)
            self._add({"type": "text", "text": _typed(content) if self.options["nativeType"] else content})

    def _trimmed(self, text: str) -> str:
        return text.strip() if self.options["trim"] else text

    def startElement(self, name: str, attrs: Any) -> None:  # noqa: N802 (SAX)
        self._flush()
        element: dict[str, Any] = {"type": "element", "name": name}
        if len(attrs) and not self.options["ignoreAttributes"]:
            element["attributes"] = dict(attrs.items())
        self._add(element)
        self._open.append(element)
        if len(self._open) > _MAX_DEPTH:
            raise refused(f"the XML is nested deeper than {_MAX_DEPTH} levels")

    def endElement(self, name: str) -> None:  # noqa: N802
        del name
        self._flush()
        self._open.pop()

    def characters(self, content: str) -> None:
        self._text.append(content)

    def processingInstruction(self, target: str, data: str) -> None:  # noqa: N802
        self._flush()
        self._add({"type": "instruction", "name": target, "instruction": data})

    def comment(self, content: str) -> None:
        self._flush()
        self._add({"type": "comment", "comment": self._trimmed(content)})

    def startCDATA(self) -> None:  # noqa: N802
        self._flush()
        self._in_cdata = True

    def endCDATA(self) -> None:  # noqa: N802
        self._flush()
        self._in_cdata = False

    def startDTD(self, *_: Any) -> None:  # noqa: N802
        raise refused("a document type is not allowed")  # pragma: no cover (the parser refuses it first)

    def endDTD(self) -> None:  # noqa: N802
        """Part of the interface; there is no DTD."""


def xml_to_js(xml: Any = UNDEFINED, options: Any = None) -> Any:
    """The object form of XML, compact unless *options* are given without ``compact`` (lib); bad XML raises."""
    chosen = _flags_of({"compact": True} if options is None else options, _READ_OPTIONS)
    if xml == "":
        return {}
    reader = _Reader(chosen)
    parser = make_parser()
    parser.forbid_dtd = True
    parser.setFeature(feature_namespaces, False)
    parser.setContentHandler(reader)
    parser.setProperty(property_lexical_handler, reader)
    source = InputSource()
    source.setCharacterStream(io.StringIO(_without_declared_encoding(xml)))
    try:
        parser.parse(source)
    except DefusedXmlException:
        raise refused("a document type is not allowed") from None
    root = dict(reader.root)
    declared = _DECLARATION.match(xml)
    if declared and not chosen["ignoreDeclaration"]:
        attributes = {name: double or single for name, double, single in _ATTRIBUTE.findall(declared[1])}
        root = {"declaration": {"attributes": attributes}, **root}
    return _compacted(root, chosen["alwaysArray"]) if chosen["compact"] else root


def _flags_of(given: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    """The options over their defaults; what should be a boolean and is none counts as false, as for xml-js."""
    chosen = options_of(given, known)
    for name, default in known.items():
        names = name == "alwaysArray" and isinstance(chosen[name], list)
        if isinstance(default, bool) and not isinstance(chosen[name], bool) and not names:
            chosen[name] = False
    return chosen


def _without_declared_encoding(xml: str) -> str:
    # The text is decoded already; a declaration of UTF-16 would be taken at its word.
    declared = _DECLARATION.match(xml)
    return xml[declared.end() :] if declared else xml


def _typed(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    number = javascript.to_number(text)
    return text if number != number else number  # NaN is not itself


def _compacted(node: Mapping[str, Any], always: bool | list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if "declaration" in node:
        result["_declaration"] = {"_attributes": node["declaration"]["attributes"]}
    if "attributes" in node:
        result["_attributes"] = node["attributes"]
    for item in node.get("elements", ()):
        kind = item["type"]
        if kind == "element":
            key, value = item["name"], _compacted(item, always)
        elif kind == "instruction":
            key, value = "_instruction", {item["name"]: item["instruction"]}
        else:
            key, value = f"_{kind}", item[kind]
        if key not in result:
            listed = key in always if isinstance(always, list) else always
            result[key] = [value] if listed else value
        elif isinstance(result[key], list):
            result[key].append(value)
        else:
            result[key] = [result[key], value]
    return result


def js_to_xml(value: Any = UNDEFINED, options: Any = None) -> str:
    """XML from either object form, compact and indented by 4 unless there are *options* (lib).

    Names that are no XML names raise.
    """
    chosen = _flags_of({"compact": True, "spaces": 4} if options is None else options, _WRITE_OPTIONS)
    items = list(_items_of_compact(value) if chosen["compact"] else _items(value))
    if chosen["ignoreDeclaration"]:
        items = [item for item in items if item["type"] != "declaration"]
    layout = _Layout(_indent(chosen["spaces"]), bool(chosen["fullTagEmptyElement"]), _ignored_kinds(chosen))
    shown = [item for item in items if item["type"] not in layout.ignored]
    return ("\n" if layout.indent else "").join(_written(item, layout, 0) for item in shown)


class _Layout(NamedTuple):
    indent: str
    full: bool
    ignored: frozenset[str]


def _indent(spaces: Any) -> str:
    """White space for one level; a number of spaces, or the text itself."""
    return spaces[:8] if isinstance(spaces, str) else " " * min(int(spaces or 0), 8)


def _ignored_kinds(options: Mapping[str, Any]) -> frozenset[str]:
    kinds = {"attributes": "ignoreAttributes", **_IGNORED_BY}
    return frozenset(kind for kind, option in kinds.items() if options[option])


def _items(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "declaration" in node:
        yield {"type": "declaration", **node["declaration"]}
    yield from node.get("elements") or ()


def _items_of_compact(node: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(node, Mapping):
        if node is not None and node != "":
            yield {"type": "text", "text": node}
        return
    for key, found in node.items():
        for value in found if isinstance(found, list) else [found]:
            if key == "_declaration":
                yield {"type": "declaration", "attributes": value.get("_attributes", {})}
            elif key == "_instruction":
                yield from ({"type": "instruction", "name": name, **_instructed(data)} for name, data in value.items())
            elif key in ("_text", "_cdata", "_comment", "_doctype"):
                yield {"type": key[1:], key[1:]: value}
            elif key != "_attributes":
                attributes = value.get("_attributes", {}) if isinstance(value, Mapping) else {}
                yield {"type": "element", "name": key, "attributes": attributes, "elements": _items_of_compact(value)}


def _instructed(data: Any) -> Mapping[str, Any]:
    return {"attributes": data.get("_attributes", {})} if isinstance(data, Mapping) else {"instruction": data}


def _written(item: Mapping[str, Any], layout: _Layout, depth: int) -> str:
    current().meter.step()
    kind = item["type"]
    if kind == "text":
        return escape(javascript.text(item["text"]).replace("&amp;", "&"))  # what is escaped once stays so
    if kind == "cdata":
        return f"<![CDATA[{javascript.text(item['cdata']).replace(']]>', ']]]]><![CDATA[>')}]]>"
    if kind == "comment":
        return f"<!--{_without(javascript.text(item['comment']), '--')}-->"
    if kind == "doctype":
        return f"<!DOCTYPE {_without(javascript.text(item['doctype']), '>')}>"
    if kind == "instruction":
        told = _attributes(item, layout) if "attributes" in item else _told(item.get("instruction"))
        return f"<?{_checked(item['name'])}{told}?>"
    if kind == "declaration":
        return f"<?xml{_attributes(item, layout)}?>"
    return _element(item, layout, depth)


def _told(instruction: Any) -> str:
    return f" {_without(javascript.text(instruction), '?>')}" if instruction else ""


def _element(item: Mapping[str, Any], layout: _Layout, depth: int) -> str:
    if depth > _MAX_DEPTH:
        raise refused(f"the object is nested deeper than {_MAX_DEPTH} levels")
    name = _checked(item["name"])
    inner = list(item.get("elements") or ())
    opening = f"{name}{_attributes(item, layout)}"
    if not inner and not layout.full:
        return f"<{opening}/>"
    content, line = "", "\n" + layout.indent * depth if layout.indent else ""
    shown = [each for each in inner if each["type"] not in layout.ignored]
    for each in shown:
        content += "" if each["type"] in _IN_LINE or not line else line + layout.indent
        content += _written(each, layout, depth + 1)
    ending = line if any(each["type"] not in _IN_LINE for each in shown) else ""
    return f"<{opening}>{content}{ending}</{name}>"


def _attributes(item: Mapping[str, Any], layout: _Layout) -> str:
    found = {} if "attributes" in layout.ignored else item.get("attributes") or {}
    return "".join(
        f' {_checked(name)}="{escape(javascript.text(value), {chr(34): "&quot;"})}"'
        for name, value in found.items()
        if value is not None
    )


def _checked(name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise refused("the object holds a name that XML does not allow")
    return name


def _without(text: str, forbidden: str) -> str:
    if forbidden in text:
        raise refused(f"a comment or instruction holds {forbidden!r}")
    return text


FUNCTIONS = {"xmlToJs": xml_to_js, "jsToXml": js_to_xml}
