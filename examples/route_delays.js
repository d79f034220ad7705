// Flights by route: how many, and how late on average. Events of the category `flights` are of streams named after the
// airport of origin.
//
//     curl -X PUT localhost:4100/v1/logs/default/projectors/route-delays \
//          -H 'content-type: text/javascript' --data-binary @examples/route_delays.js
export default {
  source: { category: "flights" },
  id: (event) => `${event.stream}-${event.payload.destination}`,
  initial_state: { flights: 0, delay_minutes: 0 },
  handlers: {
    "*": (state, event) => {
      state.origin = event.stream;
      state.destination = event.payload.destination;
      state.flights += 1;
      state.delay_minutes += event.payload.delay_minutes;
      state.average_delay = state.delay_minutes / state.flights;
    },
  },
};
