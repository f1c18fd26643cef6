"""Pagination, as a definition writes it (seed; other spellings: skill)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, StrictBool

from truto.integration.parts import Number, Part, Size, also


class Placed(Part):
    """Where the values of a page go. Without a choice they go into the query."""

    add_to_body: StrictBool = False
    add_to_query: StrictBool | None = None
    headers: dict[str, Any] = Field(default_factory=dict)
    max_limit: Size | None = None

    @property
    def in_query(self) -> bool:
        """``add_to_query``, by default what ``add_to_body`` is not (seed)."""
        return not self.add_to_body if self.add_to_query is None else self.add_to_query


class PageConfig(Placed):
    """Numbered pages."""

    page_key: str = Field(default="page", validation_alias=AliasChoices("page_key", "page_param"))
    limit_key: str = Field(default="limit", validation_alias=AliasChoices("limit_key", "limit_param"))
    starting_page: Number = "1"
    ignore_limit: StrictBool = False
    use_content_hash: StrictBool = True


class CursorConfig(Placed):
    """A cursor that each page names for the next one."""

    cursor_key: str = "cursor"
    cursor_path: str
    cursor_path_object: Literal["body", "header"] = "body"
    prev_cursor_path: str | None = None
    has_next_path: str | None = None
    is_link: StrictBool = False
    include_path: StrictBool = False
    is_cursor_url_encoded: StrictBool = False
    allow_empty_page_cursor: StrictBool = False
    limit_key: str | None = also("limit_key", "limit_param")
    limit_data_type: Literal["number", "string"] = "number"
    ignore_limit_in_pagination: StrictBool = False
    use_content_hash: StrictBool = True


class LinkHeaderConfig(Part):
    """The ``Link`` header's ``rel="next"``."""

    limit_key: str | None = None
    page_key: str | None = None
    max_limit: Size | None = None
    ignore_limit: StrictBool = False
    headers: dict[str, Any] = Field(default_factory=dict)


class OffsetConfig(Placed):
    """The number of records before the page."""

    offset_key: str = Field(default="offset", validation_alias=AliasChoices("offset_key", "offset_param"))
    limit_key: str = Field(default="limit", validation_alias=AliasChoices("limit_key", "limit_param"))
    default_offset: Number = "0"
    total_path: str | None = None
    ignore_limit: StrictBool = False
    use_content_hash: StrictBool = True


class RangeConfig(Placed):
    """The first record, and the one behind the last."""

    start_key: str = "start"
    end_key: str = "end"
    default_start: Number = "0"
    total_path: str | None = None
    ignore_limit: StrictBool = False


class DynamicConfig(Part):
    """Three JSONata expressions."""

    get_cursor_from_response_expression: str
    get_initial_pagination_values_expression: str | None = None
    get_pagination_values_expression: str | None = None


class PagePagination(Part):
    """Format ``page``."""

    format: Literal["page"]
    config: PageConfig = PageConfig()


class CursorPagination(Part):
    """Format ``cursor``."""

    format: Literal["cursor"]
    config: CursorConfig


class LinkHeaderPagination(Part):
    """Format ``link_header``."""

    format: Literal["link_header"]
    config: LinkHeaderConfig = LinkHeaderConfig()


class OffsetPagination(Part):
    """Format ``offset``."""

    format: Literal["offset"]
    config: OffsetConfig = OffsetConfig()


class RangePagination(Part):
    """Format ``range``."""

    format: Literal["range"]
    config: RangeConfig = RangeConfig()


class DynamicPagination(Part):
    """Format ``dynamic``."""

    format: Literal["dynamic"]
    config: DynamicConfig


Pagination = Annotated[
    PagePagination | CursorPagination | LinkHeaderPagination | OffsetPagination | RangePagination | DynamicPagination,
    Field(discriminator="format"),
]
