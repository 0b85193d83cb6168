//! Named workers of one queue or of all.

use data_encoding::BASE64URL_NOPAD;

use crate::domain::limits::PAGE_SCAN_MAX;
use crate::domain::{Millis, QueueName};
use crate::engine::{BadCursor, Engine, Failure, Page};
use crate::store::ops::workers::{Workers, WorkersOp};

/// Queues of one pipeline, and of one page. Most queues have no named workers.
const PIPELINE_QUEUES: usize = 32;
const PAGE_QUEUES: usize = 512;
const WORKERS: WorkersOp = WorkersOp { look: PAGE_SCAN_MAX };

/// A worker on one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    pub name: String,
    pub queue: QueueName,
    /// Tasks of the queue that it has leased now.
    pub leases: u64,
    /// The queue has more leases than were looked at, so the worker may have more.
    pub at_least: bool,
    /// The time of its oldest lease.
    pub since: Option<Millis>,
    /// Its last lease call; `None` after five minutes without.
    pub last_call_at: Option<Millis>,
}

/// The next position in the workers of all queues: a place in the list of queues, and the last name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Place {
    scan: u64,
    skip: usize,
    behind: String,
}

impl Place {
    fn write(&self) -> String {
        let Self { scan, skip, behind } = self;
        BASE64URL_NOPAD.encode(format!("w {scan} {skip} {behind}").as_bytes())
    }

    fn read(text: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let mut words = std::str::from_utf8(&bytes)
            .ok()?
            .strip_prefix("w ")?
            .splitn(3, ' ');
        Some(Self {
            scan: words.next()?.parse().ok()?,
            skip: words.next()?.parse().ok()?,
            behind: words.next()?.to_owned(),
        })
    }
}

impl Engine {
    /// Lists the workers of one queue, or of all queues by queue, page by page. A page may be short or empty
    /// although a cursor follows. Returns `None` if there is no such queue.
    ///
    /// # Errors
    /// As [`Failure`] lists. The inner error: a cursor that no list wrote.
    pub async fn workers(
        &self,
        queue: Option<&QueueName>,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Result<Option<Page<Worker>>, BadCursor>, Failure> {
        let Some(place) = cursor.map_or(Some(Place::default()), Place::read) else {
            return Ok(Err(BadCursor));
        };
        let mut conn = self.store().conn();
        let mut page = Filling {
            items: Vec::new(),
            limit,
            place,
        };
        if let Some(queue) = queue {
            let queues = [queue.clone()];
            let Ok(workers) = self.ask_all(&mut conn, &queues, &WORKERS).await?.remove(0) else {
                return Ok(Ok(None));
            };
            let full = page.take(queue, workers);
            return Ok(Ok(Some(page.end(full))));
        }
        let mut looked = 0;
        loop {
            let (next, mut queues) = conn.scan_queues(page.place.scan, PIPELINE_QUEUES).await?;
            // A batch of a scan has no order.
            queues.sort_unstable();
            for some in queues[page.place.skip.min(queues.len())..].chunks(PIPELINE_QUEUES) {
                for (queue, workers) in some.iter().zip(self.ask_all(&mut conn, some, &WORKERS).await?) {
                    // A queue that was deleted meanwhile has none.
                    if workers.is_ok_and(|workers| page.take(queue, workers)) {
                        return Ok(Ok(Some(page.end(true))));
                    }
                    page.place.skip += 1;
                    page.place.behind.clear();
                }
            }
            looked += queues.len();
            page.place = Place {
                scan: next,
                ..Place::default()
            };
            if next == 0 || looked >= PAGE_QUEUES {
                return Ok(Ok(Some(page.end(next != 0))));
            }
        }
    }
}

/// A page under construction.
struct Filling {
    items: Vec<Worker>,
    limit: usize,
    place: Place,
}

impl Filling {
    /// Adds the workers of a queue by name. Returns whether the page ends before they do.
    fn take(&mut self, queue: &QueueName, workers: Workers) -> bool {
        let mut seen = workers.seen;
        seen.retain(|seen| seen.worker > self.place.behind);
        seen.sort_unstable_by(|a, b| a.worker.cmp(&b.worker));
        for seen in seen {
            if self.items.len() == self.limit {
                return true;
            }
            self.place.behind.clone_from(&seen.worker);
            self.items.push(Worker {
                name: seen.worker,
                queue: queue.clone(),
                leases: seen.leases,
                at_least: workers.more,
                since: seen.since,
                last_call_at: seen.called_at,
            });
        }
        false
    }

    fn end(self, more: bool) -> Page<Worker> {
        Page {
            items: self.items,
            next_cursor: more.then(|| self.place.write()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ops::workers::Seen;

    fn workers(names: &[&str]) -> Workers {
        let seen = names.iter().map(|name| Seen {
            worker: (*name).to_owned(),
            called_at: None,
            leases: 0,
            since: None,
        });
        Workers {
            now: Millis::default(),
            more: false,
            seen: seen.collect(),
        }
    }

    #[test]
    fn a_page_goes_on_behind_the_name_it_ended_with() {
        let queue = QueueName::parse("q").unwrap();
        let mut place = Place::default();
        let mut met = Vec::new();
        for _ in 0..3 {
            let mut page = Filling {
                items: Vec::new(),
                limit: 2,
                place,
            };
            let full = page.take(&queue, workers(&["c", "a b", "e", "d", "b"]));
            let page = page.end(full);
            met.extend(page.items.into_iter().map(|worker| worker.name));
            place = page
                .next_cursor
                .map_or_else(Place::default, |text| Place::read(&text).unwrap());
        }
        assert_eq!(met, ["a b", "b", "c", "d", "e"]);
        assert_eq!(place, Place::default());
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in ["", "x", "dyAx", &BASE64URL_NOPAD.encode(b"w 1 x y")] {
            assert_eq!(Place::read(text), None, "{text}");
        }
    }
}
