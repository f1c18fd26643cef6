"""The fields of an XML body, in the form in which references and expressions name them."""

from __future__ import annotations

from typing import Any
from xml.sax import SAXException
from xml.sax.handler import ContentHandler

from events import MalformedEvent

MAX_DEPTH = 100
MAX_ELEMENTS = 100_000

_MAX_ATTRIBUTES = 200_000


def read_xml(body: bytes) -> dict[str, Any]:
    """The root element of *body* by its name; prefixes of namespaces are left out of all names.

    An element is the object of its children and attributes (``@name``), a repeated child a list; one that holds nothing
    but text is that text, which otherwise stands under ``#text``. Raises :class:`MalformedEvent` for everything with a
    document type, and with it for entities that multiply or lead outside.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.sax import parseString

    if body.count(b"<") > 2 * MAX_ELEMENTS or body.count(b"=") > _MAX_ATTRIBUTES:
        raise MalformedEvent("too_complex", f"the body has more than {MAX_ELEMENTS} elements, or too many attributes")
    reader = _Reader()
    try:
        parseString(body, reader, forbid_dtd=True)
    except DefusedXmlException as exc:
        raise MalformedEvent("xml_document_type", "the body has a document type, which is not read") from exc
    except (SAXException, ValueError, LookupError) as exc:
        raise MalformedEvent("not_xml", "the body is not XML") from exc
    return reader.root


class _Reader(ContentHandler):
    def __init__(self) -> None:
        super().__init__()
        self.root: dict[str, Any] = {}
        self._open: list[dict[str, Any]] = [self.root]
        self._texts: list[list[str]] = [[]]

    def startElement(self, name: str, attrs: Any) -> None:  # noqa: N802  SAX
        if len(self._open) > MAX_DEPTH:
            raise MalformedEvent("too_complex", f"the body is nested deeper than {MAX_DEPTH} levels")
        given = {key: value for key, value in attrs.items() if key != "xmlns" and not key.startswith("xmlns:")}
        self._open.append({f"@{_local(key)}": value for key, value in given.items()})
        self._texts.append([])

    def endElement(self, name: str) -> None:  # noqa: N802
        element, text = self._open.pop(), "".join(self._texts.pop()).strip()
        if text and element:
            element["#text"] = text
        _add(self._open[-1], _local(name), element or text)

    def characters(self, content: str) -> None:
        self._texts[-1].append(content)


def _add(parent: dict[str, Any], name: str, value: Any) -> None:
    known = parent.get(name)
    if known is None:
        parent[name] = value
    elif isinstance(known, list):
        known.append(value)
    else:
        parent[name] = [known, value]


def _local(name: str) -> str:
    return name.rpartition(":")[2]
