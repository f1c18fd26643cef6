"""A change in the third-party app: read the record through the unified API. An example to build on."""

from __future__ import annotations

from events import Event
from truto import NotFound
from worker import Context, Discard, on


@on("record:created", "record:updated")
async def read_record(event: Event, ctx: Context) -> None:
    """Fetch the record that changed. Which fields name it depends on the integration's transform."""
    resource = event.payload.get("resource") or event.payload.get("resource_type")
    record_id = event.payload.get("id") or event.payload.get("resource_id")
    if not (isinstance(resource, str) and "/" in resource and isinstance(record_id, str) and event.account_id):
        raise Discard("the event names no unified resource, record and account")
    model, _, name = resource.partition("/")
    try:
        record = await ctx.truto.unified(model, name).get(record_id, integrated_account_id=event.account_id)
    except NotFound:
        raise Discard("the record is gone by now") from None
    ctx.log.info("record_read", resource=resource, account_id=event.account_id, fields=len(record))
