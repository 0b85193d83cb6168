//! Data goes to stdout, everything else to stderr. A closed pipe never panics.

use std::fmt;
use std::io::{ErrorKind, IsTerminal, Write};

use comfy_table::{Table, presets};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::client;
use super::exit::{Exit, Failure};

/// Writes `bytes` and a newline to stdout.
pub(super) fn line(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout
        .write_all(bytes)
        .and_then(|()| {
            if bytes.ends_with(b"\n") {
                Ok(())
            } else {
                stdout.write_all(b"\n")
            }
        })
        .and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::closed_pipe(),
        _ => Failure::new(Exit::Error, format!("stdout cannot be written: {error}")),
    })
}

/// Writes a note for the user at the terminal, ignoring errors.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes rows: as a table with a header on a terminal, tab-separated without the header into a pipe.
pub(super) fn table(header: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() {
        let text: String = rows.iter().map(|row| tab_separated(row) + "\n").collect();
        return if text.is_empty() {
            Ok(())
        } else {
            line(text.as_bytes())
        };
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    line(table.to_string().as_bytes())
}

/// Writes one object, with a line per field and aligned values.
pub(super) fn fields(fields: &[(&str, String)]) -> Result<(), Failure> {
    let terminal = std::io::stdout().is_terminal();
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let text: String = fields
        .iter()
        .map(|(name, value)| match terminal {
            true => format!("{name:<width$}  {value}\n"),
            false => format!("{name}\t{}\n", one_line(value)),
        })
        .collect();
    line(text.as_bytes())
}

/// Writes a response with one object: as JSON, or a line per field.
pub(super) fn answer(answer: &[u8], json: bool) -> Result<(), Failure> {
    if json {
        return line(answer);
    }
    let Ordered(values) = client::decode(answer)?;
    let shown: Vec<(&str, String)> = values
        .iter()
        .map(|(name, value)| (name.as_str(), plain(value)))
        .collect();
    fields(&shown)
}

/// Formats a value of the API for people.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

/// The fields of an object, in the order of the response.
struct Ordered(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Ordered;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Ordered(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

fn tab_separated(row: &[String]) -> String {
    row.iter()
        .map(|cell| one_line(cell))
        .collect::<Vec<_>>()
        .join("\t")
}

/// Replaces tabs and newlines, which a payload may contain and a row must not.
fn one_line(cell: &str) -> String {
    cell.replace(['\t', '\n', '\r'], " ")
}
