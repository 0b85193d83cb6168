//! Pings Redis over the socket, without a Redis client.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing listens, or no reply came in time.
    None,
    /// Redis loads its data and takes no commands yet.
    Loading,
    Ready,
}

/// A server that accepts but does not reply for this long is pinged again.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) fn ping(socket: &Path) -> Answer {
    ask(socket).map_or(Answer::None, |reply| {
        if reply.starts_with(b"-LOADING") {
            Answer::Loading
        } else {
            // +PONG. An error is a reply, too, and the store finds out its meaning.
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
