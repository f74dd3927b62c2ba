//! Prometheus' text form, as far as a scrape of counters and gauges needs it.
//!
//! In: the text. Out: its series. Comments, time stamps and lines of another form are passed over.

/// One series at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name of the metric.
    pub name: String,
    /// Its labels, in the order of the text.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: f64,
}

/// The series of a text.
#[must_use]
pub fn series(text: &str) -> Vec<Series> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(one).collect()
}

fn one(line: &str) -> Option<Series> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, quoted) = rest.split_once("=\"")?;
            let (value, behind) = unquoted(quoted)?;
            labels.push((label.to_owned(), value));
            rest = behind.strip_prefix(',').unwrap_or(behind);
        }
        rest = &rest[1..];
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Series { name: name.to_owned(), labels, value })
}

/// The text up to the closing quote, and what follows it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut letters) = (String::new(), text.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_read_with_their_labels_and_the_rest_is_passed_over() {
        let text = "# HELP a b\na 1\nb{x=\"1,2}\",y=\"a \\\"q\\\" \\\\\"} -2.5 1700\n\nbroken{x=1} 2\nc{} 3\nd{x=\"1\n# EOF\n";
        let read = series(text);
        let told: Vec<_> = read.iter().map(|one| (one.name.as_str(), one.value)).collect();
        assert_eq!(told, [("a", 1.0), ("b", -2.5), ("c", 3.0)]);
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read[1].labels, [label("x", "1,2}"), label("y", "a \"q\" \\")]);
    }
}
