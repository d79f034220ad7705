//! All integration tests, in one binary.

mod binary;
mod http;
mod storage;
mod support;
