//! Makes frames: puts name, points and number of the exchange to a step, and remembers what it made true.

use std::sync::Arc;

use super::point::points_at;
use super::process::Process;
use super::step::{Phase, Step};
use crate::proxy::Frame;

/// A named request that waits for its reply.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) step: Step,
    pub(super) orders: Vec<String>,
    pub(super) item: Option<String>,
    /// Whether it is the first packet of a transaction with rows of orders.
    pub(super) first_rows: bool,
}

/// Names the frames of one connection of a process.
#[derive(Debug, Clone)]
pub(super) struct Naming {
    process: Arc<Process>,
}

impl Naming {
    pub(super) const fn new(process: Arc<Process>) -> Self {
        Self { process }
    }

    /// The process whose frames it names.
    pub(super) fn process(&self) -> &Process {
        &self.process
    }

    /// The frame of a request.
    pub(super) fn request(&self, asked: &Asked, exchange: u64) -> Frame {
        self.frame(asked.clone(), exchange)
    }

    /// The frame of the reply to it.
    pub(super) fn reply(&self, asked: Asked, phase: Phase, exchange: u64) -> Frame {
        let asked = Asked { step: Step { phase, ..asked.step }, ..asked };
        self.process.note(asked.step, &asked.orders, asked.item.as_deref());
        self.frame(asked, exchange)
    }

    fn frame(&self, asked: Asked, exchange: u64) -> Frame {
        let Asked { step, orders, item, first_rows } = asked;
        let points = points_at(step, &orders, item.as_deref(), first_rows, &self.process);
        Frame { step: step.name(), points, orders, item, exchange }
    }
}
