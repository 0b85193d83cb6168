//! The embedded redis-server child.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::fs::FlockOperation;

use leaseq::store::embedded::{Embedded, EmbeddedError, Options, Sync};

use super::running::{LEASEQ, kill, runs, until};

fn options(dir: &Path) -> Options {
    Options {
        leash: LEASEQ.into(),
        ..Options::new(dir)
    }
}

async fn start(dir: &Path) -> Embedded {
    let child = Embedded::start(options(dir)).await.unwrap();
    child.ready().await.unwrap();
    child
}

/// One inline command; the first line of the reply, or the value of a bulk one.
fn redis(socket: &Path, command: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    writeln!(stream, "{command}\r").unwrap();
    let mut lines = BufReader::new(stream).lines().map(|line| line.unwrap());
    let mut first = lines.next().unwrap();
    while first.starts_with(['$', '*']) && first != "$-1" {
        first = lines.next().unwrap();
    }
    first
}

#[tokio::test]
async fn it_is_private_and_syncs_as_it_was_told() {
    let temp = tempfile::tempdir().unwrap();
    for (sync, word) in [(Sync::Always, "always"), (Sync::EverySecond, "everysec")] {
        let child = Embedded::start(Options {
            sync,
            ..options(temp.path())
        })
        .await
        .unwrap();
        child.ready().await.unwrap();

        let socket = child.socket();
        assert_eq!(redis(socket, "PING"), "+PONG");
        let home = socket.parent().unwrap();
        assert_eq!(std::fs::metadata(home).unwrap().mode() & 0o777, 0o700);
        assert_eq!(
            std::fs::metadata(home.join("redis.conf")).unwrap().mode() & 0o777,
            0o600
        );
        let setting = |name: &str| {
            let mut stream = UnixStream::connect(socket).unwrap();
            write!(stream, "CONFIG GET {name}\r\n").unwrap();
            BufReader::new(stream)
                .lines()
                .map_while(Result::ok)
                .nth(4)
                .unwrap()
        };
        assert_eq!(setting("appendfsync"), word);
        assert_eq!(setting("maxmemory-policy"), "noeviction");
        assert_eq!(setting("port"), "0");
        assert!(redis(socket, "DEBUG SLEEP 0").starts_with("-ERR unknown command"));
        assert!(redis(socket, "MODULE LIST").starts_with("-ERR unknown command"));
        child.stop().await;
    }
}

#[tokio::test]
async fn data_outlives_a_stop_and_a_killed_child() {
    let temp = tempfile::tempdir().unwrap();
    let child = start(temp.path()).await;
    assert_eq!(redis(child.socket(), "SET k v"), "+OK");
    let first = child.pid().unwrap();
    child.stop().await;
    assert!(!runs(first));

    let child = start(temp.path()).await;
    assert_eq!(redis(child.socket(), "GET k"), "v");
    let second = child.pid().unwrap();
    kill(second, "-KILL");
    let third = until("a new child", || child.pid().filter(|pid| *pid != second));
    child.ready().await.unwrap();

    assert!(!runs(second) && runs(third));
    assert_eq!(redis(child.socket(), "GET k"), "v");
    drop(child);
    assert!(!runs(third), "dropping it ends the child");
}

/// I5: Redis itself would half apply it, at the second start.
#[tokio::test]
async fn a_transaction_that_a_power_cut_tore_never_happened() {
    let temp = tempfile::tempdir().unwrap();
    let write = |value: u8| {
        let set = |key: &str| format!("redis.call('SET', '{key}', '{value}')");
        format!("EVAL \"{} {} {}\" 0", set("a"), set("b"), set("c"))
    };
    let child = start(temp.path()).await;
    for value in [1, 2] {
        redis(child.socket(), &write(value));
    }
    drop(child);
    let log = temp.path().join("redis/appendonlydir/appendonly.aof.1.incr.aof");
    let bytes = std::fs::read(&log).unwrap();
    // In the last of three commands.
    let torn = bytes.len() - "c\r\n$1\r\n2\r\n*1\r\n$4\r\nEXEC\r\n".len();
    File::options()
        .write(true)
        .open(&log)
        .unwrap()
        .set_len(torn as u64)
        .unwrap();

    for _ in 0..2 {
        let child = start(temp.path()).await;
        for key in ["a", "b", "c"] {
            assert_eq!(redis(child.socket(), &format!("GET {key}")), "1", "{key}");
        }
        redis(
            child.socket(),
            "EVAL \"redis.call('SET', 'x', 1) redis.call('SET', 'y', 1)\" 0",
        );
        drop(child);
    }
}

#[tokio::test]
async fn one_directory_takes_one_service() {
    let temp = tempfile::tempdir().unwrap();
    let first = start(temp.path()).await;
    let told = Embedded::start(options(temp.path())).await.err().unwrap();
    assert!(matches!(told, EmbeddedError::InUse { .. }), "{told}");
    assert_eq!(redis(first.socket(), "PING"), "+PONG");
    first.stop().await;
    start(temp.path()).await.stop().await;
}

#[tokio::test]
async fn a_server_that_is_still_dying_is_waited_for() {
    let temp = tempfile::tempdir().unwrap();
    let child = start(temp.path()).await;
    let lock = File::open(temp.path().join("redis/redis.lock")).unwrap();
    let taken = || rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
    assert!(taken().is_err(), "the child holds it");
    child.stop().await;
    taken().unwrap();

    // Now this test is the predecessor that has not let go yet.
    let dir = temp.path().to_owned();
    let next = tokio::spawn(async move { start(&dir).await });
    let conf = temp.path().join("redis/redis.conf");
    std::fs::remove_file(&conf).unwrap();
    tokio::task::spawn_blocking(move || until("the start of the next", || conf.exists().then_some(())))
        .await
        .unwrap();
    assert!(!temp.path().join("redis/redis.sock").exists());
    rustix::fs::flock(&lock, FlockOperation::Unlock).unwrap();
    next.await.unwrap().stop().await;
}

#[tokio::test]
async fn a_child_that_keeps_dying_is_given_up_with_its_last_words() {
    let temp = tempfile::tempdir().unwrap();
    let (dir, server) = (temp.path().join("data"), temp.path().join("redis-server"));
    // Works once, like a disk that fills up.
    let script = format!(
        "#!/bin/sh\n[ -e {0} ] && {{ echo 'the disk is full' >&2; exit 1; }}\ntouch {0}; exec redis-server \"$@\"\n",
        temp.path().join("used").display()
    );
    std::fs::write(&server, script).unwrap();
    std::fs::set_permissions(&server, std::fs::Permissions::from_mode(0o755)).unwrap();
    let child = Embedded::start(Options {
        redis_server: Some(server),
        ..options(&dir)
    })
    .await
    .unwrap();
    child.ready().await.unwrap();

    kill(child.pid().unwrap(), "-KILL");
    let told = child.failed().await;

    assert!(
        matches!(&told, EmbeddedError::KeepsDying { last_words, .. } if last_words == "the disk is full"),
        "{told}"
    );
}

#[tokio::test]
async fn it_never_starts_empty_where_there_was_data() {
    let temp = tempfile::tempdir().unwrap();
    start(temp.path()).await.stop().await;
    let data = temp.path().join("redis/appendonlydir");
    std::fs::rename(&data, temp.path().join("redis/elsewhere")).unwrap();
    let told = Embedded::start(options(temp.path())).await.err().unwrap();
    assert!(matches!(told, EmbeddedError::DataGone { .. }), "{told}");
    assert!(!data.exists());

    std::fs::rename(temp.path().join("redis/elsewhere"), &data).unwrap();
    start(temp.path()).await.stop().await;
}

#[tokio::test]
async fn a_server_that_refuses_its_configuration_is_quoted() {
    let temp = tempfile::tempdir().unwrap();
    let server = temp.path().join("redis-server");
    std::fs::write(
        &server,
        "#!/bin/sh\nexec redis-server \"$@\" --no-such-setting 1\n",
    )
    .unwrap();
    std::fs::set_permissions(&server, std::fs::Permissions::from_mode(0o755)).unwrap();
    let options = Options {
        redis_server: Some(server),
        ..options(&temp.path().join("data"))
    };
    let told = Embedded::start(options).await.err().unwrap().to_string();
    assert!(told.contains("no-such-setting"), "{told}");
}

#[tokio::test]
async fn a_directory_too_deep_for_a_socket_works() {
    let temp = tempfile::tempdir().unwrap();
    let child = start(&temp.path().join("d".repeat(100))).await;
    assert_eq!(redis(child.socket(), "PING"), "+PONG");
    let home = child.socket().parent().unwrap().to_owned();
    assert!(!home.starts_with(temp.path()));
    child.stop().await;
    assert!(!home.exists());
}
