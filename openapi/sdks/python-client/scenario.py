"""What every client can do, with the one of openapi-python-client: `scenario.py <url> <log>`."""

import sys

from everlog import Client
from everlog.api.logs import put_log
from everlog.api.projectors import put_projector
from everlog.api.publish import publish_to_category, publish_to_stream
from everlog.api.queries import search_projection
from everlog.api.read import read_category
from everlog.models import (
    CategoryWrite, EntryPage, Filter, LogInput, EventInput, Operand, Problem, ProjectorInput, ProjectorInputHandlers,
    ProjectorSource, PublishToCategory, PublishToStream, Query, Sort,
)

url, log = sys.argv[1:]
client = Client(url)


def done(step):
    print("ok", step, flush=True)


def publish(name, total, **conditions):
    body = PublishToStream(events=[EventInput(name=name, payload={"total": total}, id=ids[name])])
    return publish_to_stream.sync(log, "orders", "o-1", client=client, body=body, **conditions)


ids = {"order-placed": "0197c3a0-0000-7000-8000-000000000001", "order-paid": "0197c3a0-0000-7000-8000-000000000002",
       "order-lost": "0197c3a0-0000-7000-8000-000000000003"}
put_log.sync(log, client=client, body=LogInput())
placed = publish("order-placed", 5, if_none_match="*")
paid = publish("order-paid", 5, if_match=f'"{placed.position}"')
assert (placed.position, paid.position, paid.replayed) == (0, 1, False), paid
done("publish")

lost = publish("order-lost", 7, if_match=f'"{placed.position}"')
assert isinstance(lost, Problem) and lost.code == "write-condition-failed", lost
assert (lost.status, lost.actual_position) == (412, paid.position), lost
done("race")

again = publish("order-placed", 5, if_none_match="*")
assert again.replayed and again.events[0].sequence_number == placed.events[0].sequence_number, again
done("replay")

writes = [CategoryWrite(stream=f"o-{n}", events=[EventInput(name="order-placed", payload={"total": n})]) for n in range(2, 6)]
written = publish_to_category.sync(log, "orders", client=client, body=PublishToCategory(writes=writes))
seen, after = [], "0"
while True:
    page = read_category.sync(log, "orders", client=client, after=after, limit=4)
    seen += [event.sequence_number for event in page.events]
    if page.page.at_end:
        break
    after = page.page.after
assert len(seen) == 6 and seen == sorted(set(seen)) and seen[-1] == written.sequence_number, seen
done("page")

handlers = ProjectorInputHandlers()
handlers["order-placed"] = "(state, { payload }) => ({ total: state.total + payload.total })"
source = ProjectorSource(category="orders")
definition = ProjectorInput(source=source, handlers=handlers, initial_state={"total": 0})
projector = put_projector.sync(log, "totals", client=client, body=definition)
assert projector.projector == "totals", projector
done("project")

query = Query(filter_=Filter(ge=Operand(path="/state/total", value=4)), sort=[Sort(path="/state/total", order="desc")])
found = search_projection.sync(
    log, "totals", client=client, body=query, min_sequence_number=written.sequence_number, wait=30)
assert isinstance(found, EntryPage), found
totals = [(entry.id, entry.state["total"]) for entry in found.entries]
assert len(totals) == 3 and totals[0][1] == 5 and totals[2][0] == "o-4", totals
done("search")
