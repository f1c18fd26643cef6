"""Functions that Truto has and this package does not: they raise, naming themselves and the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from truto.expressions.native import refused

REASONS = {
    "parseDocument": "it needs Truto's document parser",
    "generateEmbeddingsCohere": "it calls api.cohere.com",
    "jsonToParquet": "its result is a file, which is not JSON",
    "convertMdToPdf": "its result is a file, which is not JSON",
    "teeStream": "there are no streams here",
    "convertMarkdownToNotion": "Truto does not document its result",
    "convertMarkdownToSlack": "Truto does not document its result",
    "convertMarkdownToGoogleDocs": "Truto does not document its result",
    "convertMarkdownToAdf": "Truto does not document its result",
    "convertNotionToMarkdown": "it reads Notion's blocks through Notion's API",
    "convertNotionToMd": "it reads Notion's blocks through Notion's API",
}


def _unavailable(reason: str) -> Callable[..., Any]:
    def function(*arguments: Any) -> Any:
        del arguments
        raise refused(f"not available here: {reason}")

    return function


FUNCTIONS = {name: _unavailable(reason) for name, reason in REASONS.items()}
