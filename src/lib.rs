//! The event store you can use with curl: its map, then its rooms.
#![doc = include_str!("ARCHITECTURE.md")]

// In reading order: the words,
pub mod model;

// the language in which projections are asked for,
pub mod query;

// who may do what,
pub mod auth;

// what a store is, and three of them,
pub mod storage;

// the process that runs the code of projectors,
pub mod worker;

// what projectors are,
pub mod projector;

// what runs above a store,
pub mod engine;

// the door,
pub mod http;

// how it is set up and put together,
pub mod config;

pub mod telemetry;

pub mod app;

pub mod cli;

// and what tests of it, and of stores like it, are made of.
pub mod testing;
