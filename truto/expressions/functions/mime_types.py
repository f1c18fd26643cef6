"""``$getMimeType``: the types that the package mime 4 knows, as far as files of business have them (lib)."""

from __future__ import annotations

import mimetypes
import re
from typing import Any

# An instance of its own holds the built-in table only; the module would read files of the system.
_TYPES = mimetypes.MimeTypes().types_map[True]
# By type, the extensions that Python's table lacks or names otherwise.
_EXTENSIONS = {
    "application/atom+xml": "atom",
    "application/epub+zip": "epub",
    "application/geo+json": "geojson",
    "application/gpx+xml": "gpx",
    "application/gzip": "gz",
    "application/java-archive": "jar",
    "application/java-vm": "class",
    "application/json": "map",
    "application/json5": "json5",
    "application/jsonml+json": "jsonml",
    "application/ld+json": "jsonld",
    "application/node": "cjs",
    "application/octet-stream": "deb dmg iso msi",
    "application/pgp-keys": "asc",
    "application/pkcs7-mime": "p7m",
    "application/pkcs7-signature": "p7s",
    "application/pkix-cert": "cer",
    "application/rdf+xml": "rdf",
    "application/rls-services+xml": "rs",
    "application/rss+xml": "rss",
    "application/rtf": "rtf",
    "application/sql": "sql",
    "application/toml": "toml",
    "application/vnd.amazon.ebook": "azw",
    "application/vnd.android.package-archive": "apk",
    "application/vnd.apple.keynote": "key",
    "application/vnd.apple.numbers": "numbers",
    "application/vnd.apple.pages": "pages",
    "application/vnd.apple.pkpass": "pkpass",
    "application/vnd.citationstyles.style+xml": "csl",
    "application/vnd.google-earth.kml+xml": "kml",
    "application/vnd.google-earth.kmz": "kmz",
    "application/vnd.ms-excel": "xlt",
    "application/vnd.ms-excel.sheet.binary.macroenabled.12": "xlsb",
    "application/vnd.ms-excel.sheet.macroenabled.12": "xlsm",
    "application/vnd.ms-fontobject": "eot",
    "application/vnd.ms-outlook": "msg",
    "application/vnd.ms-powerpoint.presentation.macroenabled.12": "pptm",
    "application/vnd.ms-word.document.macroenabled.12": "docm",
    "application/vnd.ms-xpsdocument": "xps",
    "application/vnd.oasis.opendocument.presentation": "odp",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.openxmlformats-officedocument.presentationml.slideshow": "ppsx",
    "application/vnd.openxmlformats-officedocument.presentationml.template": "potx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.template": "xltx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.template": "dotx",
    "application/vnd.rar": "rar",
    "application/vnd.visio": "vsd",
    "application/x-7z-compressed": "7z",
    "application/x-abiword": "abw",
    "application/x-bittorrent": "torrent",
    "application/x-bzip2": "bz2",
    "application/x-httpd-php": "php",
    "application/x-mobipocket-ebook": "mobi",
    "application/x-msdownload": "bat",
    "application/x-perl": "pl",
    "application/x-pkcs7-certificates": "p7b",
    "application/x-redhat-package-manager": "rpm",
    "application/x-subrip": "srt",
    "application/x-x509-ca-cert": "crt der pem",
    "application/x-xz": "xz",
    "application/xhtml+xml": "xhtml",
    "application/xml": "xml xsd",
    "application/xslt+xml": "xslt",
    "application/xspf+xml": "xspf",
    "audio/midi": "mid",
    "audio/mp4": "m4a",
    "audio/ogg": "oga ogg opus",
    "audio/wav": "wav",
    "audio/webm": "weba",
    "audio/x-flac": "flac",
    "audio/x-mpegurl": "m3u",
    "audio/x-ms-wma": "wma",
    "font/collection": "ttc",
    "font/otf": "otf",
    "font/ttf": "ttf",
    "font/woff": "woff",
    "font/woff2": "woff2",
    "image/heic-sequence": "heics",
    "image/svg+xml": "svgz",
    "image/vnd.adobe.photoshop": "psd",
    "image/vnd.dwg": "dwg",
    "image/vnd.dxf": "dxf",
    "image/webp": "webp",
    "model/gltf+json": "gltf",
    "model/gltf-binary": "glb",
    "text/calendar": "ics",
    "text/javascript": "js mjs",
    "text/jsx": "jsx",
    "text/less": "less",
    "text/markdown": "markdown md",
    "text/mdx": "mdx",
    "text/plain": "conf def in ini list log text",
    "text/x-c": "c cpp h",
    "text/x-java-source": "java",
    "text/x-lua": "lua",
    "text/x-sass": "sass",
    "text/x-scss": "scss",
    "text/x-vcalendar": "vcs",
    "text/yaml": "yaml yml",
    "video/3gpp": "3gp",
    "video/3gpp2": "3g2",
    "video/mp2t": "ts",
    "video/ogg": "ogv",
    "video/x-m4v": "m4v",
    "video/x-matroska": "mkv",
    "video/x-ms-wmv": "wmv",
}
_MORE = {f".{extension}": kind for kind, names in _EXTENSIONS.items() for extension in names.split()}
_NONE = frozenset({".a", ".o", ".obj", ".py", ".pyc", ".pyo", ".so"})


def get_mime_type(name: Any = None) -> str | None:
    """The MIME type of a file name or an extension; ``null`` when unknown, and for a path without an extension."""
    if not isinstance(name, str):
        return None
    last = re.split(r"[/\\\\]", name)[-1].lower()
    extension = last.rpartition(".")[2]
    if len(extension) >= len(last) - 1 and len(last) < len(name):
        return None
    found = f".{extension}"
    return None if found in _NONE else _MORE.get(found) or _TYPES.get(found)


FUNCTIONS = {"getMimeType": get_mime_type}
