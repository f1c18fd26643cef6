"""What a function's signature takes: jsonata-python's, which takes ``null`` for undefined."""

from __future__ import annotations

from typing import Any

from truto.expressions.library import NULL, LibrarySignature


class Signature(LibrarySignature):  # type: ignore[misc] # the library has no types
    """A signature that tells ``null`` from undefined."""

    @classmethod
    def of(cls, signature: Any) -> Signature:
        """The same signature, as the library has read it."""
        if isinstance(signature, cls):
            return signature
        exact = cls.__new__(cls)
        exact.__dict__.update(signature.__dict__)
        return exact

    @property
    def arity(self) -> int:
        """How many arguments it takes at most."""
        return len(self._params)

    def get_symbol(self, value: Any) -> str:
        """The letter of the kind of *value*: ``l`` for ``null``, ``m`` for undefined."""
        return "l" if value is NULL else str(super().get_symbol(value))
