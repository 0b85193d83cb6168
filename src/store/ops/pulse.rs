//! Reads the recent past of a queue from the observations of all replicas.

use bytes::{Buf, Bytes};
use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::domain::Millis;
use crate::domain::pulse::{Chart, MINUTE_MS, Percentiles, Pulse, Row, Window};
use crate::store::latency::{self, waiting};
use crate::store::reply::{BadReply, Reply};

pub struct PulseOp {
    pub chart: Chart,
    /// The newest rows; at least one.
    pub rows: u64,
    /// Also read the windows of latencies and the waiting calls.
    pub latencies: bool,
}

impl Op for PulseOp {
    const SCRIPT: &'static str = "pulse";
    type Outcome = Result<Pulse, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(match self.chart {
            Chart::Fine => "10s",
            Chart::Coarse => "5m",
        });
        cmd.arg(self.rows).arg(u8::from(self.latencies));
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "pulse" => {}
            "absent" => return Ok(Err(Absent)),
            _ => return Err(BadReply("a pulse's word")),
        }
        let mut pulse = Pulse {
            now: reply.millis()?,
            ready: reply.number()?,
            leased: reply.number()?,
            waiting: 0,
            windows: Vec::new(),
            rows: Vec::new(),
        };
        let mut fields = reply.array()?;
        while !fields.is_empty() {
            let (field, value) = (fields.text()?, fields.bytes()?);
            match field.as_bytes() {
                [b'n', ..] => pulse.windows.push(window(value, Chart::Fine.step_ms())?),
                [b'm', ..] => pulse.windows.push(window(value, MINUTE_MS)?),
                [b'w', ..] => pulse.waiting = waiting(&value, pulse.now),
                _ => return Err(BadReply("a field of the pulse")),
            }
        }
        let mut rows = reply.array()?;
        while !rows.is_empty() {
            pulse.rows.push(row(rows.bytes()?)?);
        }
        Ok(Ok(pulse))
    }
}

fn window(mut value: Bytes, length_ms: u64) -> Result<Window, BadReply> {
    if value.len() < 4 {
        return Err(BadReply("a window"));
    }
    Ok(Window {
        begins_at: Millis::new(u64::from(value.get_u32()) * length_ms),
        length_ms,
        latencies: latency::read(&value)?,
    })
}

const ROW_BYTES: usize = 7 * 4 + 3 * 2;

fn row(mut bytes: Bytes) -> Result<Row, BadReply> {
    if bytes.len() != ROW_BYTES {
        return Err(BadReply("a row of a chart"));
    }
    Ok(Row {
        number: bytes.get_u32().into(),
        accepted: bytes.get_u32(),
        completed: bytes.get_u32(),
        failed: bytes.get_u32(),
        died: bytes.get_u32(),
        ready: bytes.get_u32(),
        leased: bytes.get_u32(),
        latencies: [(); 3].map(|()| Percentiles {
            p50: bytes.get_u8(),
            p95: bytes.get_u8(),
        }),
    })
}
