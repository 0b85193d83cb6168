//! The problem table for people: `docs/errors.md` and the pages under `/docs/errors/`.

use std::fmt::Write as _;

use super::table::{Code, Outcome, Retry};

/// `docs/errors.md`.
#[cfg_attr(not(test), expect(dead_code, reason = "the file is written by a test"))]
fn markdown() -> String {
    let mut text = String::from(
        "# Errors\n\nEvery error answer is `application/problem+json` (RFC 9457). Programs compare `code`; people read `detail`.\n\
         This page is generated from the table in the code; the service shows it under `/docs/errors`.\n\n\
         | Code | Status | Title |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        let row = code.row();
        let _ = writeln!(
            text,
            "| [`{0}`](#{0}) | {1} | {2} |",
            row.code, row.status, row.title
        );
    }
    for code in Code::ALL {
        let row = code.row();
        let _ = write!(
            text,
            "\n## {}\n\n**{} {}.** {}\n\n{}\n\n{}\n",
            row.code,
            row.status,
            row.title,
            row.means,
            row.advice,
            repeat(*code)
        );
    }
    text
}

/// Returns the advice on repeating the request, in words.
fn repeat(code: Code) -> String {
    let outcome = match code.row().outcome {
        None => "",
        Some(Outcome::NotApplied) => " `outcome` is `not_applied`: nothing was written.",
        Some(Outcome::Unknown) => " `outcome` is `unknown`: it may or may not have happened.",
    };
    match code.row().retry {
        Retry::No => format!("Repeating the same request does not help.{outcome}"),
        Retry::Told => format!("Retry after `Retry-After`, where there is one.{outcome}"),
        Retry::AfterSeconds(1) => format!("Retry after 1 second, then with growing pauses.{outcome}"),
        Retry::AfterSeconds(seconds) => {
            format!("Retry after {seconds} seconds, then with growing pauses.{outcome}")
        }
    }
}

/// The page of one problem.
pub(in crate::http) fn of(code: Code) -> String {
    let row = code.row();
    html(
        row.code,
        &format!(
            "<p><a href=\"../errors\">All errors</a></p><h1>{}</h1><p><code>{}</code>, status {}</p><p>{}</p><p>{}</p><p>{}</p>",
            escape(row.title),
            row.code,
            row.status,
            escape(row.means),
            escape(row.advice),
            escape(&repeat(code)),
        ),
    )
}

/// All problems.
pub(in crate::http) fn index() -> String {
    let mut rows = String::new();
    for code in Code::ALL {
        let row = code.row();
        let _ = write!(
            rows,
            "<tr><td><a href=\"/docs/errors/{0}\"><code>{0}</code></a></td><td>{1}</td><td>{2}</td></tr>",
            row.code,
            row.status,
            escape(row.title)
        );
    }
    html("Errors", &format!("<h1>Errors</h1><table>{rows}</table>"))
}

fn html(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title} - LeaseQ</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:2rem auto;padding:0 1rem;\
         color-scheme:light dark}}td{{padding:.2rem 1rem .2rem 0}}</style>{body}</html>\n"
    )
}

/// Turns a text of the table into HTML; backticks become code.
fn escape(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let mut parts = text.split('`');
    let mut html = parts.next().unwrap_or_default().to_owned();
    for (index, part) in parts.enumerate() {
        html.push_str(if index % 2 == 0 { "<code>" } else { "</code>" });
        html.push_str(part);
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errors_page_is_the_table() {
        crate::http::tests::compare_with_file("docs/errors.md", &markdown());
    }

    #[test]
    fn pages_show_code_as_code_and_nothing_as_markup() {
        assert_eq!(escape("a `b<c` & d"), "a <code>b&lt;c</code> &amp; d");
        assert!(of(Code::LeaseLost).contains("<code>lease_lost</code>, status 409"));
    }
}
