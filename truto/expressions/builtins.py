"""JSONata's own functions: those of the library, measured, and ours where its are wrong or cannot be bounded.

Replaced because they can run for minutes in one call: ``$replace`` (quadratic; endless with a limit), ``$distinct``,
``$spread``, ``$sort``, ``$pad``, ``$split``, ``$eval``, ``$toMillis`` and the number pictures. Replaced because they
differ from JavaScript: ``$string``, ``$clone``, ``$lowercase``, ``$number``, ``$round``. Replaced by Truto: ``$each``,
``$sift``, ``$keys``; ``$join`` and the base64 pair are with the other functions of Truto.
"""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from truto import javascript
from truto.expressions.errors import ExpressionError
from truto.expressions.evaluator import Evaluator, call, current
from truto.expressions.library import NULL, Functions, JException, Jsonata, Utils
from truto.expressions.patterns import Pattern
from truto.expressions.text_form import stringify
from truto.expressions.values import Wrapped

_MAX_PICTURE = 200
_MAX_NUMBER_TEXT = 1_000
_MAX_ATTEMPTS = 1_000_000
_MAX_URL = 1_000_000
_EXPANDING = frozenset({"encodeUrl", "encodeUrlComponent", "decodeUrl", "decodeUrlComponent"})
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Measured(Jsonata.JFunction):  # type: ignore[misc] # the library has no types
    """A function of the library whose result is measured, and that looks at the clock before it runs."""

    def __init__(self, name: str, inner: Any) -> None:
        super().__init__(inner, None)
        self.signature = inner.signature
        self.function_name = name

    def call(self, input: Any, args: Any) -> Any:  # noqa: A002 (the library's name)
        """Run the function within the bounds of the current evaluation."""
        meter = current().meter
        meter.check_time()
        if self.function_name in _EXPANDING and any(isinstance(arg, str) and len(arg) > _MAX_URL for arg in args or ()):
            raise ExpressionError(f"${self.function_name} takes at most {_MAX_URL} characters", code="limit_size")
        try:
            result = self.function.call(input, args)
        except (ExpressionError, JException, RecursionError, MemoryError):
            raise
        except Exception:  # noqa: BLE001 (the library lets Python's own errors through; their text may quote a value)
            reason = f"${self.function_name}: an argument is not of the kind it takes"
            raise ExpressionError(reason, code="function") from None
        if isinstance(result, str):
            meter.make_text(len(result))
        meter.measure(result)
        return result

    def get_number_of_args(self) -> int:
        """How many arguments the function takes; asked when it is partially applied."""
        count: int = self.function.get_number_of_args()
        return count


class Builtins:
    """Functions that replace the library's; ``None`` is undefined and ``NULL`` is ``null``."""

    @staticmethod
    def string(arg: Any, prettify: Any) -> Any:
        """``$string(arg, prettify)``."""
        if isinstance(arg, Utils.JList) and arg.outer_wrapper:
            arg = arg[0]
        return None if arg is None else stringify(arg, current().meter, indent=2 if prettify is True else 0)

    @staticmethod
    def clone(arg: Any) -> Any:
        """``$clone(arg)``: a deep copy as through JSON."""
        return None if arg is None else _copied(arg)

    @staticmethod
    def lowercase(arg: Any) -> Any:
        """``$lowercase(arg)``; the library folds case, which turns ``ß`` into ``ss``."""
        return _text(arg, str.lower)

    @staticmethod
    def number(arg: Any) -> Any:
        """``$number(arg)``: JSON's notation, ``0x``, ``0o`` and ``0b``, and booleans."""
        if arg is None or (isinstance(arg, int | float) and not isinstance(arg, bool)):
            return arg
        if isinstance(arg, bool):
            return int(arg)
        if not isinstance(arg, str) or not re.fullmatch(
            r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?|0[xXoObB][\da-fA-F]+", arg
        ):
            raise JException("D3030", -1)
        number = javascript.to_number(arg)
        if not math.isfinite(number):
            raise JException("D3030", -1)
        return number

    @staticmethod
    def round(arg: Any, precision: Any) -> Any:
        """``$round(arg, precision)``: half to even."""
        if arg is None:
            return None
        places = 0 if precision is None else int(precision)
        if abs(places) > 300:
            raise ExpressionError("$round takes a precision between -300 and 300", code="function")
        try:
            rounded = Decimal(str(arg)).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
        except InvalidOperation:
            return arg  # more digits than a number has
        return javascript.tidy(float(rounded))

    @staticmethod
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

    @staticmethod
    def split(arg: Any, pattern: Any, limit: Any) -> Any:
        """``$split(arg, separator, limit)``."""
        if arg is None:
            return None
        if limit is not None and limit < 0:
            raise JException("D3020", -1)
        meter = current().meter
        if isinstance(pattern, Pattern):
            pieces = pattern.split(arg)
        else:
            meter.make_elements(arg.count(pattern) if pattern else len(arg))
            pieces = arg.split(pattern) if pattern else list(arg)
        return pieces if limit is None else pieces[: math.floor(limit)]

    @staticmethod
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
        return pattern.sub(lambda found: _replacement(found, replacement), arg, most or 0)

    @staticmethod
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

    @staticmethod
    def sort(arg: Any, comparator: Any) -> Any:
        """``$sort(array, function)``; without a function only numbers or only text."""
        if arg is None or len(arg) < 2 or comparator is not None:
            return Functions.sort(arg, comparator)
        if not (Utils.is_array_of_numbers(arg) or Utils.is_array_of_strings(arg)):
            raise JException("D3070", -1)
        return sorted(arg)

    @staticmethod
    def distinct(arg: Any) -> Any:
        """``$distinct(array)``: deep equality, first ones stay."""
        if not isinstance(arg, list) or len(arg) < 2:
            return arg
        meter, seen, results = current().meter, set(), Utils.create_sequence()
        for item in arg:
            key = _identity(item, meter)
            if key not in seen:
                seen.add(key)
                results.append(item)
        return results

    @staticmethod
    def spread(arg: Any) -> Any:
        """``$spread(arg)``: objects as arrays of objects with one key."""
        if not isinstance(arg, list | dict):
            return arg
        results = Utils.create_sequence()
        for item in arg if isinstance(arg, list) else [arg]:
            current().meter.step()
            if isinstance(item, dict):
                results.extend({key: value} for key, value in item.items())
            elif item is not None:
                results.extend(item if isinstance(item, list) else [item])
        return results

    @staticmethod
    def keys(arg: Any) -> Any:
        """``$keys(arg)``: of one object, or of all objects of an array."""
        found: dict[str, None] = {}
        for item in arg if isinstance(arg, list) else [arg]:
            current().meter.step()
            if isinstance(item, dict):
                found.update(dict.fromkeys(item))
        return Utils.create_sequence_from_iter(found)

    @staticmethod
    def each(arg: Any, function: Any) -> Any:
        """``$each(object, function)``; nothing gives undefined (lib)."""
        if not isinstance(arg, dict):
            return None
        results = Utils.create_sequence()
        for key, value in arg.items():
            result = call(function, value, key, arg)
            if result is not None:
                results.append(result)
        return results

    @staticmethod
    def sift(arg: Any, function: Any) -> Any:
        """``$sift(object, function)``; an empty result is undefined (lib)."""
        if not isinstance(arg, dict):
            return None
        return {key: value for key, value in arg.items() if Jsonata.boolize(call(function, value, key, arg))} or None

    @staticmethod
    def eval(source: Any, focus: Any) -> Any:
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

    @staticmethod
    def format_number(value: Any, picture: Any, options: Any) -> Any:
        """``$formatNumber(number, picture, options)``."""
        return None if value is None else Functions.format_number(value, _picture(picture), options)

    @staticmethod
    def format_base(value: Any, radix: Any) -> Any:
        """``$formatBase(number, radix)``; the library fails on large numbers and writes nothing for zero."""
        if value is None:
            return None
        base = 10 if radix is None else int(radix)
        if not 2 <= base <= len(_DIGITS):
            raise JException("D3100", -1)
        rest, written = abs(round(value)), ""
        while rest:
            rest, digit = divmod(rest, base)
            written = _DIGITS[digit] + written
        return ("-" if value < 0 and written else "") + (written or "0")

    @staticmethod
    def format_integer(value: Any, picture: Any) -> Any:
        """``$formatInteger(number, picture)``; numbers up to 1e15, Roman ones up to 1e6."""
        if value is None:
            return None
        if abs(value) > (1e6 if re.search("[iI]", _picture(picture)) else 1e15):
            raise ExpressionError("$formatInteger: the number is too large for its picture", code="function")
        return Functions.format_integer(value, picture)

    @staticmethod
    def parse_integer(value: Any, picture: Any) -> Any:
        """``$parseInteger(text, picture)``."""
        return None if value is None else Functions.parse_integer(_short(value), _picture(picture))

    @staticmethod
    def to_millis(value: Any, picture: Any) -> Any:
        """``$toMillis(text, picture)``; the library matches with backtracking, so adjacent parts are bounded."""
        if value is None:
            return None
        if picture is not None:
            # Parts that follow each other without a separator can share the text in this many ways.
            runs = re.findall(r"(?:\[[^\]]*\]\w*)+", _picture(picture))
            adjacent = max((run.count("[") for run in runs), default=0)
            if math.comb(len(_short(value)), max(0, adjacent - 1)) > _MAX_ATTEMPTS:
                raise ExpressionError("$toMillis: the picture needs separators", code="function")
        return Functions.datetime_to_millis(_short(value), picture)

    @staticmethod
    def from_millis(value: Any, picture: Any, timezone: Any) -> Any:
        """``$fromMillis(number, picture, timezone)``."""
        return None if value is None else Functions.datetime_from_millis(value, picture and _picture(picture), timezone)


_REPLACED = {
    "string": ("<x-b?:s>", "string"),
    "clone": ("<(oa)-:o>", "clone"),
    "lowercase": ("<s-:s>", "lowercase"),
    "number": ("<(nsb)-:n>", "number"),
    "round": ("<n-n?:n>", "round"),
    "pad": ("<s-ns?:s>", "pad"),
    "split": ("<s-(sf)n?:a<s>>", "split"),
    "replace": ("<s-(sf)(sf)n?:s>", "replace"),
    "match": ("<s-f<s:o>n?:a<o>>", "match_"),
    "sort": ("<af?:a>", "sort"),
    "distinct": ("<x:x>", "distinct"),
    "spread": ("<x-:a<o>>", "spread"),
    "keys": ("<x-:a<s>>", "keys"),
    "each": ("<o-f:a>", "each"),
    "sift": ("<o-f?:o>", "sift"),
    "eval": ("<sx?:x>", "eval"),
    "formatNumber": ("<n-so?:s>", "format_number"),
    "formatBase": ("<n-n?:s>", "format_base"),
    "formatInteger": ("<n-s:s>", "format_integer"),
    "parseInteger": ("<s-s:n>", "parse_integer"),
    "toMillis": ("<s-s?:n>", "to_millis"),
    "fromMillis": ("<n-s?s?:s>", "from_millis"),
}


def builtin_functions() -> dict[str, Measured]:
    """Every function of JSONata by its name."""
    found = {name: function for name, function in Jsonata.static_frame.bindings.items() if Utils.is_function(function)}
    for name, (signature, method) in _REPLACED.items():
        found[name] = Jsonata.function(name, signature, Builtins, method)
    return {name: Measured(name, function) for name, function in found.items()}


def _text(value: Any, change: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, str):
        raise JException("T0410", -1)
    return change(value)


def _picture(picture: Any) -> Any:
    if picture is not None and len(picture) > _MAX_PICTURE:
        raise ExpressionError(f"a picture has at most {_MAX_PICTURE} characters", code="function")
    return picture


def _short(value: str) -> str:
    if len(value) > _MAX_NUMBER_TEXT:
        raise ExpressionError(f"a number or date has at most {_MAX_NUMBER_TEXT} characters", code="function")
    return value


def _copied(value: Any) -> Any:
    current().meter.step()
    if isinstance(value, list):
        return [_copied(item) for item in value]
    if isinstance(value, dict) and not isinstance(value, Wrapped):
        return {key: _copied(item) for key, item in value.items()}
    return value


def _identity(value: Any, meter: Any) -> Any:
    """A hashable that two values share when JSONata calls them equal."""
    meter.step()
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, list):
        return ("array", *(_identity(item, meter) for item in value))
    if isinstance(value, dict) and not isinstance(value, Wrapped):
        return ("object", frozenset((key, _identity(item, meter)) for key, item in value.items()))
    return value if isinstance(value, str | int | float) else ("other", id(value))


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
