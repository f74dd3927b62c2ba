//! Mistakes in the scripts of `lua/`: some of their text, and what stands there instead.
//!
//! In: the text of a script. Out: the text with the mistakes that are planted. The taps of the harness know scripts by their hashes, so they are
//! told these texts as well.

use super::{Defect, planted};
use crate::stock::TEXTS;

/// A mistake in a script.
struct Edit {
    defect: Defect,
    /// Its file without the ending; [`HEAD`] is in every script.
    script: &'static str,
    right: &'static str,
    wrong: &'static str,
}

/// The part that stands before each script.
const HEAD: &str = "ready";

const fn edit(defect: Defect, script: &'static str, right: &'static str, wrong: &'static str) -> Edit {
    Edit { defect, script, right, wrong }
}

const STOCK_CHECK: &str = "if stock < quantity then";
const READ_RECORD: &str = "local record = redis.call('GET', KEYS[4])";
const ADD_LOCK: &str = "redis.call('ZADD', KEYS[3], now_ms, order .. '|' .. entry)";

const EDITS: &[Edit] = &[
    edit(Defect::CheckThenDecrement, "pre_deduct", STOCK_CHECK, "if false then"),
    edit(Defect::OffByOne, "pre_deduct", STOCK_CHECK, "if stock <= quantity then"),
    edit(Defect::RetryTakesAgain, "pre_deduct", "    return {'RESOLVED'}\n", ""),
    edit(
        Defect::LockWithTtl,
        "pre_deduct",
        ADD_LOCK,
        "redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', decimal(tonumber(now_ms) - 1000))
redis.call('ZADD', KEYS[3], now_ms, order .. '|' .. entry)",
    ),
    edit(
        Defect::EvictionAllowed,
        "pre_deduct",
        ADD_LOCK,
        "redis.call('ZADD', KEYS[3], now_ms, order .. '|' .. entry)
redis.call('EXPIRE', KEYS[3], 1800)",
    ),
    edit(
        Defect::RollbackNotGated,
        "rollback",
        "  if redis.call('ZREM', KEYS[3], ARGV[i]) == 1 then",
        "  redis.call('ZREM', KEYS[3], ARGV[i])
  do",
    ),
    edit(
        Defect::LockTtlRacesConfirm,
        "pre_deduct",
        STOCK_CHECK,
        "local today = redis.call('TIME')
local expired = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', decimal(tonumber(today[1]) * 1000 - 1000))
for i = 1, #expired do
  redis.call('ZREM', KEYS[3], expired[i])
  stock = stock + integer(string.match(expired[i], '|(%d+)$'))
  redis.call('HSET', KEYS[2], 'avail', decimal(stock))
  redis.call('SET', KEYS[1], decimal(stock))
end
if stock < quantity then",
    ),
    edit(
        Defect::QuantityIgnoredOnRetry,
        "pre_deduct",
        "    if reserved ~= ARGV[3] then
      return {'MISMATCH', reserved}
    end
",
        "",
    ),
    edit(
        Defect::MissingStockIsZero,
        "pre_deduct",
        "if refusal then
",
        "if refusal and refusal[3] == 'MISSING' then
  return {'INSUFFICIENT', '0', '0', 0}
end
if refusal then
",
    ),
    edit(
        Defect::WritesBeforeChecks,
        "pre_deduct",
        READ_RECORD,
        "if stock >= quantity then
  redis.call('HSET', KEYS[2], 'avail', decimal(stock - quantity))
  redis.call('SET', KEYS[1], decimal(stock - quantity))
end
local record = redis.call('GET', KEYS[4])",
    ),
    edit(
        Defect::KeysScan,
        "probe",
        "local time = redis.call('TIME')",
        "redis.call('KEYS', 'inventory:lock:*')
local time = redis.call('TIME')",
    ),
    edit(
        Defect::SoldOutBeforeRecord,
        "pre_deduct",
        READ_RECORD,
        "if stock < quantity then
  return {'INSUFFICIENT', decimal(stock), decimal(version), 0}
end
local record = redis.call('GET', KEYS[4])",
    ),
    edit(
        Defect::DeltaWithoutMarker,
        "apply_delta",
        "if redis.call('GET', KEYS[3]) then
  return {'DUPLICATE'}
end
",
        "",
    ),
    edit(Defect::StaleRedisTrusted, HEAD, "  if fields[2] ~= incarnation then", "  if false then"),
];

impl Edit {
    fn is_in(&self, script: &str) -> bool {
        self.script == script || self.script == HEAD
    }

    /// # Panics
    /// The text to be replaced is not there exactly once: the script was changed, or two mistakes that exclude each other are planted.
    fn apply(&self, text: &str) -> String {
        let found = text.matches(self.right).count();
        assert_eq!(
            found,
            1,
            "{} cannot be planted in {}: {:?} is there {found} times",
            self.defect.name(),
            self.script,
            self.right
        );
        text.replacen(self.right, self.wrong, 1)
    }
}

/// The text of `script` with these mistakes.
fn mistaken(script: &str, text: &str, is_planted: impl Fn(Defect) -> bool) -> String {
    let edits = EDITS.iter().filter(|edit| edit.is_in(script) && is_planted(edit.defect));
    edits.fold(text.to_owned(), |text, edit| edit.apply(&text))
}

/// The text of `script` as this process runs it. Never freed: a process loads each script once.
pub(crate) fn as_planted(script: &str, text: &str) -> &'static str {
    mistaken(script, text, planted).leak()
}

/// Name and text of each script that a process with these defects runs and a sound one does not.
#[must_use]
pub fn texts(defects: &[Defect]) -> Vec<(String, String)> {
    let wrong = TEXTS.iter().map(|(script, text)| (*script, *text, mistaken(script, text, |defect| defects.contains(&defect))));
    wrong.filter(|(_, right, wrong)| right != wrong).map(|(script, _, wrong)| (script.to_owned(), wrong)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_finds_its_place_in_the_scripts_that_it_is_in() {
        for edit in EDITS {
            let scripts: Vec<_> = TEXTS.iter().filter(|(script, _)| edit.is_in(script)).collect();
            assert!(!scripts.is_empty(), "{}", edit.script);
            for (_, text) in scripts {
                assert_ne!(&edit.apply(text), text);
            }
        }
    }

    #[test]
    fn a_process_without_defects_runs_the_scripts_as_they_are() {
        assert!(texts(&[]).is_empty());
        assert_eq!(texts(&[Defect::OffByOne]).len(), 1);
        assert_eq!(texts(&[Defect::StaleRedisTrusted]).len(), TEXTS.len());
    }
}
