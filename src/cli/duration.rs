//! Durations such as `90s` or `2h`.

use std::time::Duration;

const DAYS_MAX: f64 = 366.0;

/// Parses `90s`, `5m`, `2h`, `1.5d`, `250ms`, or plain seconds; at most 366 days.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[number.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err("must be a number with ms, s, m, h or d, such as 90s, 5m or 2h".into()),
    };
    // f64 would also accept "inf", "nan" and "1e9".
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err("must be a number with ms, s, m, h or d, such as 90s, 5m or 2h".into());
    }
    let number: f64 = number
        .parse()
        .map_err(|_| "has more than one decimal point".to_owned())?;
    let seconds = number * seconds;
    if seconds > DAYS_MAX * 86_400.0 {
        return Err("is longer than 366 days".into());
    }
    // The API counts in milliseconds.
    Ok(Duration::from_secs_f64((seconds * 1000.0).round() / 1000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_the_usual_units() {
        let table = [
            ("90s", 90_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("1.5d", 129_600_000),
            ("250ms", 250),
            ("0.1", 100),
            ("30", 30_000),
            ("0", 0),
        ];
        for (text, ms) in table {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_duration_is_refused() {
        for bad in [
            "",
            "s",
            "-1",
            "1e3",
            "inf",
            "nan",
            "5 m",
            "5min",
            "1h30m",
            "1.2.3",
            "400d",
            "9".repeat(400).as_str(),
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
