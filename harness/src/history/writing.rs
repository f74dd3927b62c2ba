//! The line of a record, written by hand for the two kinds that a load makes for every request.
//!
//! In: a record, its number, its time. Out: the bytes that the derived form of [`Line`] gives, which is what all other kinds go through and
//! what the tests compare with. The derived form writes a flattened, tagged record in some hundred small pieces, at three times the cost.

use std::io;

use serde::Serialize;

use super::journal::add_line;
use super::record::{Complete, Invoke, ItemQuantity, Line, Outcome, Record, Witness};
use crate::scenario::ItemId;

/// Adds the line of a record to `lines`.
///
/// # Errors
/// The record does not serialize; `lines` is as before.
pub(super) fn add_record(lines: &mut Vec<u8>, line: &Line<'_>) -> io::Result<()> {
    match line.record {
        Record::Invoke(invoke) => add_invoke(lines, line, invoke),
        Record::Complete(complete) => add_complete(lines, line, complete),
        _ => add_line(lines, line),
    }
}

fn add_invoke(lines: &mut Vec<u8>, line: &Line<'_>, invoke: &Invoke) -> io::Result<()> {
    let mut out = Fields(lines);
    out.begin(line, "invoke");
    out.number(",\"op\":", invoke.op.0);
    out.number(",\"proc\":", invoke.proc);
    out.text(",\"f\":", invoke.f.name())?;
    if !invoke.order.is_empty() {
        out.text(",\"order\":", &invoke.order)?;
    }
    out.number(",\"user\":", invoke.user);
    out.list(",\"items\":[", &invoke.items, |out, line| {
        out.quantity(line);
        Ok(())
    })?;
    out.number(",\"due\":", invoke.due.nanos());
    out.number(",\"instance\":", u64::from(invoke.instance));
    out.number(",\"conn\":", invoke.conn);
    if invoke.closed_loop {
        out.raw(",\"closed_loop\":true");
    }
    out.raw("}\n");
    Ok(())
}

fn add_complete(lines: &mut Vec<u8>, line: &Line<'_>, complete: &Complete) -> io::Result<()> {
    let mut out = Fields(lines);
    out.begin(line, "complete");
    out.number(",\"op\":", complete.op.0);
    match complete.outcome {
        Outcome::Ok => out.raw(",\"out\":\"ok\""),
        Outcome::Fail(why) => out.value(",\"out\":\"fail\",\"why\":", &why)?,
        Outcome::Info(why) => out.value(",\"out\":\"info\",\"why\":", &why)?,
    }
    if let Some(http) = complete.http {
        out.number(",\"http\":", u64::from(http));
    }
    out.list(",\"witness\":[", &complete.witness, Fields::witness)?;
    if let Some(status) = &complete.status {
        out.text(",\"status\":", status)?;
    }
    if let Some(short) = complete.short {
        out.raw(",\"short\":");
        out.item(short);
    }
    out.raw("}\n");
    Ok(())
}

/// The line that is being written.
struct Fields<'a>(&'a mut Vec<u8>);

impl Fields<'_> {
    fn begin(&mut self, line: &Line<'_>, kind: &str) {
        self.number("{\"n\":", line.n);
        self.number(",\"t\":", line.t.nanos());
        self.raw(",\"k\":\"");
        self.raw(kind);
        self.raw("\"");
    }

    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, name: &str, value: u64) {
        self.raw(name);
        self.digits(value);
    }

    fn digits(&mut self, mut value: u64) {
        let (mut digits, mut at) = ([0_u8; 20], 20);
        loop {
            at -= 1;
            digits[at] = b"0123456789"[(value % 10) as usize];
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.0.extend_from_slice(&digits[at..]);
    }

    /// Most texts hold nothing that JSON escapes.
    fn text(&mut self, name: &str, value: &str) -> io::Result<()> {
        if value.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
            return self.value(name, value);
        }
        self.raw(name);
        self.raw("\"");
        self.raw(value);
        self.raw("\"");
        Ok(())
    }

    /// What is rare goes the usual way. Texts and words without content, which cannot fail.
    fn value<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> io::Result<()> {
        self.raw(name);
        serde_json::to_writer(&mut *self.0, value).map_err(io::Error::from)
    }

    /// Nothing, if there are no values.
    fn list<T>(&mut self, name: &str, values: &[T], add: impl Fn(&mut Self, &T) -> io::Result<()>) -> io::Result<()> {
        for (at, value) in values.iter().enumerate() {
            self.raw(if at == 0 { name } else { "," });
            add(self, value)?;
        }
        if !values.is_empty() {
            self.raw("]");
        }
        Ok(())
    }

    fn item(&mut self, item: ItemId) {
        self.number("\"", item.store);
        self.number(":", item.product);
        self.number(":", item.sku);
        self.raw("\"");
    }

    fn quantity(&mut self, line: &ItemQuantity) {
        self.raw("{\"item\":");
        self.item(line.item);
        self.number(",\"qty\":", u64::from(line.qty));
        self.raw("}");
    }

    fn witness(&mut self, witness: &Witness) -> io::Result<()> {
        self.raw("{\"item\":");
        self.item(witness.item);
        self.number(",\"qty\":", u64::from(witness.qty));
        if !witness.token.is_empty() {
            self.text(",\"token\":", &witness.token)?;
        }
        self.number(",\"epoch\":", witness.epoch);
        self.number(",\"version\":", witness.version);
        if let Some(left) = witness.stock_after {
            self.raw(if left < 0 { ",\"stock_after\":-" } else { ",\"stock_after\":" });
            self.digits(left.unsigned_abs());
        }
        self.raw("}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Offset;
    use crate::history::record::{FailCode, Function, InfoCause, OpId};

    const ITEM: ItemId = ItemId { store: 7, product: 80, sku: u64::MAX };

    fn assert_same(record: &Record) {
        let (mut ours, mut derived) = (Vec::new(), Vec::new());
        let line = Line { n: 12, t: Offset(u64::MAX), record };
        add_record(&mut ours, &line).unwrap();
        add_line(&mut derived, &line).unwrap();
        assert_eq!(String::from_utf8(ours).unwrap(), String::from_utf8(derived).unwrap());
    }

    #[test]
    fn an_invoke_is_written_as_its_derived_form_has_it() {
        let texts = ["", "o-1", "with \"quotes\"", "back\\slash", "line\nend", "\u{7f}ü\u{2028}\u{1}"];
        for (order, lines) in texts.into_iter().zip([0, 1, 2, 0, 1, 2]) {
            assert_same(&Record::Invoke(Invoke {
                op: OpId(0),
                proc: 3,
                f: Function::CreateOrder,
                order: order.to_owned(),
                user: 10,
                items: vec![ItemQuantity { item: ITEM, qty: 100 }; lines],
                due: Offset(1),
                instance: 9,
                conn: 5,
                closed_loop: lines == 1,
            }));
        }
    }

    #[test]
    fn a_completion_is_written_as_its_derived_form_has_it() {
        let witness =
            |token: &str, stock_after| Witness { item: ITEM, qty: 1, token: token.into(), epoch: 1, version: 0, stock_after };
        let whole = Complete {
            op: OpId(4),
            outcome: Outcome::Ok,
            http: Some(201),
            witness: vec![witness("1:2", Some(-5)), witness("", None), witness("\t", Some(i64::MIN))],
            status: Some("CRE\"ATED".into()),
            short: Some(ITEM),
        };
        assert_same(&Record::Complete(whole.clone()));
        for outcome in [Outcome::Fail(FailCode::SoldOut), Outcome::Info(InfoCause::RunEnded)] {
            let bare = Complete { outcome, http: None, witness: Vec::new(), status: None, short: None, ..whole.clone() };
            assert_same(&Record::Complete(bare));
        }
    }
}
