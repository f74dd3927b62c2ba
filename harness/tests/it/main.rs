//! Tests against real servers and real processes, which they start themselves.

mod stack_services;
mod stack_stores;
