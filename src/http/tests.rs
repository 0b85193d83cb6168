//! The room as a whole, without an engine behind it: everything that is answered before the store is asked.

use std::path::Path;

/// Compares a generated file with what it should be; `UPDATE=1` writes it.
pub(super) fn compare_with_file(path: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is out of date: run the tests with UPDATE=1 and look at the change",
        path.display()
    );
}

#[test]
fn the_committed_openapi_document_is_the_routers() {
    compare_with_file("openapi/openapi.json", &super::openapi_text());
}
