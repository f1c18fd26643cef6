"""What the parts of a definition have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Number = Annotated[str, BeforeValidator(_text), Field(pattern=r"^-?[0-9]{1,18}$")]
"""A whole number that documents write as text."""
Size = Annotated[int, Field(ge=1, le=1_000_000)]


def also(name: str, *others: str) -> Any:
    """A field with the spellings of other documents."""
    return Field(default=None, validation_alias=AliasChoices(name, *others))


class Part(BaseModel):
    """A part of the definition; keys that are not known are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        """Except for ``pagination``, which null switches off for one method (skill)."""
        if isinstance(value, Mapping):
            return {key: each for key, each in value.items() if each is not None or key == "pagination"}
        return value
