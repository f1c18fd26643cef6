"""``$wrap``, ``$mostSimilar``, ``$diceCoefficient``."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from truto import javascript
from truto.expressions.evaluator import current
from truto.expressions.functions.collections import join
from truto.expressions.functions.iteratees import is_true
from truto.expressions.values import UNDEFINED


def wrap(value: Any = UNDEFINED, start: Any = UNDEFINED, end: Any = UNDEFINED) -> str:
    """*value* between *start* and *end*, which is *start* again where it is empty; null and undefined are nothing."""
    return join([start, value, end if is_true(end) else start], "")


def most_similar(value: Any, candidates: Any = UNDEFINED, threshold: Any = 0.8) -> Any:
    """The candidate with the best Dice score; *value* itself when none reaches the threshold (lib)."""
    best, best_score = value, 0.0
    for candidate in candidates if isinstance(candidates, list) else []:
        current().meter.check_time()
        score = _dice(_normal(value), _normal(candidate))
        if score > best_score:
            best, best_score = candidate, score
    return best if best_score >= threshold else value


def dice_coefficient(left: Any, right: Any) -> float:
    """How alike two texts are, from 0 to 1, by the pairs of letters and digits they share, ignoring case."""
    return 1 if left == right else javascript.tidy(_dice(_normal(left), _normal(right)))


def _normal(value: str) -> str:
    return re.sub("[^a-z0-9]", "", value.lower())


def _dice(left: str, right: str) -> float:
    pairs_left, pairs_right = _pairs(left), _pairs(right)
    count = pairs_left.total() + pairs_right.total()
    return 2 * (pairs_left & pairs_right).total() / count if count else 0.0


def _pairs(text: str) -> Counter[str]:
    return Counter(text[start : start + 2] for start in range(len(text) - 1))


FUNCTIONS = {"wrap": wrap, "mostSimilar": most_similar, "diceCoefficient": dice_coefficient}
