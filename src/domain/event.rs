//! Events for watchers. They are hints: none is stored, and a watcher that missed some reads the state again.

use super::QueueName;

macro_rules! kinds {
    ($($(#[doc = $about:literal])+ $name:ident = $word:literal;)+) => {
        /// The kinds of events.
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
    /// Tasks of the queue moved: contains its counts, at most once a second and replica.
    Queue = "queue";
    /// Tasks became dead letters: contains their number since the last event, and the total.
    DeadLetters = "dead_letters";
    /// Dead letters were evicted or aged out (`dead_evicted`, `dead_aged`): contains their number.
    Alarm = "alarm";
    /// The breaker of a name changed its state: `open`, `half_open` (noticed by the next call that evaluates
    /// it), `closed`.
    Breaker = "breaker";
    /// An operator held the queue, a name or a group for this many seconds, or ended the hold (0).
    Hold = "hold";
    /// The queue was paused: contains the mode.
    Paused = "paused";
    /// The queue was resumed by an operator, or its pause ended.
    Resumed = "resumed";
    /// A queue was created.
    QueueCreated = "queue_created";
    /// The config of a queue changed: contains its new version.
    QueueConfigured = "queue_configured";
    /// A queue was deleted.
    QueueDeleted = "queue_deleted";
}

/// Bytes of the details of an event. Events with more are not published.
pub const EVENT_BYTES_MAX: usize = 2 << 10;

/// One event. Replicas send it as `kind queue {json}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    pub queue: QueueName,
    /// The details, as a JSON object.
    pub said: Box<str>,
}

impl Event {
    pub fn message(&self) -> String {
        format!("{} {} {}", self.kind.word(), self.queue, self.said)
    }

    /// Reads an event; `None` if this version does not know its kind: a newer replica may publish more kinds.
    pub fn read(message: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(message).ok()?;
        let mut words = text.splitn(3, ' ');
        let (word, queue, said) = (words.next()?, words.next()?, words.next()?);
        let kind = EventKind::ALL.iter().find(|kind| kind.word() == word)?;
        // The event stream has one line per event, so the details must be one line.
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
