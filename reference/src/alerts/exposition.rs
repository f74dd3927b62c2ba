//! The text that Prometheus scrapes, read back: names, labels and values of its series.

/// One series at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name of the metric.
    pub name: String,
    /// Its labels, in the order of the text.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: f64,
}

impl Sample {
    /// The value of a label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }
}

/// The series of a text. Lines of another form are left out: the text is our own, and holds no escapes and no timestamps.
#[must_use]
pub fn samples(text: &str) -> Vec<Sample> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect()
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, rest)) = series.split_once('{') else {
        return Some(Sample { name: series.to_owned(), labels: Vec::new(), value });
    };
    let inside = rest.strip_suffix('}')?;
    let label = |part: &str| {
        let (name, quoted) = part.split_once('=')?;
        Some((name.to_owned(), quoted.strip_prefix('"')?.strip_suffix('"')?.to_owned()))
    };
    let labels = inside.split(',').filter(|part| !part.is_empty()).map(label).collect::<Option<_>>()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_read_and_the_rest_is_left_out() {
        let text = "# HELP a b\na 1\nb{x=\"1:2:3\",y=\"z\"} -2.5\n\nbroken{x=1} 2\nc{} 3\n# EOF\n";
        let read = samples(text);
        assert_eq!(
            read.iter().map(|sample| (sample.name.as_str(), sample.value)).collect::<Vec<_>>(),
            [("a", 1.0), ("b", -2.5), ("c", 3.0)]
        );
        assert_eq!((read[1].label("x"), read[1].label("q")), (Some("1:2:3"), None));
    }
}
