//! What the text of a query does, by the forms of a dialect: one packet may hold several statements.
//!
//! In: the text. Out: the meanings of its statements, whether it begins or commits, and the orders that it names. This is no parser of SQL: a statement
//! that has none of the forms means nothing, and its text is only looked at for where it ends.

use super::dialect::{Dialect, Meaning, StatementForm, StatementOrders};

/// Part of a long statement in which the words of a form are looked for, in bytes from its beginning.
const HEAD: usize = 1024;
/// The same from its end.
const TAIL: usize = 256;

/// A set of meanings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Meanings(u32);

impl Meanings {
    pub(super) const fn has(self, meaning: Meaning) -> bool {
        self.0 & (1 << meaning as u32) != 0
    }

    pub(super) fn has_any(self, meanings: &[Meaning]) -> bool {
        meanings.iter().any(|meaning| self.has(*meaning))
    }

    pub(super) const fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    const fn insert(&mut self, meaning: Meaning) {
        self.0 |= 1 << meaning as u32;
    }
}

/// An order as a statement names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// By its id.
    Id(String),
    /// By the parameter with this number, from 0.
    Parameter(usize),
}

/// What a text does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reading {
    pub(super) meanings: Meanings,
    pub(super) begins: bool,
    pub(super) commits: bool,
    pub(super) orders: Vec<Named>,
}

/// Reads a text of one or more statements.
pub(super) fn read(dialect: &Dialect, text: &[u8]) -> Reading {
    let mut reading = Reading::default();
    for statement in Statements(text) {
        reading.begins |= is(statement, b"BEGIN") || is(statement, b"START TRANSACTION");
        reading.commits |= is(statement, b"COMMIT");
        if let Some(form) = dialect.statements.iter().find(|form| fits(form, statement)) {
            reading.meanings.insert(form.meaning);
            match form.orders {
                StatementOrders::None => {}
                StatementOrders::FirstOfEachRow => first_of_each_row(statement, &mut reading.orders),
                StatementOrders::Compared => compared(statement, &mut reading.orders),
            }
        }
    }
    reading
}

fn is(statement: &[u8], keyword: &[u8]) -> bool {
    statement.get(..keyword.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(keyword))
        && statement.get(keyword.len()).is_none_or(u8::is_ascii_whitespace)
}

fn fits(form: &StatementForm, statement: &[u8]) -> bool {
    let head = &statement[..statement.len().min(HEAD)];
    let tail = &statement[statement.len().saturating_sub(TAIL)..];
    let holds = |text: &String| find(head, text.as_bytes()).is_some() || find(tail, text.as_bytes()).is_some();
    statement.starts_with(form.begins.as_bytes()) && form.holds.iter().all(holds)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// The statements of a text, without white space around them and without empty ones.
struct Statements<'a>(&'a [u8]);

impl<'a> Iterator for Statements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.0.is_empty() {
            let end = end_of_statement(self.0);
            let statement = self.0[..end].trim_ascii();
            self.0 = self.0.get(end + 1..).unwrap_or_default();
            if !statement.is_empty() {
                return Some(statement);
            }
        }
        None
    }
}

/// Offset of the `;` that ends the first statement, or the length of the text.
fn end_of_statement(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at = match byte {
            b';' => return at,
            b'\'' | b'"' | b'`' => end_of_quoted(text, at),
            b'#' => end_of_line(text, at),
            b'-' if text[at..].starts_with(b"-- ") => end_of_line(text, at),
            b'/' if text[at..].starts_with(b"/*") => find(&text[at + 2..], b"*/").map_or(text.len(), |length| at + length + 4),
            _ => at + 1,
        };
    }
    text.len()
}

fn end_of_line(text: &[u8], at: usize) -> usize {
    text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |length| at + length + 1)
}

/// Offset behind the quoted text that begins at `at`. A doubled quote ends it and begins another one, which comes to the same.
fn end_of_quoted(text: &[u8], at: usize) -> usize {
    let quote = text[at];
    let mut end = at + 1;
    while let Some(byte) = text.get(end) {
        end += match byte {
            b'\\' if quote != b'`' => 2,
            byte if *byte == quote => return end + 1,
            _ => 1,
        };
    }
    text.len()
}

/// The first value of each row behind VALUES.
fn first_of_each_row(statement: &[u8], orders: &mut Vec<Named>) {
    let Some(values) = find(statement, b"VALUES") else { return };
    let (mut at, mut depth, mut parameters) = (values, 0_u32, 0);
    while let Some(byte) = statement.get(at) {
        at = match byte {
            b'\'' | b'"' | b'`' => end_of_quoted(statement, at),
            b'(' => {
                if depth == 0 {
                    orders.extend(value_at(statement, at + 1, parameters));
                }
                depth += 1;
                at + 1
            }
            b')' => {
                depth = depth.saturating_sub(1);
                at + 1
            }
            b'?' => {
                parameters += 1;
                at + 1
            }
            _ => at + 1,
        };
    }
}

/// What `order_id` is compared with.
fn compared(statement: &[u8], orders: &mut Vec<Named>) {
    const COLUMN: &[u8] = b" order_id ";
    let Some(found) = find(statement, b" order_id = ").or_else(|| find(statement, b" order_id IN (")) else { return };
    let before = statement[..found].iter().filter(|byte| **byte == b'?').count();
    let behind = found + COLUMN.len();
    if statement[behind] == b'=' {
        orders.extend(value_at(statement, behind + 2, before));
        return;
    }
    let (mut at, mut parameters) = (behind + b"IN (".len(), before);
    while let Some(value) = value_at(statement, at, parameters) {
        orders.push(value);
        at = if statement[at] == b'?' { at + 1 } else { end_of_quoted(statement, at) };
        parameters += usize::from(statement[at - 1] == b'?');
        while statement.get(at).is_some_and(|byte| matches!(byte, b',' | b' ')) {
            at += 1;
        }
    }
}

/// The quoted text or the parameter at `at`.
fn value_at(statement: &[u8], at: usize, parameters: usize) -> Option<Named> {
    match statement.get(at)? {
        b'\'' => {
            let text = statement.get(at + 1..end_of_quoted(statement, at) - 1)?;
            Some(Named::Id(String::from_utf8_lossy(text).into_owned()))
        }
        b'?' => Some(Named::Parameter(parameters)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Some forms of a service like the one under test; those of the real one are tried on its real conversations.
    fn dialect() -> Dialect {
        use StatementOrders::{Compared, FirstOfEachRow, None};
        let form = |meaning, begins: &str, holds: &[&str], orders| StatementForm {
            meaning,
            begins: begins.to_owned(),
            holds: holds.iter().map(|text| (*text).to_owned()).collect(),
            orders,
        };
        let statements = vec![
            form(Meaning::InsertOrders, "INSERT INTO orders ", &["'CREATED'"], FirstOfEachRow),
            form(Meaning::InsertTombstone, "INSERT INTO orders ", &["'FENCED'"], FirstOfEachRow),
            form(Meaning::InsertDeducts, "INSERT INTO outbox ", &["'DEDUCT_STOCK_DB'"], FirstOfEachRow),
            form(Meaning::ClaimDeducts, "SELECT ", &[" FROM outbox ", "'DEDUCT_STOCK_DB'", "SKIP LOCKED"], None),
            form(Meaning::FindSales, "SELECT ", &[" FROM inventory_transactions ", " order_id IN ("], Compared),
            form(Meaning::Pay, "UPDATE orders SET status = 'PAID'", &[], Compared),
        ];
        Dialect { statements, ..Dialect::default() }
    }

    fn reading(text: &str) -> Reading {
        read(&dialect(), text.as_bytes())
    }

    fn ids(reading: &Reading) -> Vec<&str> {
        reading.orders.iter().filter_map(|named| if let Named::Id(id) = named { Some(id.as_str()) } else { None }).collect()
    }

    #[test]
    fn one_packet_with_locks_and_rows_is_read_statement_by_statement() {
        let text = "BEGIN; SELECT epoch FROM inventory_epoch WHERE store_id = 1 LOCK IN SHARE MODE; \
                    INSERT INTO orders (order_id, user_id, status, request_hash, expire_at) VALUES \
                    ('o-1',7,'CREATED',x'00ff',NOW(3) + INTERVAL 5 MICROSECOND),('o-2',8,'CREATED',x'',NOW(3)); \
                    INSERT INTO outbox (event_id, event_type) VALUES ('o-1','DEDUCT_STOCK_DB')";
        let reading = reading(text);
        assert!(reading.begins && !reading.commits);
        assert!(reading.meanings.has(Meaning::InsertOrders) && reading.meanings.has(Meaning::InsertDeducts));
        assert!(!reading.meanings.has(Meaning::InsertTombstone));
        assert_eq!(&ids(&reading)[..2], ["o-1", "o-2"]);
    }

    #[test]
    fn the_tail_of_a_long_statement_tells_a_claim() {
        let ids = "1234567,".repeat(400);
        let text = format!("SELECT id FROM outbox WHERE id IN ({ids}1) AND event_type = 'DEDUCT_STOCK_DB' FOR UPDATE SKIP LOCKED");
        assert!(reading(&text).meanings.has(Meaning::ClaimDeducts));
        assert!(!reading(&text.replace(" SKIP LOCKED", "")).meanings.has(Meaning::ClaimDeducts));
    }

    #[test]
    fn orders_are_found_behind_an_equals_sign_a_list_and_a_parameter() {
        assert_eq!(ids(&reading("UPDATE orders SET status = 'PAID' WHERE order_id = 'a' AND status = 'CREATED'")), ["a"]);
        let find = "SELECT id, order_id FROM inventory_transactions WHERE order_id IN ('a','b', 'c') AND kind = 'SALE'";
        assert_eq!(ids(&reading(find)), ["a", "b", "c"]);
        let prepared = reading("UPDATE orders SET status = 'PAID', reason = ? WHERE order_id = ?");
        assert_eq!(prepared.orders, [Named::Parameter(1)]);
        let rows = reading("INSERT INTO orders (order_id, user_id, status) VALUES (?, ?, 'CREATED'), (?, ?, 'CREATED')");
        assert_eq!(rows.orders, [Named::Parameter(0), Named::Parameter(2)]);
    }

    #[test]
    fn a_semicolon_in_quotes_or_in_a_comment_ends_nothing() {
        let text = b"SELECT ';\\';'; /* ; */ COMMIT; SELECT `;` -- ;\n; # ;\n BEGIN";
        let found: Vec<String> = Statements(text).map(|part| String::from_utf8_lossy(part).into_owned()).collect();
        assert_eq!(found, ["SELECT ';\\';'", "/* ; */ COMMIT", "SELECT `;` -- ;", "# ;\n BEGIN"]);
    }

    #[test]
    fn words_that_only_begin_like_a_keyword_are_none() {
        assert!(!reading("COMMITTED").commits && reading("commit").commits && reading("Commit ").commits);
        assert!(reading("START TRANSACTION READ WRITE").begins && !reading("BEGINNING").begins);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..200), pick in 0..6_usize) {
            let dialect = dialect();
            let mut statement = dialect.statements[pick].begins.clone().into_bytes();
            for held in &dialect.statements[pick].holds {
                statement.extend_from_slice(held.as_bytes());
            }
            statement.extend_from_slice(&text);
            read(&dialect, &text);
            read(&dialect, &statement);
        }
    }
}
