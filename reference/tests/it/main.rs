//! Tests against real servers, which they start themselves.

#[path = "support.rs"]
mod support;
