"""JSONata's own functions: those of the library, measured, and ours where its are wrong or cannot be bounded.

Each module lists its functions by name in ``FUNCTIONS``, with their signatures; inside, ``None`` is undefined and
``NULL`` is ``null``. Replaced because they can run for minutes in one call: ``$replace`` (quadratic; endless with a
limit), ``$distinct``, ``$spread``, ``$sort``, ``$pad``, ``$split``, ``$eval``, ``$toMillis`` and the number pictures.
Replaced because they differ from JavaScript's, or call functions without looking at their signatures: the others.
Replaced by Truto: ``$each``, ``$sift``, ``$keys``; ``$join`` and the base64 pair are with the other functions of Truto.
"""

from __future__ import annotations

from truto.expressions.builtins import arrays, dates, higher_order, numbers, texts
from truto.expressions.builtins.measured import Measured
from truto.expressions.library import Jsonata, Utils

_MODULES = (arrays, dates, higher_order, numbers, texts)


def builtin_functions() -> dict[str, Measured]:
    """Every function of JSONata by its name."""
    found = {name: function for name, function in Jsonata.static_frame.bindings.items() if Utils.is_function(function)}
    for module in _MODULES:
        for name, (signature, function) in module.FUNCTIONS.items():
            found[name] = Jsonata.function(name, signature, module, function.__name__)
    return {name: Measured(name, function) for name, function in found.items()}
