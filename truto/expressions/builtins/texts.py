"""JSONata's functions for text, and ``$eval``."""

from __future__ import annotations

import math
import re
from typing import Any

from truto.errors import ExpressionError
from truto.expressions.evaluator import Evaluator, call, current
from truto.expressions.library import NULL, JException, Utils
from truto.expressions.patterns import Pattern
from truto.expressions.text_form import stringify


def string(arg: Any, prettify: Any) -> Any:
    """``$string(arg, prettify)``."""
    if isinstance(arg, Utils.JList) and arg.outer_wrapper:
        arg = arg[0]
    return None if arg is None else stringify(arg, current().meter, indent=2 if prettify is True else 0)


def lowercase(arg: Any) -> Any:
    """``$lowercase(arg)``; the library folds case, which turns ``ß`` into ``ss``."""
    return None if arg is None else arg.lower()


def pad(arg: Any, width: Any, char: Any) -> Any:
    """``$pad(arg, width, char)``: to the right, or to the left for a negative width."""
    if arg is None or width is None:
        return arg
    missing = min(abs(int(width)), 2**53) - len(arg)
    if missing <= 0:
        return arg
    current().meter.make_text(missing)
    filling = ((char or " ") * (missing // len(char or " ") + 1))[:missing]
    return arg + filling if width > 0 else filling + arg


def split(arg: Any, pattern: Any, limit: Any) -> Any:
    """``$split(arg, separator, limit)``."""
    if arg is None:
        return None
    if limit is not None and limit < 0:
        raise JException("D3020", -1)
    meter = current().meter
    if isinstance(pattern, Pattern):
        pieces = pattern.split(arg)
    elif not isinstance(pattern, str):
        raise JException("T1010", -1)
    else:
        meter.make_elements(arg.count(pattern) if pattern else len(arg))
        pieces = arg.split(pattern) if pattern else list(arg)
    return pieces if limit is None else pieces[: math.floor(limit)]


def replace(arg: Any, pattern: Any, replacement: Any, limit: Any) -> Any:
    """``$replace(arg, pattern, replacement, limit)``: left to right, each place once."""
    if arg is None:
        return None
    if pattern == "":
        raise JException("D3010", -1)
    if limit is not None and limit < 0:
        raise JException("D3011", -1)
    most = None if limit is None else math.floor(limit)
    if most == 0:
        return arg
    if isinstance(pattern, str):
        return _replace_text(arg, pattern, replacement, most)
    if not isinstance(pattern, Pattern):
        raise JException("T1010", -1)
    return pattern.sub(lambda found: _replacement(found, replacement), arg, most or 0)


def match_(arg: Any, pattern: Any, limit: Any) -> Any:
    """``$match(arg, pattern, limit)``."""
    if arg is None:
        return None
    if limit is not None and limit < 0:
        raise JException("D3040", -1)
    if not isinstance(pattern, Pattern):
        raise JException("T1010", -1)
    results = Utils.create_sequence()
    for found in pattern.finditer(arg):
        if limit is not None and len(results) >= limit:
            break
        current().meter.make_elements(1)
        groups = [NULL if group is None else group for group in found.groups()]
        results.append({"match": found.group(), "index": found.start(), "groups": groups})
    return results


def eval_(source: Any, focus: Any) -> Any:
    """``$eval(text, focus)``: the text is bounded, and its evaluation counts as a part of this one."""
    if source is None:
        return None
    running = current()
    if len(source) > running.meter.limits.eval_characters:
        longest = running.meter.limits.eval_characters
        raise ExpressionError(f"$eval takes at most {longest} characters", code="limit_source")
    inner = Evaluator(source, running.environment)
    scope = running.input if focus is None else focus
    if isinstance(scope, list) and not Utils.is_sequence(scope):
        scope = Utils.create_sequence(scope)
        scope.outer_wrapper = True
    return running.eval(inner.ast, scope, running.environment)


def _replace_text(arg: str, old: str, replacement: Any, most: int | None) -> str:
    if not isinstance(replacement, str):
        raise JException("D3012", -1)
    count = arg.count(old) if most is None else min(arg.count(old), most)
    current().meter.make_text(max(0, len(arg) + count * (len(replacement) - len(old))))
    return arg.replace(old, replacement, count)


def _replacement(found: Any, replacement: Any) -> str:
    if isinstance(replacement, str):
        return re.sub(r"\$(\$|\d+)", lambda reference: _group(found, reference[1]), replacement)
    groups = [NULL if group is None else group for group in found.groups()]
    result = call(replacement, {"match": found.group(), "start": found.start(), "end": found.end(), "groups": groups})
    if not isinstance(result, str):
        raise JException("D3012", -1)
    return result


def _group(found: Any, reference: str) -> str:
    """``$1``: the longest number that names a group; the digits behind it are text."""
    if reference == "$":
        return "$"
    groups = (found.group(), *found.groups())
    for length in range(min(len(reference), len(str(len(groups)))), 0, -1):
        if int(reference[:length]) < len(groups):
            return (groups[int(reference[:length])] or "") + reference[length:]
    return reference[len(str(len(groups) - 1)) :] if len(groups) > 1 else ""


FUNCTIONS = {
    "string": ("<x-b?:s>", string),
    "lowercase": ("<s-:s>", lowercase),
    "pad": ("<s-ns?:s>", pad),
    "split": ("<s-(sf)n?:a<s>>", split),
    "replace": ("<s-(sf)(sf)n?:s>", replace),
    "match": ("<s-f<s:o>n?:a<o>>", match_),
    "eval": ("<sx?:x>", eval_),
}
