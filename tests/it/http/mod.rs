//! The service as a client sees it: black box, by URL.

mod bad_requests;
mod body_conditions;
mod caching;
mod connections;
mod costly;
mod exporting;
mod filtering;
mod full_disk;
mod header_conditions;
mod hostile;
mod lanes;
mod large_bodies;
mod listings;
mod methods;
mod names;
mod order_of_checks;
mod paging;
mod payloads;
mod problems;
mod projection_indexes;
mod projection_queries;
mod projection_tailing;
mod projections;
mod publishing;
mod tailing;
mod waiting;
