//! The toxics of one direction of one connection, one behind the other.
//!
//! In: items, settings and the time. Out: bytes that may be written now, the end of the stream, and when to look again.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use rand::RngExt;

use super::Direction;
use super::counters::End;
use super::settings::{Settings, Toxic};
use super::stage::{Item, Pace, Pull, Stage, stage};
use super::toxic::ToxicKind;
use crate::clock::Offset;
use crate::seed::Seed;

/// Who the chain works for; with the seed it decides which toxics touch the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose<'a> {
    pub(super) seed: Seed,
    pub(super) proxy: &'a str,
    pub(super) connection: u64,
    pub(super) direction: Direction,
}

struct Slot {
    toxic: Arc<Toxic>,
    stage: Box<dyn Stage>,
}

/// See the module.
pub(super) struct Chain<'a> {
    whose: Whose<'a>,
    slots: Vec<Slot>,
    out: VecDeque<Bytes>,
    finish: Option<End>,
}

impl<'a> Chain<'a> {
    pub(super) const fn new(whose: Whose<'a>) -> Self {
        Self { whose, slots: Vec::new(), out: VecDeque::new(), finish: None }
    }

    /// Whether no toxic touches the bytes.
    pub(super) fn is_clear(&self) -> bool {
        self.slots.is_empty()
    }

    /// Brings the stages in line with the settings. What a stage holds that is taken away goes on to the next one.
    /// Returns how many bytes were thrown away by that.
    pub(super) fn follow(&mut self, settings: &Settings, now: Offset) -> usize {
        let touching: Vec<_> = settings.toxics.iter().filter(|toxic| self.whose.is_touched_by(toxic)).cloned().collect();
        let mut lost = 0;
        for place in (0..self.slots.len()).rev() {
            if !touching.iter().any(|toxic| toxic.id == self.slots[place].toxic.id) {
                let rest = self.slots.remove(place).stage.give_back();
                lost += rest.into_iter().map(|item| self.push_at(place, item, now)).sum::<usize>();
            }
        }
        for (place, toxic) in touching.into_iter().enumerate() {
            match self.slots.get_mut(place) {
                Some(slot) if Arc::ptr_eq(&slot.toxic, &toxic) => {}
                Some(slot) if slot.toxic.id == toxic.id => {
                    slot.stage.update(toxic.spec.kind, now);
                    slot.toxic = toxic;
                }
                _ => {
                    let stage = stage(toxic.spec.kind, self.whose.draws(&toxic.spec.name), pace(&toxic), now);
                    self.slots.insert(place, Slot { toxic, stage });
                }
            }
        }
        lost
    }

    /// Takes an item in; returns how many of its bytes were thrown away.
    pub(super) fn push(&mut self, item: Item, now: Offset) -> usize {
        self.push_at(0, item, now)
    }

    fn push_at(&mut self, place: usize, item: Item, now: Offset) -> usize {
        match (self.slots.get_mut(place), item) {
            (Some(slot), item) => slot.stage.push(item, now),
            (None, Item::Data(bytes, _)) if self.finish.is_some() => bytes.len(),
            (None, Item::Data(bytes, _)) => {
                self.out.push_back(bytes);
                0
            }
            (None, Item::Finish(end)) => {
                self.finish.get_or_insert(end);
                0
            }
        }
    }

    /// Moves everything that is due; returns how many bytes were thrown away and when something is due next.
    ///
    /// # Errors
    /// [`End::Reset`] if a toxic wants it.
    pub(super) fn advance(&mut self, now: Offset) -> Result<(usize, Option<Offset>), End> {
        let (mut lost, mut next) = (0, None::<Offset>);
        for place in 0..self.slots.len() {
            loop {
                match self.slots[place].stage.pull(now) {
                    Pull::Item(item) => lost += self.push_at(place + 1, item, now),
                    Pull::Reset => return Err(End::Reset),
                    Pull::Wait(due) => {
                        next = next.into_iter().chain(due).min();
                        break;
                    }
                }
            }
        }
        Ok((lost, next))
    }

    /// The bytes to be written next, to be shortened by what was written.
    pub(super) fn out(&mut self) -> &mut VecDeque<Bytes> {
        &mut self.out
    }

    /// The end of the stream, once every byte before it was written.
    pub(super) fn finish(&self) -> Option<End> {
        self.finish.filter(|_| self.out.is_empty())
    }
}

impl Whose<'_> {
    fn draws(&self, toxic: &str) -> rand_chacha::ChaCha8Rng {
        self.seed.stream(&format!("proxy {} connection {} toxic {toxic}", self.proxy, self.connection))
    }

    fn is_touched_by(&self, toxic: &Toxic) -> bool {
        let name = &toxic.spec.name;
        let share =
            || self.seed.stream(&format!("proxy {} connection {} touched by {name}", self.proxy, self.connection)).random::<f32>();
        toxic.spec.direction == self.direction && (toxic.spec.toxicity >= 1.0 || share() < toxic.spec.toxicity)
    }
}

fn pace(toxic: &Toxic) -> Pace {
    match toxic.spec.kind {
        ToxicKind::Bandwidth { shared: true, .. } => Arc::clone(&toxic.pace),
        _ => Pace::default(),
    }
}
