//! Why a tap no longer knows where a connection's frames end.

/// The reason. From here on the connection is passed on as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost(pub(super) &'static str);
