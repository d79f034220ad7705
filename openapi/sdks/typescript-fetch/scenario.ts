// What every client can do, with openapi-fetch and the types of openapi-typescript: `scenario.ts <url> <log>`.

import assert from 'node:assert/strict';
import createClient from 'openapi-fetch';
import type { components, paths } from './everlog';

const [url, log] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url });
const done = (step: string) => console.log('ok', step);
const path = { log, category: 'orders', stream: 'o-1' };
const ids = {
    'order-placed': '0197c3a0-0000-7000-8000-000000000001',
    'order-paid': '0197c3a0-0000-7000-8000-000000000002',
    'order-lost': '0197c3a0-0000-7000-8000-000000000003',
};

const publish = (name: keyof typeof ids, total: number, header: { 'If-Match'?: string; 'If-None-Match'?: string }) =>
    client.POST('/v1/logs/{log}/categories/{category}/streams/{stream}/events', {
        params: { path, header },
        body: { events: [{ name, payload: { total }, id: ids[name] }] },
    });

await client.PUT('/v1/logs/{log}', { params: { path }, body: {} });
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
const { data: written } = await client.POST('/v1/logs/{log}/categories/{category}/events', {
    params: { path },
    body: { writes },
});
assert(written);
const seen: number[] = [];
const query = { after: '0', limit: 4 };
for (let atEnd = false; !atEnd;) {
    const { data } = await client.GET('/v1/logs/{log}/categories/{category}/events', { params: { path, query } });
    assert(data);
    seen.push(...data.events.map((event) => event.sequence_number));
    query.after = data.page.after ?? query.after;
    atEnd = data.page.at_end;
}
assert.deepEqual([seen.length, seen.at(-1)], [6, written.sequence_number]);
assert.deepEqual(seen, [...new Set(seen)].sort((a, b) => a - b));
done('page');

const handlers = { 'order-placed': '(state, { payload }) => ({ total: state.total + payload.total })' };
const { data: projector } = await client.PUT('/v1/logs/{log}/projectors/{projector}', {
    params: { path: { log, projector: 'totals' } },
    body: { source: { category: 'orders' }, handlers, initial_state: { total: 0 } },
});
assert.equal(projector?.projector, 'totals');
done('project');

const { data: found } = await client.POST('/v1/logs/{log}/projections/{projection}/search', {
    params: {
        path: { log, projection: 'totals' },
        query: { min_sequence_number: written.sequence_number, wait: 30 },
    },
    body: { filter: { ge: { path: '/state/total', value: 4 } }, sort: [{ path: '/state/total', order: 'desc' }] },
});
assert(found);
const totals = found.entries.map((entry) => (entry.state as { total: number }).total);
assert.deepEqual([totals.length, totals[0], found.entries[2].id], [3, 5, 'o-4']);
done('search');

// The client hands out the response's stream; the frames are read by hand.
const leave = new AbortController();
const { data: stream } = await client.GET('/v1/logs/{log}/categories/{category}/tail', {
    params: { path, query: { after: `${written.sequence_number - 1}` } },
    parseAs: 'stream',
    signal: leave.signal,
});
assert(stream);
const tailed: number[] = [];
let text = '';
for await (const chunk of (stream as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream())) {
    const frames = (text + chunk).split('\n\n');
    text = frames.pop() ?? '';
    for (const frame of frames) {
        if (!frame.startsWith('id: ')) continue;
        const data = frame.slice(frame.indexOf('data: ') + 'data: '.length);
        tailed.push((JSON.parse(data) as components['schemas']['Event']).sequence_number);
        if (tailed.length === 1) await publish('order-lost', 7, {});
    }
    if (tailed.length > 1) break;
}
leave.abort();
assert.deepEqual(tailed, [written.sequence_number, written.sequence_number + 1]);
done('tail');
