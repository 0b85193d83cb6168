//! Is it there yet? One inline PING over the socket, without a Redis client.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nobody listens, or nobody answered in time.
    None,
    /// It reads its data and takes no commands yet.
    Loading,
    Ready,
}

/// A server that accepts but does not answer for this long is asked again.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) fn ping(socket: &Path) -> Answer {
    ask(socket).map_or(Answer::None, |reply| {
        if reply.starts_with(b"-LOADING") {
            Answer::Loading
        } else {
            // +PONG. Another error is an answer too: what it means is for the store to find out.
            Answer::Ready
        }
    })
}

fn ask(socket: &Path) -> std::io::Result<[u8; 8]> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"PING\r\n")?;
    let mut reply = [0; 8];
    let mut read = 0;
    // "+PONG\r\n" has seven bytes; anything longer is an error and fills the buffer.
    while read < reply.len() && !reply[..read].ends_with(b"\n") {
        match stream.read(&mut reply[read..])? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => read += n,
        }
    }
    Ok(reply)
}
