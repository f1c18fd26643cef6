"""JSONata as Truto speaks it: the language, Truto's functions, and bounds that make it safe on a server.

Importing this package takes about 0.2 s and is left to those who evaluate expressions; ``truto`` itself does not.
"""

from truto.errors import ExpressionError
from truto.expressions.expression import Expression, compile_expression
from truto.expressions.inputs import Inputs
from truto.expressions.limits import Limits
from truto.expressions.outputs import Output
from truto.expressions.reach import Reach
from truto.expressions.shortcut import UNDECIDED
from truto.expressions.values import UNDEFINED, Undefined, truthy

__all__ = [
    "UNDECIDED",
    "UNDEFINED",
    "Expression",
    "ExpressionError",
    "Inputs",
    "Limits",
    "Output",
    "Reach",
    "Undefined",
    "compile_expression",
    "truthy",
]
