//! All integration tests, in one binary.

mod binary;
mod engine;
mod golden;
mod http;
mod storage;
mod support;
mod tidy;
mod worker;
