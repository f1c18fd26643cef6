"""``$convertHtmlToMarkdown``, ``$convertMarkdownToHtml``.

The libraries differ from Truto's (turndown, marked) in blank lines and list indents, not in meaning. Neither result is
made safe to show: raw HTML in Markdown passes, as it does in Truto.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from truto.expressions.native import refused
from truto.expressions.values import UNDEFINED

# Measured: 0.3 s at worst, and neither library can be interrupted.
_LONGEST = 30_000


def convert_html_to_markdown(html: Any = UNDEFINED) -> str:
    """HTML as Markdown with the tables and strike-through of GitHub."""
    text = _bounded(html)
    converted: str = _converter().convert(text)
    return converted.strip()


def convert_markdown_to_html(markdown: Any = UNDEFINED) -> str:
    """Markdown as HTML, with the tables and strike-through of GitHub."""
    html: str = _renderer().render(_bounded(markdown))
    return html


def _bounded(value: Any) -> str:
    if not isinstance(value, str):
        raise refused("the argument is not text")
    if len(value) > _LONGEST:
        raise refused(f"the text is longer than {_LONGEST} characters")
    return value


@cache
def _converter() -> Any:
    from markdownify import MarkdownConverter

    class Converter(MarkdownConverter):
        """Emphasis and rules as turndown writes them."""

        def convert_em(self, el: Any, text: str, parent_tags: Any) -> str:
            del el, parent_tags
            return f"_{text}_" if text.strip() else text

        convert_i = convert_em

        def convert_hr(self, el: Any, text: str, parent_tags: Any) -> str:
            del el, text, parent_tags
            return "\n\n* * *\n\n"

    return Converter(heading_style="underlined", bullets="*", strip=["script", "style"])


@cache
def _renderer() -> Any:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": True, "maxNesting": 20}).enable(["table", "strikethrough"])


FUNCTIONS = {
    "convertHtmlToMarkdown": convert_html_to_markdown,
    "convertMarkdownToHtml": convert_markdown_to_html,
}
