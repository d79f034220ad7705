#!/usr/bin/env bash
# Each operation of the API by one curl, in an order in which they work on a new store: `everlog serve` in a folder of its
# own, then this. The reference at /docs shows each with its operation.

# get_service
curl http://127.0.0.1:4100/

# get_liveness
curl http://127.0.0.1:4100/livez

# get_readiness
curl 'http://127.0.0.1:4100/readyz?verbose=true'

# get_metrics
curl http://127.0.0.1:4100/metrics

# get_openapi
curl http://127.0.0.1:4100/openapi.json -o openapi.json

# get_sdk_openapi
curl http://127.0.0.1:4100/openapi.sdk.json -o openapi.sdk.json

# get_docs
curl http://127.0.0.1:4100/docs

# get_problem
curl http://127.0.0.1:4100/problems/write-condition-failed

# put_log
curl -X PUT http://127.0.0.1:4100/v1/logs/orders \
  --json '{"ordering": "log"}'

# list_logs
curl http://127.0.0.1:4100/v1/logs

# get_log
curl http://127.0.0.1:4100/v1/logs/default

# publish_to_stream
curl http://127.0.0.1:4100/v1/logs/default/categories/profiles/streams/joe.bloggs/events \
  -H 'If-None-Match: *' \
  --json '{
  "events": [
    {"id": "019a1c5e-7d2b-7c3e-9f10-2b6f0a4d8e71",
      "name": "profile-created", "payload": {"name": "Joe"}},
    {"name": "name-changed", "payload": {"name": "Joseph"}}]}'

# publish_to_category
curl http://127.0.0.1:4100/v1/logs/default/categories/accounts/events \
  --json '{
  "writes": [
    {"stream": "alice",
      "events": [{"name": "withdrawn", "payload": {"amount": 5}}]},
    {"stream": "bob",
      "events": [{"name": "deposited", "payload": {"amount": 5}}]}]}'

# publish_to_log
curl http://127.0.0.1:4100/v1/logs/default/events \
  --json '{
  "writes": [
    {"category": "orders", "stream": "o-1",
      "condition": {"stream_is_empty": true},
      "events": [{"name": "order-placed", "payload": {"sku": "9"}}]},
    {"category": "stock", "stream": "sku-9",
      "events": [{"name": "reserved", "payload": {"pieces": 1}}]}]}'

# read_stream
curl 'http://127.0.0.1:4100/v1/logs/default/categories/profiles/streams/joe.bloggs/events?limit=100'

# get_latest_event_of_stream
curl http://127.0.0.1:4100/v1/logs/default/categories/profiles/streams/joe.bloggs/events/latest

# get_stream_event
curl http://127.0.0.1:4100/v1/logs/default/categories/profiles/streams/joe.bloggs/events/0

# read_category
curl 'http://127.0.0.1:4100/v1/logs/default/categories/profiles/events?name=name-changed'

# get_latest_event_of_category
curl http://127.0.0.1:4100/v1/logs/default/categories/profiles/events/latest

# read_log
curl 'http://127.0.0.1:4100/v1/logs/default/events?direction=backwards&limit=10'

# get_latest_event_of_log
curl http://127.0.0.1:4100/v1/logs/default/events/latest

# get_event
curl http://127.0.0.1:4100/v1/logs/default/events/019a1c5e-7d2b-7c3e-9f10-2b6f0a4d8e71

# tail_stream
curl -N http://127.0.0.1:4100/v1/logs/default/categories/profiles/streams/joe.bloggs/tail

# tail_category
curl -N 'http://127.0.0.1:4100/v1/logs/default/categories/profiles/tail?name=name-changed'

# tail_log
curl -N 'http://127.0.0.1:4100/v1/logs/default/tail?after=now'

# export_stream
curl http://127.0.0.1:4100/v1/logs/default/categories/profiles/streams/joe.bloggs/export

# export_category
curl http://127.0.0.1:4100/v1/logs/default/categories/profiles/export

# export_log
curl http://127.0.0.1:4100/v1/logs/default/export

# list_categories
curl 'http://127.0.0.1:4100/v1/logs/default/categories?count=true'

# get_category
curl http://127.0.0.1:4100/v1/logs/default/categories/profiles

# list_streams
curl 'http://127.0.0.1:4100/v1/logs/default/categories/profiles/streams?prefix=joe'

# get_stream
curl -i http://127.0.0.1:4100/v1/logs/default/categories/profiles/streams/joe.bloggs

# put_entry
curl -X PUT http://127.0.0.1:4100/v1/logs/default/projections/customers/entries/joe \
  --json '{
  "source": {"category": "profiles", "stream": "joe.bloggs"}, "state": {"name": "Joe", "country": "SE", "total": 120}}'

# save_entries
curl http://127.0.0.1:4100/v1/logs/default/projections/customers/entries \
  --json '{
  "entries": [
    {"id": "ann", "source": {"log": true}, "state": {"name": "Ann", "country": "SE", "total": 80}},
    {"id": "bob", "source": {"log": true}, "state": {"name": "Bob", "country": "FI", "total": 99}}]}'

# get_entry
curl -i http://127.0.0.1:4100/v1/logs/default/projections/customers/entries/joe

# put_projection
curl -X PUT http://127.0.0.1:4100/v1/logs/default/projections/customers \
  --json '{
  "indexes": [
    {"name": "by_country", "fields": [{"path": "/state/country"}, {"path": "/state/total", "order": "desc"}]},
    {"name": "alike", "similarity": "/state/name"}]}'

# get_projection
curl http://127.0.0.1:4100/v1/logs/default/projections/customers

# list_projections
curl http://127.0.0.1:4100/v1/logs/default/projections

# search_projection
curl http://127.0.0.1:4100/v1/logs/default/projections/customers/search \
  --json '{
  "filter": {"and": [{"eq": {"path": "/state/country", "value": "SE"}}, {"gt": {"path": "/state/total", "value": 50}}]},
  "sort": [{"path": "/state/total", "order": "desc"}], "page": {"limit": 20}, "count": true}'

# find_entries
curl -G http://127.0.0.1:4100/v1/logs/default/projections/customers/entries --data-urlencode 'query={"page": {"limit": 5}}'

# count_projection
curl http://127.0.0.1:4100/v1/logs/default/projections/customers/count \
  --json '{
  "filter": {"eq": {"path": "/state/country", "value": "SE"}}}'

# search_projections
curl http://127.0.0.1:4100/v1/logs/default/projections/search \
  --json '{"page": {"limit": 20}}'

# count_projections
curl http://127.0.0.1:4100/v1/logs/default/projections/count \
  --json '{}'

# tail_projection
curl -N http://127.0.0.1:4100/v1/logs/default/projections/customers/tail

# delete_entry
curl -X DELETE http://127.0.0.1:4100/v1/logs/default/projections/customers/entries/bob

# drop_projection
curl -X DELETE http://127.0.0.1:4100/v1/logs/default/projections/customers

# preview_projector
curl http://127.0.0.1:4100/v1/logs/default/projectors/preview \
  --json '{
  "definition": "export default { source: { category: \"orders\" }, initial_state: { n: 0 }, handlers: { \"order-placed\": (s) => { s.n += 1; } } };",
  "events": [{"name": "order-placed", "payload": {"total": 12}}]}'

# put_projector
curl -X PUT http://127.0.0.1:4100/v1/logs/default/projectors/profiles \
  -H 'Content-Type: text/javascript' --data-binary '
  export default {
    source: { category: "profiles" },
    initial_state: { changes: 0 },
    handlers: {
      "profile-created": (state, { payload }) => ({ ...state, name: payload.name }),
      "name-changed": (state, { payload }) => {
        if (payload.name.includes(" ")) throw new Error("no spaces");
        return { name: payload.name, changes: state.changes + 1 };
      },
    },
  };'

# get_projector
curl http://127.0.0.1:4100/v1/logs/default/projectors/profiles

# list_projectors
curl http://127.0.0.1:4100/v1/logs/default/projectors

# tail_projector
curl -N http://127.0.0.1:4100/v1/logs/default/projectors/profiles/tail

# get_stream_state
curl 'http://127.0.0.1:4100/v1/logs/default/categories/profiles/streams/joe.bloggs/state?projector=profiles&until_position=0'

# pause_projector
curl -X POST http://127.0.0.1:4100/v1/logs/default/projectors/profiles/pause

# resume_projector
curl -X POST http://127.0.0.1:4100/v1/logs/default/projectors/profiles/resume

# rebuild_projector
curl -X POST http://127.0.0.1:4100/v1/logs/default/projectors/profiles/rebuild

# activate_revision
curl -X POST http://127.0.0.1:4100/v1/logs/default/projectors/profiles/revisions/1/activate

# retry_projector
curl -X POST http://127.0.0.1:4100/v1/logs/default/projectors/profiles/retry

# skip_event
curl http://127.0.0.1:4100/v1/logs/default/categories/profiles/streams/joe.bloggs/events \
  --json '{
  "events": [{"name": "name-changed", "payload": {"name": "Joe Bloggs"}}]}' -o /dev/null
curl -X POST http://127.0.0.1:4100/v1/logs/default/projectors/profiles/skip

# delete_projector
curl -X DELETE 'http://127.0.0.1:4100/v1/logs/default/projectors/profiles?drop=true'

# create_key
curl http://127.0.0.1:4100/v1/keys \
  --json '{
  "description": "the checkout of the shop",
  "scopes": [
    {"log": "default", "category": "orders", "actions": ["read", "append"]},
    {"log": "default", "category": "stock", "actions": ["read"]}
  ]}' | tee key.json

# get_key
id=$(cut -d '"' -f 4 key.json)
curl http://127.0.0.1:4100/v1/keys/$id

# list_keys
curl http://127.0.0.1:4100/v1/keys

# revoke_key
id=$(cut -d '"' -f 4 key.json)
curl -X POST http://127.0.0.1:4100/v1/keys/$id/revoke

# create_ticket
curl http://127.0.0.1:4100/v1/logs/default/tickets \
  --json '{"source": {"category": "profiles"}}'
