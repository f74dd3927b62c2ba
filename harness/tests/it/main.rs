//! Integration tests of the harness; one file a subject.

mod history;
mod load;
mod peer;
