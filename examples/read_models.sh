#!/usr/bin/env bash
# Read models of the public events: flights by route, bird strikes by airport. Reads a category as NDJSON, folds
# it with jq, and saves each document with PUT: its state, what it is derived from, and the last event that it holds.
#
#     examples/read_models.sh [http://localhost:4100/v1/logs/default]
#
# Needs curl and jq. Run it again at any time: a document is replaced, and its version counts on.
set -euo pipefail
log=${1:-http://localhost:4100/v1/logs/default}

# From events on standard input to documents: one {id, body} a line.
routes() {
    jq -cn 'reduce inputs as $e ({};
        ($e.stream + "-" + $e.payload.destination) as $id
        | .[$id] |= {
            source: {category: "flights", stream: $e.stream},
            sequence_number: $e.sequence_number,
            state: {
                origin: $e.stream, destination: $e.payload.destination,
                flights: ((.state.flights // 0) + 1),
                delay_minutes: ((.state.delay_minutes // 0) + $e.payload.delay_minutes)
            }
        })
        | to_entries[]
        | .value.state.average_delay = (.value.state | .delay_minutes / .flights)
        | {id: .key, body: .value}'
}

airports() {
    jq -cn 'reduce inputs as $e ({};
        .[$e.stream] |= {
            source: {category: "birdstrikes", stream: $e.stream},
            sequence_number: $e.sequence_number,
            state: {
                name: $e.stream, state: $e.payload.origin_state,
                strikes: ((.state.strikes // 0) + 1),
                cost: ((.state.cost // 0) + ($e.payload.cost_total // 0)),
                species: ((.state.species // {}) | .[$e.payload.wildlife_species] += 1)
            }
        })
        | to_entries[] | {id: .key, body: .value}'
}

# Saves documents from standard input, over one connection.
save() {
    local projection=$1
    jq -r --arg url "$log/projections/$projection/entries/" '
        "next", "request = \"PUT\"", "fail", "silent", "show-error", "output = \"/dev/null\"",
        "url = \"\($url)\(.id | @uri)\"",
        "json = \(.body | tojson | tojson)"' | sed 1d | curl --config -
    printf '%s: ' "$projection"
    curl -sS --fail --json '{}' "$log/projections/$projection/count"
    echo
}

events() {
    curl -sS --fail "$log/categories/$1/export"
}

events flights | routes | save routes
events birdstrikes | airports | save airports
