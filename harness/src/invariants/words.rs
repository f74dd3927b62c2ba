//! Words of findings and stories: outcomes and numbers as people read them.

use crate::history::record::{FailCode, InfoCause, Outcome};
use crate::measure::outcome_names;

/// What became of an operation: `ok`, `refused, sold out`, `in doubt, timeout`.
pub(super) fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::Ok => "ok".to_owned(),
        Outcome::Fail(code) => format!("refused, {}", refusal(code)),
        Outcome::Info(cause) => format!("in doubt, {}", doubt(cause)),
    }
}

/// Why an operation was refused: `sold out`.
pub(super) fn refusal(code: FailCode) -> String {
    plain(Outcome::Fail(code))
}

/// Why nobody can say: `connection lost`.
pub(super) fn doubt(cause: InfoCause) -> String {
    plain(Outcome::Info(cause))
}

fn plain(outcome: Outcome) -> String {
    outcome_names(outcome).1.replace('_', " ")
}

/// `text` with the thousands of its counts set apart. What is part of an id, a fraction or a time of day is left as it is.
pub(super) fn grouped(text: &str) -> String {
    let mut told = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let length = rest[start..].find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len() - start);
        let (before, digits, after) = (&rest[..start], &rest[start..start + length], &rest[start + length..]);
        told.push_str(before);
        let begins = !told.ends_with(|letter: char| letter.is_alphanumeric() || "_-:.".contains(letter));
        let mut behind = after.chars();
        let ends = match behind.next() {
            None => true,
            Some('.' | ':') => behind.next().is_none_or(char::is_whitespace),
            Some(letter) => !letter.is_alphanumeric() && !"_-".contains(letter),
        };
        if begins && ends {
            push_grouped(&mut told, digits)
        } else {
            told.push_str(digits)
        }
        rest = after;
    }
    told.push_str(rest);
    told
}

fn push_grouped(told: &mut String, digits: &str) {
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            told.push(',');
        }
        told.push(digit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_and_ids_and_fractions_are_not() {
        for (text, told) in [
            ("11000 accepted orders of 21 items", "11,000 accepted orders of 21 items"),
            ("1234567 rows: 999 of 1000.", "1,234,567 rows: 999 of 1,000."),
            ("order k3-12345 of item 1:1:12345", "order k3-12345 of item 1:1:12345"),
            ("p99 12345.678 ms of 1500; api-1000", "p99 12345.678 ms of 1,500; api-1000"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(grouped(text), told);
        }
    }

    #[test]
    fn outcomes_are_words() {
        assert_eq!(outcome(Outcome::Ok), "ok");
        assert_eq!(outcome(Outcome::Fail(FailCode::SoldOut)), "refused, sold out");
        assert_eq!(outcome(Outcome::Info(InfoCause::ConnectionLost)), "in doubt, connection lost");
    }
}
