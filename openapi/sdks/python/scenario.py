"""What every client can do, with the one of openapi-generator: `scenario.py <url> <log>`."""

import sys

import everlog
from everlog import CategoryWrite, EventInput, Operand, ProjectorInput, ProjectorSource, PublishToCategory, PublishToStream

url, log = sys.argv[1:]
client = everlog.ApiClient(everlog.Configuration(host=url))
publishing, reading = everlog.PublishApi(client), everlog.ReadApi(client)


def done(step):
    print("ok", step, flush=True)


def publish(name, total, **conditions):
    body = PublishToStream(events=[EventInput(name=name, payload={"total": total}, id=ids[name])])
    return publishing.publish_to_stream(log, "orders", "o-1", body, **conditions)


ids = {"order-placed": "0197c3a0-0000-7000-8000-000000000001", "order-paid": "0197c3a0-0000-7000-8000-000000000002",
       "order-lost": "0197c3a0-0000-7000-8000-000000000003"}
everlog.LogsApi(client).put_log(log, everlog.LogInput())
placed = publish("order-placed", 5, if_none_match="*")
paid = publish("order-paid", 5, if_match=f'"{placed.position}"')
assert (placed.position, paid.position, paid.replayed) == (0, 1, False), paid
done("publish")

try:
    raise AssertionError(publish("order-lost", 7, if_match=f'"{placed.position}"'))
except everlog.ApiException as error:
    lost = error.data
assert isinstance(lost, everlog.Problem) and lost.code == "write-condition-failed", lost
assert (lost.status, lost.actual_position) == (412, paid.position), lost
done("race")

again = publish("order-placed", 5, if_none_match="*")
assert again.replayed and again.events[0].sequence_number == placed.events[0].sequence_number, again
done("replay")

writes = [CategoryWrite(stream=f"o-{n}", events=[EventInput(name="order-placed", payload={"total": n})]) for n in range(2, 6)]
written = publishing.publish_to_category(log, "orders", PublishToCategory(writes=writes))
seen, after = [], "0"
while True:
    page = reading.read_category(log, "orders", after=after, limit=4)
    seen += [event.sequence_number for event in page.events]
    if page.page.at_end:
        break
    after = page.page.after
assert len(seen) == 6 and seen == sorted(set(seen)) and seen[-1] == written.sequence_number, seen
done("page")

handlers = {"order-placed": "(state, { payload }) => ({ total: state.total + payload.total })"}
source = ProjectorSource(category="orders")
definition = ProjectorInput(source=source, handlers=handlers, initial_state={"total": 0})
projector = everlog.ProjectorsApi(client).put_projector(log, "totals", definition)
assert projector.projector == "totals", projector
done("project")

query = everlog.Query(
    filter=everlog.Filter(ge=Operand(path="/state/total", value=4)),
    sort=[everlog.Sort(path="/state/total", order="desc")])
found = everlog.QueriesApi(client).search_projection(
    log, "totals", query, min_sequence_number=written.sequence_number, wait=30)
totals = [(entry.id, entry.state["total"]) for entry in found.entries]
assert len(totals) == 3 and totals[0][1] == 5 and totals[2][0] == "o-4", totals
done("search")
