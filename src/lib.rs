#![doc = include_str!("ARCHITECTURE.md")]

pub mod engine;
pub mod model;
pub mod storage;
