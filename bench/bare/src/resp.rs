//! A minimal Redis client: one command at a time on each connection.

use std::io::{Error, Result};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    Bytes(Vec<u8>),
    Integer(i64),
    Nil,
    List(Vec<Reply>),
}

impl Reply {
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
    pub fn into_list(self) -> Vec<Self> {
        match self {
            Self::List(items) => items,
            _ => Vec::new(),
        }
    }
}

pub struct Connection {
    stream: UnixStream,
    out: Vec<u8>,
    read: Vec<u8>,
}

impl Connection {
    pub async fn open(socket: &Path) -> Result<Self> {
        Ok(Self {
            stream: UnixStream::connect(socket).await?,
            out: Vec::new(),
            read: Vec::with_capacity(64 * 1024),
        })
    }

    /// Sends one command and waits for its reply; an error reply is an `Err`.
    pub async fn command(&mut self, words: &[&[u8]]) -> Result<Reply> {
        self.out.clear();
        self.out
            .extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.out
                .extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            self.out.extend_from_slice(word);
            self.out.extend_from_slice(b"\r\n");
        }
        self.stream.write_all(&self.out).await?;
        self.read.clear();
        loop {
            let mut at = 0;
            match parse(&self.read, &mut at) {
                Some(reply) => return reply.map_err(Error::other),
                None if self.stream.read_buf(&mut self.read).await? == 0 => {
                    return Err(Error::other("Redis closed the connection"));
                }
                None => {}
            }
        }
    }
}

/// Parses a reply that starts at `at`. Returns `None` if more bytes are needed, and `Err` for an error reply
/// or another protocol.
fn parse(read: &[u8], at: &mut usize) -> Option<std::result::Result<Reply, String>> {
    let line_length = read.get(*at..)?.windows(2).position(|two| two == b"\r\n")?;
    let line = std::str::from_utf8(&read[*at..*at + line_length]).unwrap_or_default();
    *at += line_length + 2;
    let (kind, rest) = line.split_at_checked(1).unwrap_or_default();
    let number = rest.parse::<i64>();
    Some(match (kind, number) {
        ("+", _) => Ok(Reply::Bytes(rest.as_bytes().to_vec())),
        ("-", _) => Err(rest.to_owned()),
        (":", Ok(number)) => Ok(Reply::Integer(number)),
        ("$" | "*", Ok(-1)) => Ok(Reply::Nil),
        ("$", Ok(length)) => {
            let end = *at + usize::try_from(length).ok()?;
            let bytes = read.get(*at..end)?.to_vec();
            read.get(end..end + 2)?;
            *at = end + 2;
            Ok(Reply::Bytes(bytes))
        }
        ("*", Ok(items)) => {
            let mut list = Vec::new();
            for _ in 0..items {
                match parse(read, at)? {
                    Ok(item) => list.push(item),
                    Err(error) => return Some(Err(error)),
                }
            }
            Ok(Reply::List(list))
        }
        _ => Err(format!("not a Redis reply: {line:?}")),
    })
}

#[cfg(test)]
mod tests {
    use super::{Reply, parse};

    #[test]
    fn a_reply_is_read_whole_or_waited_for() {
        let text = b"*2\r\n$2\r\nab\r\n*2\r\n:7\r\n$-1\r\n";
        for cut in 0..text.len() {
            assert_eq!(parse(&text[..cut], &mut 0), None, "cut at {cut}");
        }
        let inner = Reply::List(vec![Reply::Integer(7), Reply::Nil]);
        assert_eq!(
            parse(text, &mut 0),
            Some(Ok(Reply::List(vec![Reply::Bytes(b"ab".to_vec()), inner])))
        );
        assert_eq!(parse(b"-ERR no\r\n", &mut 0), Some(Err("ERR no".to_owned())));
    }
}
