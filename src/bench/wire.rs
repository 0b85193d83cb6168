//! A minimal HTTP/1.1 client, because the generator shares its cores with the server that it measures.
//!
//! It supports keep-alive, one request in flight on each connection, and bodies with a `Content-Length`.
//! Chunked responses, redirects and TLS are errors, so that they never distort a number.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest head that is read.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The longest body that is read. A lease response contains at most 8 MiB of payloads.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
const READ_BYTES: usize = 4 * 1024;

/// The head of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// The position of the body.
    pub(super) body_at: usize,
    pub(super) body_bytes: usize,
    /// Whether the server closes the connection after this response.
    pub(super) close: bool,
}

/// Reads the head of a response. Returns `None` until it is complete.
///
/// # Errors
/// A sentence that names what this client does not support.
pub(super) fn parse_head(read: &[u8]) -> std::result::Result<Option<Head>, &'static str> {
    let mut lines = Lines { read, at: 0 };
    let Some(first) = lines.next() else {
        return too_long(read);
    };
    let status = match first {
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            b'0' | b'1',
            b' ',
            a @ b'0'..=b'9',
            b @ b'0'..=b'9',
            c @ b'0'..=b'9',
            ..,
        ] => [a, b, c]
            .iter()
            .fold(0, |status, digit| status * 10 + u16::from(**digit - b'0')),
        _ => return Err("the response is not HTTP/1.1"),
    };
    let (mut body_bytes, mut close) = (None, false);
    loop {
        let Some(line) = lines.next() else {
            return too_long(read);
        };
        if line.is_empty() {
            break;
        }
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .ok_or("a header line has no colon")?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let text = std::str::from_utf8(value).map_err(|_| "Content-Length is not a number")?;
            body_bytes = Some(
                text.parse::<usize>()
                    .map_err(|_| "Content-Length is not a number")?,
            );
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err("the response is chunked");
        } else if name.eq_ignore_ascii_case(b"connection") {
            close = value.eq_ignore_ascii_case(b"close");
        }
    }
    let body_bytes = match (body_bytes, status) {
        (Some(bytes), _) if bytes > BODY_BYTES_MAX => return Err("the response is too long"),
        (Some(bytes), _) => bytes,
        (None, 204 | 304) => 0,
        (None, _) => return Err("the response has no Content-Length"),
    };
    Ok(Some(Head {
        status,
        body_at: lines.at,
        body_bytes,
        close,
    }))
}

fn too_long<T>(read: &[u8]) -> std::result::Result<Option<T>, &'static str> {
    if read.len() > HEAD_BYTES_MAX {
        Err("the head of the response is too long")
    } else {
        Ok(None)
    }
}

/// An iterator over complete lines without their `\r\n`.
struct Lines<'a> {
    read: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = &self.read[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        self.at += end + 1;
        Some(rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]))
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Response<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
}

impl Response<'_> {
    pub(super) fn is_success(self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A keep-alive connection. It reconnects after the server has closed it.
pub(super) struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    read: Vec<u8>,
    closing: bool,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self> {
        Ok(Self {
            address,
            stream: connect(address).await?,
            read: Vec::new(),
            closing: false,
        })
    }

    /// Sends a request and waits for the whole response.
    pub(super) async fn call(&mut self, request: &[u8]) -> Result<Response<'_>> {
        self.send(request).await?;
        self.receive().await
    }

    /// Sends a request. Its response must be received before the next request.
    pub(super) async fn send(&mut self, request: &[u8]) -> Result<()> {
        if self.closing {
            self.stream = connect(self.address).await?;
            self.closing = false;
        }
        self.stream.write_all(request).await
    }

    pub(super) async fn receive(&mut self) -> Result<Response<'_>> {
        self.read.clear();
        let head = loop {
            self.fill(READ_BYTES).await?;
            if let Some(head) = parse_head(&self.read).map_err(Error::other)? {
                break head;
            }
        };
        let end = head.body_at + head.body_bytes;
        while self.read.len() < end {
            // The buffer is one byte larger than needed: a read that fills it makes tokio ask the kernel
            // again.
            self.fill(end - self.read.len() + 1).await?;
        }
        self.closing = head.close;
        Ok(Response {
            status: head.status,
            body: &self.read[head.body_at..end],
        })
    }

    async fn fill(&mut self, room: usize) -> Result<()> {
        self.read.reserve(room);
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(Error::new(
                ErrorKind::UnexpectedEof,
                "the server closed the connection",
            )),
            _ => Ok(()),
        }
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::{Connection, Head, parse_head};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[test]
    fn a_head_is_read_at_its_last_byte_and_not_before() {
        let text =
            b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nContent-Length:  17\r\n\r\n{\"id\"";
        let body_at = text.len() - 5;
        for cut in 0..body_at {
            assert_eq!(parse_head(&text[..cut]), Ok(None), "cut at {cut}");
        }
        assert_eq!(
            parse_head(text),
            Ok(Some(Head {
                status: 201,
                body_at,
                body_bytes: 17,
                close: false
            }))
        );
    }

    #[test]
    fn a_closing_server_is_noticed_and_an_empty_response_needs_no_length() {
        let head = parse_head(b"HTTP/1.1 204 No Content\r\nConnection: Close\r\n\r\n")
            .unwrap()
            .unwrap();
        assert_eq!((head.status, head.body_bytes, head.close), (204, 0, true));
    }

    #[test]
    fn unsupported_responses_are_errors() {
        for text in [
            "HTTP/2 200\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        ] {
            assert!(parse_head(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(parse_head(&[b'x'; 20 * 1024]).is_err(), "a head without an end");
    }

    type Pieces = &'static [&'static str];
    const HELLO: Pieces = &["HTTP/1.1 200 OK\r\ncontent-le", "ngth: 5\r\n\r\nhe", "llo"];
    const LAST: Pieces = &["HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"];
    /// The responses of each connection, after which it is closed.
    const CONNECTIONS: &[&[Pieces]] = &[&[HELLO, LAST], &[HELLO]];

    async fn serve(listener: TcpListener) {
        for responses in CONNECTIONS {
            let (mut stream, _) = listener.accept().await.unwrap();
            for pieces in *responses {
                stream.read_exact(&mut [0; 4]).await.unwrap();
                for piece in *pieces {
                    stream.write_all(piece.as_bytes()).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    #[tokio::test]
    async fn responses_in_pieces_are_joined_and_a_closed_connection_is_reopened() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener));
        let mut connection = Connection::open(address).await.unwrap();
        for body in ["hello", "", "hello"] {
            assert_eq!(connection.call(b"ping").await.unwrap().body, body.as_bytes());
        }
        server.await.unwrap();
        assert!(
            connection.call(b"ping").await.is_err(),
            "a server that closed the connection without a notice is an error"
        );
    }
}
