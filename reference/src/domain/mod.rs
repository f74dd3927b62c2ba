//! Words of the business and their rules. No I/O.
//!
//! A value of one of these types is valid: everything is checked when it is made, at the edge of the service.

pub mod ids;
pub mod order;
pub mod stock_change;
pub mod token;

pub use ids::{Item, OrderId, UserId};
pub use order::{Line, OrderRequest, OrderStatus, Quantity, SaleState};
pub use stock_change::{ChangeKind, StockChange, UserLimit};
pub use token::{Epoch, Member, Token};
