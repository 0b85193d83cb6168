//! What watchers are told. Hints: nothing is kept, and who missed some reads anew.

use super::QueueName;

macro_rules! kinds {
    ($($(#[doc = $about:literal])+ $name:ident = $word:literal;)+) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum EventKind {
            $($(#[doc = $about])+ $name,)+
        }

        impl EventKind {
            pub const ALL: &[Self] = &[$(Self::$name),+];

            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }

            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($about),+).trim_ascii(),)+
                }
            }
        }
    };
}

// A new kind is a new line here, and a call where it happens.
kinds! {
    /// Tasks of the queue moved: its counts, at most once a second and replica.
    Queue = "queue";
    /// Tasks became dead letters: how many since the last time, and how many there are.
    DeadLetters = "dead_letters";
    /// Something was lost that should not be: dead letters evicted or aged out (`dead_evicted`, `dead_aged`), and how many.
    Alarm = "alarm";
    /// The breaker of a name is in another state: `open`, `half_open` (as soon as somebody looks), `closed`.
    Breaker = "breaker";
    /// An operator held the queue, a name or a group for so many seconds, or ended that (0).
    Hold = "hold";
    /// The queue is paused: which mode.
    Paused = "paused";
    /// The queue goes on, by hand or because the pause is over.
    Resumed = "resumed";
    /// A queue was made.
    QueueCreated = "queue_created";
    /// A queue's config was changed: its new version.
    QueueConfigured = "queue_configured";
    /// A queue was deleted.
    QueueDeleted = "queue_deleted";
}

/// Bytes of what an event says; a longer one is not told.
pub const EVENT_BYTES_MAX: usize = 2 << 10;

/// One event, as replicas tell it each other: `kind queue {json}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    pub queue: QueueName,
    /// What more there is to say, as a JSON object.
    pub said: Box<str>,
}

impl Event {
    pub fn message(&self) -> String {
        format!("{} {} {}", self.kind.word(), self.queue, self.said)
    }

    /// `None` for what this version does not know: a newer replica may tell more.
    pub fn read(message: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(message).ok()?;
        let mut words = text.splitn(3, ' ');
        let (word, queue, said) = (words.next()?, words.next()?, words.next()?);
        let kind = EventKind::ALL.iter().find(|kind| kind.word() == word)?;
        // What is one line is one line in the stream of events, too.
        let sound = said.len() <= EVENT_BYTES_MAX && said.starts_with('{') && !said.contains(['\n', '\r']);
        Some(Self {
            kind: *kind,
            queue: QueueName::parse(queue).ok().filter(|_| sound)?,
            said: said.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_back_and_what_is_none_is_not_one() {
        let event = Event {
            kind: EventKind::DeadLetters,
            queue: QueueName::parse("emails").unwrap(),
            said: r#"{"died":3}"#.into(),
        };
        assert_eq!(Event::read(event.message().as_bytes()), Some(event));
        for bad in [
            "",
            "queue",
            "queue q",
            "unheard q {}",
            "queue a/b {}",
            "queue q []",
            "queue q {\n}",
        ] {
            assert_eq!(Event::read(bad.as_bytes()), None, "{bad}");
        }
        let long = format!("queue q {{{}}}", " ".repeat(EVENT_BYTES_MAX));
        assert_eq!(Event::read(long.as_bytes()), None);
    }

    #[test]
    fn every_kind_has_a_word_of_its_own() {
        let mut words: Vec<_> = EventKind::ALL.iter().map(|kind| kind.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), EventKind::ALL.len());
    }
}
