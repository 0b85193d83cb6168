//! Finds the redis-server binary.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::EmbeddedError;

const NAMES: [&str; 2] = ["redis-server", "valkey-server"];

/// Returns the named binary; without a name the one next to `ours`, then the one in `PATH`.
pub(super) fn redis_server(named: Option<&Path>, ours: &Path) -> Result<PathBuf, EmbeddedError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    look(named, ours, &path)
}

fn look(named: Option<&Path>, ours: &Path, path: &OsStr) -> Result<PathBuf, EmbeddedError> {
    if let Some(named) = named {
        // A bare name is searched in PATH, as in a shell.
        let found = if named.components().count() == 1 {
            std::env::split_paths(path)
                .map(|dir| dir.join(named))
                .find(|file| runs(file).is_ok())
        } else {
            Some(named.to_owned())
        };
        let found = found.unwrap_or_else(|| named.to_owned());
        return match runs(&found) {
            Ok(()) => Ok(found),
            Err(problem) => Err(EmbeddedError::Unusable {
                path: named.to_owned(),
                problem,
            }),
        };
    }
    let ours = ours.canonicalize().unwrap_or_else(|_| ours.to_owned());
    let next_to = ours.parent().map(Path::to_owned);
    next_to
        .into_iter()
        .chain(std::env::split_paths(path))
        // An empty entry of PATH means the working directory, whose binaries are not trusted.
        .filter(|dir| dir.is_absolute())
        .flat_map(|dir| NAMES.map(|name| dir.join(name)))
        .find(|file| runs(file).is_ok())
        .ok_or_else(|| EmbeddedError::Missing {
            next_to: ours.display().to_string(),
        })
}

fn runs(file: &Path) -> Result<(), String> {
    match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err("there is no such file".into()),
        Err(error) => Err(error.to_string()),
        Ok(metadata) if !metadata.is_file() => Err("it is not a file".into()),
        Ok(_) if rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_err() => {
            Err("it may not be executed".into())
        }
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn binary(path: &Path, mode: u32) {
        std::fs::write(path, "").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_server_next_to_the_binary_wins_over_one_in_the_path() {
        let (ours, path) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let leaseq = ours.path().join("leaseq");
        binary(&path.path().join("valkey-server"), 0o755);
        let found = look(None, &leaseq, path.path().as_os_str());
        assert_eq!(found, Ok(path.path().join("valkey-server")));

        binary(&leaseq, 0o755);
        binary(&ours.path().join("redis-server"), 0o755);
        let found = look(None, &leaseq, path.path().as_os_str()).unwrap();
        assert_eq!(found.parent(), ours.path().canonicalize().ok().as_deref());
    }

    #[test]
    fn a_missing_server_names_the_three_ways_out() {
        let empty = tempfile::tempdir().unwrap();
        let told = look(None, Path::new("/nonexistent/leaseq"), empty.path().as_os_str())
            .unwrap_err()
            .to_string();
        for way in ["apt install redis-server", "--redis-server", "--redis-url"] {
            assert!(told.contains(way), "{told}");
        }
    }

    #[test]
    fn a_named_server_that_cannot_run_is_refused_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("redis-server");
        for (named, why) in [(file.as_path(), "no such file"), (dir.path(), "not a file")] {
            let told = look(Some(named), named, OsStr::new("/usr/bin")).unwrap_err();
            assert!(told.to_string().contains(why), "{told}");
        }
    }
}
