//! The fault proxy: what stands between a service process and its stores.

mod direction;
mod dissect;
pub mod tap;

pub use direction::Direction;
pub use dissect::{Dissector, DissectorFactory, Frame, Piece};
