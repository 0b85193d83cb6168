//! Arguments that can also come from a file or stdin.

use std::io::Read;
use std::path::Path;

use serde_json::value::RawValue;

use super::exit::Failure;
use crate::domain::limits::BODY_BYTES_MAX;
use crate::domain::{QueueName, TaskId, TaskName, TaskState};

/// The source of an argument's data: `-` is stdin, `@FILE` a file, anything else the text itself.
pub(super) enum Input<'a> {
    Text(&'a str),
    File(&'a Path),
    Stdin,
}

impl<'a> Input<'a> {
    pub(super) fn of(argument: &'a str) -> Self {
        match argument.strip_prefix('@') {
            Some(file) => Self::File(Path::new(file)),
            None if argument == "-" => Self::Stdin,
            None => Self::Text(argument),
        }
    }
}

/// Reads an argument as JSON, byte for byte. `what` names it in errors.
pub(super) fn json(argument: &str, what: &str) -> Result<Box<RawValue>, Failure> {
    let text = text(argument, what)?;
    // White space around the value comes from the shell or an editor.
    RawValue::from_string(text.trim().to_owned()).map_err(|error| {
        let quoted = serde_json::to_string(text.trim()).unwrap_or_default();
        let failure = Failure::usage(format!("the {what} is not JSON: {error}"));
        match quoted.len() {
            0..=200 => failure.hint(format!(
                "'{}' if you meant a JSON string",
                quoted.replace('\'', r"'\''")
            )),
            _ => failure,
        }
    })
}

/// Reads an argument as UTF-8 text.
pub(super) fn text(argument: &str, what: &str) -> Result<String, Failure> {
    let unreadable = |from: &str, error: std::io::Error| {
        Failure::usage(format!("the {what} cannot be read from {from}: {error}"))
    };
    let text = match Input::of(argument) {
        Input::Text(text) => return Ok(text.to_owned()),
        Input::File(path) => std::fs::File::open(path)
            .and_then(bounded)
            .map_err(|error| unreadable(&path.display().to_string(), error))?,
        Input::Stdin => bounded(std::io::stdin().lock()).map_err(|error| unreadable("stdin", error))?,
    };
    if text.len() > BODY_BYTES_MAX {
        return Err(Failure::usage(format!(
            "the {what} is longer than {BODY_BYTES_MAX} bytes, the most that a request may have"
        )));
    }
    Ok(text)
}

fn bounded(from: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(BODY_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// Parses the name of a queue for clap.
pub(super) fn queue(text: &str) -> Result<QueueName, String> {
    QueueName::parse(text).map_err(|error| error.to_string())
}

/// Parses the name of a task for clap.
pub(super) fn task_name(text: &str) -> Result<TaskName, String> {
    TaskName::parse(text).map_err(|error| error.to_string())
}

/// Parses the id of a task for clap.
pub(super) fn task_id(text: &str) -> Result<String, String> {
    match TaskId::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Parses a state for clap.
pub(super) fn state(text: &str) -> Result<TaskState, String> {
    TaskState::parse(text).ok_or_else(|| {
        let words = TaskState::ALL.map(TaskState::word).join(", ");
        format!("must be one of {words}")
    })
}

/// Parses a `lease_id` for clap. All its characters are valid in a path.
pub(super) fn lease_id(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if (1..=1024).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("is not a lease_id: copy it from the response of a lease request".into())
    }
}

/// Parses a header `KEY=VALUE` for clap.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("must be KEY=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn json_is_kept_byte_for_byte_and_text_gets_a_hint() {
        let odd = r#"{"b": 1.0000000000000000001,"a":[],  "a":9007199254740993}"#;
        assert_eq!(json(odd, "payload").unwrap().get(), odd);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "{odd}").unwrap();
        let argument = format!("@{}", file.path().display());
        assert_eq!(json(&argument, "payload").unwrap().get(), odd);
        let shown = json("it's text", "payload").unwrap_err().to_string();
        assert!(shown.contains(r#"'"it'\''s text"'"#), "{shown}");
    }

    #[test]
    fn a_lease_id_cannot_leave_its_place_in_the_path() {
        for bad in ["", "../x", "a/b", "a?b", "a b", "%2e"] {
            assert!(lease_id(bad).is_err(), "{bad}");
        }
    }
}
