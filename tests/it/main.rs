//! All integration tests, in one binary.

mod binary;
mod storage;
mod support;
