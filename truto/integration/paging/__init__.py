"""Pagination: one class for each of Truto's formats."""

from __future__ import annotations

from truto.integration.expressions import Tell
from truto.integration.pagination import (
    CursorConfig,
    DynamicConfig,
    LinkHeaderConfig,
    OffsetConfig,
    PageConfig,
    Pagination,
)
from truto.integration.paging.base import DEFAULT_LIMIT, Follow, Pager, Reply, Turn
from truto.integration.paging.cursors import Cursors
from truto.integration.paging.dynamic import Dynamic
from truto.integration.paging.links import Links
from truto.integration.paging.numbered import Pages
from truto.integration.paging.offsets import Offsets, Ranges


def pager_of(pagination: Pagination, at: str, tell: Tell) -> Pager:
    """The pager of a definition's ``pagination``, which stands at *at*."""
    place = f"{at}.config"
    match pagination.config:
        case PageConfig() as config:
            return Pages(config, place)
        case CursorConfig() as config:
            return Cursors(config, place)
        case LinkHeaderConfig() as config:
            return Links(config, place)
        case OffsetConfig() as config:
            return Offsets(config, place)
        case DynamicConfig() as config:
            return Dynamic(config, place, tell)
        case config:
            return Ranges(config, place)


__all__ = ["DEFAULT_LIMIT", "Follow", "Pager", "Reply", "Turn", "pager_of"]
