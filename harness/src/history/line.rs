//! One line of a history, read in two steps: first what kind of record it is, then that record.
//!
//! In: the bytes of a line. Out: its number, its time and its [`Record`]. The derived form of a tagged and flattened record would
//! copy every line into a tree first; a history of a million operations is read in seconds because this does not.

use std::borrow::Cow;

use serde::de::value::BorrowedStrDeserializer;
use serde::{Deserialize, de};
use serde_json::Value;

use crate::clock::Offset;
use crate::history::record::{Complete, Head, OpId, Outcome, Record, Sample, Witness};
use crate::scenario::ItemId;

/// A line as read.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadLine {
    /// Number of the record.
    pub n: u64,
    /// When it happened.
    pub t: Offset,
    /// What happened.
    pub content: Content,
}

/// The record of a line.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A record of this version of the format.
    Known(Record),
    /// A record of a kind that this version does not know; its `k`.
    Unknown(String),
}

/// Reads one line.
///
/// # Errors
/// It is not an object with `k`, `n` and `t`, or lacks what its kind must have.
pub fn parse(line: &[u8]) -> Result<ReadLine, serde_json::Error> {
    let envelope: Envelope<'_> = serde_json::from_slice(line)?;
    let content = match known(&envelope.k, line)? {
        Some(record) => Content::Known(record),
        None => Content::Unknown(envelope.k.into_owned()),
    };
    Ok(ReadLine { n: envelope.n, t: envelope.t, content })
}

fn known(kind: &str, line: &[u8]) -> Result<Option<Record>, serde_json::Error> {
    Ok(Some(match kind {
        "invoke" => Record::Invoke(serde_json::from_slice(line)?),
        "complete" => Record::Complete(serde_json::from_slice::<CompleteRow<'_>>(line)?.complete()?),
        "shed" => Record::Shed(serde_json::from_slice(line)?),
        "sample" => Record::Sample(serde_json::from_slice::<SampleRow>(line)?.sample()),
        "phase" => Record::Phase(serde_json::from_slice(line)?),
        "fault" => Record::Fault(serde_json::from_slice(line)?),
        "point" => Record::Point(serde_json::from_slice(line)?),
        "proc" => Record::Proc(serde_json::from_slice(line)?),
        "note" => serde_json::from_slice::<NoteRow>(line)?.note(),
        "head" => Record::Head(Box::new(serde_json::from_slice::<Head>(line)?)),
        "tail" => Record::Tail(serde_json::from_slice(line)?),
        _ => return Ok(None),
    }))
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    k: Cow<'a, str>,
    n: u64,
    t: Offset,
}

#[derive(Deserialize)]
struct CompleteRow<'a> {
    op: OpId,
    out: Class,
    #[serde(default, borrow)]
    why: Option<&'a str>,
    #[serde(default)]
    http: Option<u16>,
    #[serde(default)]
    witness: Vec<Witness>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    short: Option<ItemId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Class {
    Ok,
    Fail,
    Info,
}

impl CompleteRow<'_> {
    fn complete(self) -> Result<Complete, serde_json::Error> {
        let why = || self.why.ok_or_else(|| de::Error::missing_field("why")).map(BorrowedStrDeserializer::new);
        let outcome = match self.out {
            Class::Ok => Outcome::Ok,
            Class::Fail => Outcome::Fail(Deserialize::deserialize(why()?)?),
            Class::Info => Outcome::Info(Deserialize::deserialize(why()?)?),
        };
        let Self { op, http, witness, status, short, .. } = self;
        Ok(Complete { op, outcome, http, witness, status, short })
    }
}

#[derive(Deserialize)]
struct SampleRow {
    name: String,
    #[serde(default)]
    of: String,
    value: Option<f64>,
}

impl SampleRow {
    /// JSON has no word for a reading that is not a number; it is written as `null`.
    fn sample(self) -> Sample {
        Sample { name: self.name, of: self.of, value: self.value.unwrap_or(f64::NAN) }
    }
}

#[derive(Deserialize)]
struct NoteRow {
    what: String,
    #[serde(default)]
    detail: Value,
}

impl NoteRow {
    fn note(self) -> Record {
        Record::Note { what: self.what, detail: self.detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::record::{FailCode, InfoCause};

    fn outcome(fields: &str) -> Result<Outcome, serde_json::Error> {
        let line = format!(r#"{{"n":1,"t":2,"k":"complete","op":3,{fields}}}"#);
        parse(line.as_bytes()).map(|read| match read.content {
            Content::Known(Record::Complete(complete)) => complete.outcome,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn an_outcome_is_read_with_its_reason() {
        assert_eq!(outcome(r#""out":"ok""#).unwrap(), Outcome::Ok);
        assert_eq!(outcome(r#""out":"fail","why":"sold_out""#).unwrap(), Outcome::Fail(FailCode::SoldOut));
        assert_eq!(outcome(r#""out":"info","why":"timeout""#).unwrap(), Outcome::Info(InfoCause::Timeout));
        for wrong in [r#""out":"fail""#, r#""out":"info","why":"sold_out""#, r#""out":"maybe""#, r#""why":"timeout""#] {
            assert!(outcome(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_kind_keeps_its_name_and_an_unknown_field_is_ignored() {
        let read = parse(br#"{"n":4,"t":5,"k":"comet","name":"x"}"#).unwrap();
        assert_eq!(read, ReadLine { n: 4, t: Offset(5), content: Content::Unknown("comet".into()) });
        assert!(parse(br#"{"n":4,"t":5,"k":"phase","name":"fault","colour":"red"}"#).is_ok());
    }

    #[test]
    fn a_line_without_number_time_or_kind_is_refused() {
        for wrong in [r#"{"t":5,"k":"phase"}"#, r#"{"n":5,"k":"phase"}"#, r#"{"n":5,"t":1}"#, "", "[]", r#"{"n":-1,"t":1,"k":"x"}"#]
        {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
