//! A stranger puts a message into the outbox that belongs to no order: the worker gives it up and goes on with the others.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Target};
use harness::seed::Seed;

use super::stage::{Stage, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    Stage::broken_by("bad_message", window(Fault::MysqlBadMessage, Target::Mysql, 1_500)).scenario(seed)
}
