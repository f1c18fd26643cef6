"""Bytes that are changed in one place, as a forger, a fault on the way or a broken server changes them."""

from __future__ import annotations

import random
from collections.abc import Sequence

KINDS = 8
"""How many ways there are to change one place."""


def changed(
    data: bytes, at: int, kind: int, rng: random.Random, *, words: Sequence[bytes], others: Sequence[bytes]
) -> bytes:
    """*data* with the place *at* changed in the way *kind*; *words* may be put in, and the rest be that of *others*."""
    before, here, after = data[:at], data[at : at + 1], data[at + 1 :]
    match kind:
        case 0:
            return before + (bytes([here[0] ^ 1]) if here else b"0") + after
        case 1:
            return before + (bytes([here[0] ^ 0x20]) if here else b" ") + after
        case 2:
            return before + bytes([rng.randrange(256)]) + after
        case 3:
            return before + after
        case 4:
            return before + bytes([rng.randrange(256)]) + here + after
        case 5:
            return before + here + here + after
        case 6:
            return before + rng.choice(words) + here + after
        case _:
            other = rng.choice(others)
            return before + other[rng.randrange(len(other) + 1) :]


def mutated(
    data: bytes, rng: random.Random, *, words: Sequence[bytes], others: Sequence[bytes], most: int = 4
) -> bytes:
    """*data* changed in one to *most* places, which need not stay what they were."""
    for _ in range(rng.randint(1, most)):
        data = changed(data, rng.randrange(len(data) + 1), rng.randrange(KINDS), rng, words=words, others=others)
    return data
