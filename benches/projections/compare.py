"""Projections of Everlog beside those of the Python library logicblocks.event.store, on one Postgres server.

    python3 -m venv venv && venv/bin/pip install --pre logicblocks-event-store "psycopg[binary,pool]"   # Python 3.13
    venv/bin/python benches/projections/compare.py http://127.0.0.1:4100 HOST:PORT/DATABASE USER

Both get the same documents: the library in the table that its documentation gives, in a database of its own; Everlog
over HTTP, from a server that runs on another database. One client each, which waits for every answer; the library is
called in the client's process. Rounds alternate between the two; each figure is the median of all.
"""

import asyncio
import http.client
import json
import random
import statistics
import sys
import time

import psycopg
from logicblocks.event.persistence.postgres import ConnectionSettings
from logicblocks.event.projection.store.adapters.postgres import PostgresProjectionStorageAdapter
from logicblocks.event.query import (
    FilterClause, KeySetPagingClause, Lookup, OffsetPagingClause, Operator, Path, Search, SortClause, SortField,
    SortOrder,
)
from logicblocks.event.types import Projection
from logicblocks.event.types.identifier import StreamIdentifier

DOCUMENTS, ROUNDS, CALLS = 100_000, 3, 15
TABLE = """
CREATE EXTENSION IF NOT EXISTS pg_trgm;
DROP TABLE IF EXISTS projections;
CREATE TABLE projections (
    id text NOT NULL, name text NOT NULL, source jsonb NOT NULL, state jsonb NOT NULL, metadata jsonb NOT NULL,
    PRIMARY KEY (name, id));
CREATE INDEX projections_name_source ON projections (name, source);
"""


def state(n):
    draw = random.Random(n)
    return {
        "country": draw.choice(["SE", "NO", "DK", "FI", "DE", "FR", "IT", "ES"]),
        "status": draw.choice(["open", "paid", "void"]),
        "total": draw.randrange(100_000), "name": f"name {draw.randrange(1_000_000)}", "filler": "x" * 320,
    }


def identity(n):
    return f"doc-{n:07d}"


class Everlog:
    def __init__(self, url, projection):
        self.connection = http.client.HTTPConnection(url.removeprefix("http://"))
        self.path = f"/v1/logs/default/projections/{projection}"

    def call(self, method, path="", body=None):
        headers = {"content-type": "application/json"} if body is not None else {}
        self.connection.request(method, self.path + path, body and json.dumps(body), headers)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status < 300, (answer.status, text)
        return json.loads(text)

    def load(self):
        for first in range(0, DOCUMENTS, 1_000):
            source = {"category": "c", "stream": "s"}
            entries = [{"id": identity(n), "source": source, "state": state(n)} for n in range(first, first + 1_000)]
            self.call("POST", "/entries", {"entries": entries})

    def declare(self):
        fields = [{"path": "/state/country"}, {"path": "/state/status"}, {"path": "/state/total", "order": "desc"}]
        self.call("PUT", "", {"indexes": [{"name": "by_total", "fields": fields}]})
        while not all(index["ready"] for index in self.call("GET")["indexes"]):
            time.sleep(0.1)


FILTER = {"and": [{"eq": {"path": "/state/country", "value": "SE"}}, {"eq": {"path": "/state/status", "value": "open"}}]}
SORT = [{"path": "/state/total", "order": "desc"}]
SEED_FILTER = [
    FilterClause(Operator.EQUAL, Path("name"), "bench"),
    FilterClause(Operator.EQUAL, Path("state", "country"), "SE"),
    FilterClause(Operator.EQUAL, Path("state", "status"), "open"),
]
SEED_SORT = SortClause([SortField(Path("state", "total"), SortOrder.DESC)])


def everlog_calls(everlog):
    query = {"filter": FILTER, "sort": SORT}
    fifth = everlog.call("POST", "/search", {**query, "page": {"limit": 50}})["page"]["next"]
    draw = random.Random(1)
    return {
        "load by id": lambda: everlog.call("GET", f"/entries/{identity(draw.randrange(DOCUMENTS))}"),
        "save one": lambda: everlog.call(
            "PUT", f"/entries/{identity(draw.randrange(DOCUMENTS))}",
            {"source": {"category": "c", "stream": "s"}, "state": state(draw.randrange(DOCUMENTS))}),
        "filter, sort, page 5 by number": lambda: everlog.call(
            "POST", "/search", {**query, "page": {"number": 5, "size": 10}}),
        "filter, sort, page after a place": lambda: everlog.call(
            "POST", "/search", {**query, "page": {"limit": 10, "after": fifth}}),
        "filter, count": lambda: everlog.call("POST", "/count", {"filter": FILTER}),
    }


async def seed_calls(adapter):
    def search(paging):
        return Search(filters=SEED_FILTER, sort=SEED_SORT, paging=paging)

    fifth = (await adapter.find_many(search=search(OffsetPagingClause(page_number=5, item_count=10))))[-1].id
    draw = random.Random(1)

    def projection():
        n = draw.randrange(DOCUMENTS)
        source = StreamIdentifier(category="c", stream="s")
        return Projection(id=identity(n), name="bench", source=source, state=state(n), metadata={})

    return {
        "load by id": lambda: adapter.find_one(lookup=Lookup(filters=[
            FilterClause(Operator.EQUAL, Path("name"), "bench"),
            FilterClause(Operator.EQUAL, Path("id"), identity(draw.randrange(DOCUMENTS)))])),
        "save one": lambda: adapter.save(projection=projection()),
        "filter, sort, page 5 by number": lambda: adapter.find_many(
            search=search(OffsetPagingClause(page_number=5, item_count=10))),
        "filter, sort, page after a place": lambda: adapter.find_many(
            search=search(KeySetPagingClause(last_id=fifth, item_count=10))),
        "filter, count": lambda: adapter.count(search=Search(filters=SEED_FILTER, sort=None, paging=None)),
    }


async def timed(call):
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        made = call()
        if asyncio.iscoroutine(made):
            await made
        times.append((time.perf_counter() - began) * 1_000)
    return times


async def main():
    url, (server, database), user = sys.argv[1], sys.argv[2].split("/"), sys.argv[3]
    host, port = server.split(":")
    settings = ConnectionSettings(host=host, port=int(port), dbname=database, user=user, password="x")
    with psycopg.connect(settings.to_connection_string(), autocommit=True) as connection:
        connection.execute(TABLE)
        with connection.cursor() as cursor, cursor.copy(
            "COPY projections (id, name, source, state, metadata) FROM STDIN"
        ) as copy:
            source = json.dumps(StreamIdentifier(category="c", stream="s").serialise())
            for n in range(DOCUMENTS):
                copy.write_row((identity(n), "bench", source, json.dumps(state(n)), "{}"))
        connection.execute("VACUUM ANALYZE projections")
    adapter = PostgresProjectionStorageAdapter(connection_source=settings)
    await adapter.open()
    plain, indexed = Everlog(url, f"plain-{time.time_ns()}"), Everlog(url, f"indexed-{time.time_ns()}")
    for everlog in (plain, indexed):
        everlog.load()
    indexed.declare()
    calls = [await seed_calls(adapter), everlog_calls(plain), everlog_calls(indexed)]
    print("| what, one client | library | Everlog | ratio | with a declared index | ratio |")
    print("|---|---|---|---|---|---|")
    for what in calls[0]:
        times = [[], [], []]
        for _ in range(ROUNDS):
            for index, of in enumerate(calls):
                times[index] += await timed(of[what])
        seed, ours, index = (statistics.median(times) for times in times)
        print(f"| {what} | {seed:.2f} ms | {ours:.2f} ms | {seed / ours:.1f} | {index:.2f} ms | {seed / index:.1f} |")
    await adapter.close()


asyncio.run(main())
