//! Output: data on stdout, everything else on stderr. A closed pipe never panics.

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
        _ => Failure::new(Exit::Error, format!("cannot write to stdout: {error}")),
    })
}

/// Writes a note for the user to stderr. A failed write is ignored.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints a table: with lines and a header on a terminal, tab-separated without a header for a pipe.
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

/// Prints the fields of one object, one on each line, with aligned values.
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

/// Prints a response that is one object: unchanged with `json`, else one field on each line.
pub(super) fn response(response: &[u8], json: bool) -> Result<(), Failure> {
    if json {
        return line(response);
    }
    let Ordered(values) = client::decode(response)?;
    let shown: Vec<(&str, String)> = values
        .iter()
        .map(|(name, value)| (name.as_str(), plain(value)))
        .collect();
    fields(&shown)
}

/// Returns a JSON value as text for the user.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

/// The fields of an object in the order of the response.
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

/// Replaces the tabs and newlines of a payload, which would break a row.
fn one_line(cell: &str) -> String {
    cell.replace(['\t', '\n', '\r'], " ")
}
