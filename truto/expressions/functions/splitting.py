"""``$recursiveCharacterTextSplitter``: LangChain's splitter with its four separators."""

from __future__ import annotations

from collections import deque
from typing import Any

from truto import javascript
from truto.expressions.evaluator import current
from truto.expressions.native import options_of, refused
from truto.expressions.text_form import stringify
from truto.expressions.values import UNDEFINED

_SEPARATORS = ("\n\n", "\n", " ", "")


def recursive_character_text_splitter(value: Any = UNDEFINED, options: Any = None) -> list[str]:
    """Chunks of at most ``chunkSize`` characters that share about ``chunkOverlap`` with the one before.

    Paragraphs stay together where they fit, then lines, words, characters. Objects and arrays are split as indented
    JSON. An overlap that is not smaller than the size raises.
    """
    chosen = options_of(options, {"chunkSize": 200, "chunkOverlap": 60})
    size, overlap = int(chosen["chunkSize"]), int(chosen["chunkOverlap"])
    if not 0 <= overlap < size:
        raise refused("chunkOverlap is not smaller than chunkSize")
    if isinstance(value, list | dict):
        value = stringify(value, current().meter, indent=2)
    return _split("" if value in (UNDEFINED, None) else javascript.text(value), _SEPARATORS, size, overlap)


def _split(text: str, separators: tuple[str, ...], size: int, overlap: int) -> list[str]:
    position = next(position for position, each in enumerate(separators) if each in text)
    finer = separators[position + 1 :]
    chunks: list[str] = []
    small: list[str] = []
    for piece in _pieces(text, separators[position]):
        current().meter.step()
        if len(piece) < size or not finer:
            small.append(piece)
        else:
            chunks += [*_merged(small, size, overlap), *_split(piece, finer, size, overlap)]
            small = []
    return chunks + _merged(small, size, overlap)


def _pieces(text: str, separator: str) -> list[str]:
    """The text cut before each separator, which stays at the start of its piece."""
    if not separator:
        return list(text)
    first, *rest = text.split(separator)
    return [piece for piece in (first, *(separator + each for each in rest)) if piece]


def _merged(pieces: list[str], size: int, overlap: int) -> list[str]:
    chunks: list[str] = []
    chunk: deque[str] = deque()
    length = 0
    for piece in pieces:
        if length + len(piece) > size and chunk:
            chunks.append("".join(chunk))
            current().meter.make_text(length)
            while length > overlap or (length and length + len(piece) > size):
                length -= len(chunk.popleft())
        chunk.append(piece)
        length += len(piece)
        current().meter.step()
    stripped = (each.strip() for each in (*chunks, "".join(chunk)))
    return [each for each in stripped if each]


FUNCTIONS = {"recursiveCharacterTextSplitter": recursive_character_text_splitter}
