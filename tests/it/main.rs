//! All integration tests, in one binary.

mod storage;
mod support;
