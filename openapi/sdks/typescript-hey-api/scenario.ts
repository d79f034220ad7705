// What every client can do, with the one of @hey-api/openapi-ts: `scenario.ts <url> <log>`.

import assert from 'node:assert/strict';
import {
    publishToCategory, publishToStream, putLog, putProjector, readCategory, searchProjection, tailCategory,
} from './everlog';
import { client } from './everlog/client.gen';

const [url, log] = process.argv.slice(2);
client.setConfig({ baseUrl: url });
const done = (step: string) => console.log('ok', step);
const path = { log, category: 'orders', stream: 'o-1' };
const ids = {
    'order-placed': '0197c3a0-0000-7000-8000-000000000001',
    'order-paid': '0197c3a0-0000-7000-8000-000000000002',
    'order-lost': '0197c3a0-0000-7000-8000-000000000003',
};

const publish = (name: keyof typeof ids, total: number, headers: { 'If-Match'?: string; 'If-None-Match'?: string }) =>
    publishToStream({ path, headers, body: { events: [{ name, payload: { total }, id: ids[name] }] } });

await putLog({ path, body: {}, throwOnError: true });
const { data: placed } = await publish('order-placed', 5, { 'If-None-Match': '*' });
assert(placed);
const { data: paid } = await publish('order-paid', 5, { 'If-Match': `"${placed.position}"` });
assert(paid);
assert.deepEqual([placed.position, paid.position, paid.replayed], [0, 1, false]);
done('publish');

const { error: lost } = await publish('order-lost', 7, { 'If-Match': `"${placed.position}"` });
assert.equal(lost?.code, 'write-condition-failed');
assert.deepEqual([lost.status, lost.actual_position], [412, paid.position]);
done('race');

const { data: again } = await publish('order-placed', 5, { 'If-None-Match': '*' });
assert(again?.replayed);
assert.equal(again.events[0].sequence_number, placed.events[0].sequence_number);
done('replay');

const writes = [2, 3, 4, 5].map((n) => ({ stream: `o-${n}`, events: [{ name: 'order-placed', payload: { total: n } }] }));
const { data: written } = await publishToCategory({ path, body: { writes }, throwOnError: true });
const seen: number[] = [];
const query = { after: '0', limit: 4 };
for (let atEnd = false; !atEnd;) {
    const { data } = await readCategory({ path, query, throwOnError: true });
    seen.push(...data.events.map((event) => event.sequence_number));
    query.after = data.page.after ?? query.after;
    atEnd = data.page.at_end;
}
assert.deepEqual([seen.length, seen.at(-1)], [6, written.sequence_number]);
assert.deepEqual(seen, [...new Set(seen)].sort((a, b) => a - b));
done('page');

const handlers = { 'order-placed': '(state, { payload }) => ({ total: state.total + payload.total })' };
const definition = { source: { category: 'orders' }, handlers, initial_state: { total: 0 } };
const { data: projector } = await putProjector({ path: { log, projector: 'totals' }, body: definition });
assert.equal(projector?.projector, 'totals');
done('project');

const { data: found } = await searchProjection({
    path: { log, projection: 'totals' },
    query: { min_sequence_number: written.sequence_number, wait: 30 },
    body: { filter: { ge: { path: '/state/total', value: 4 } }, sort: [{ path: '/state/total', order: 'desc' }] },
    throwOnError: true,
});
const totals = found.entries.map((entry) => (entry.state as { total: number }).total);
assert.deepEqual([totals.length, totals[0], found.entries[2].id], [3, 5, 'o-4']);
done('search');

const { stream } = await tailCategory({ path, query: { after: `${written.sequence_number - 1}` } });
const tailed: number[] = [];
for await (const event of stream) {
    if (!('sequence_number' in event)) continue;
    tailed.push(event.sequence_number);
    if (tailed.length === 1) await publish('order-lost', 7, {});
    if (tailed.length === 2) break;
}
assert.deepEqual(tailed, [written.sequence_number, written.sequence_number + 1]);
done('tail');
process.exit(); // the stream's connection is still open
