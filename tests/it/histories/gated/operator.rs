//! An operator that pauses and resumes, starts and ends holds, opens and closes breakers, one after the
//! other.

use std::time::Duration;

use rand::Rng;
use serde_json::Value;

use crate::histories::answers::ms;
use crate::histories::crew::Shift;
use crate::histories::history::{Gate, History, Until};
use crate::histories::phone::Phone;
use crate::http::api::Api;

const QUEUE: &str = "/v1/queues/q";

fn held(answer: &Value) -> Until {
    ms(&answer["held_until"]).map_or(Until::Open, Until::Ms)
}

fn opened(answer: &Value) -> Until {
    match answer["state"].as_str() {
        Some("open") => ms(&answer["open_until"]).map_or(Until::Further, Until::Ms),
        _ => Until::Open,
    }
}

/// Asks until it is answered: what is shut must not stay so.
fn surely(phone: &mut Phone, shift: &Shift, ask: impl Fn(&mut Phone) -> bool) {
    while !ask(phone) && shift.is_on() {}
}

/// For a time that is long beside a call, and short beside the history.
fn wait(phone: &mut Phone) {
    std::thread::sleep(Duration::from_millis(phone.rng.random_range(20..120)));
}

pub(super) fn operator(mut phone: Phone, shift: &Shift) -> History {
    let phone = &mut phone;
    while shift.is_on() {
        match phone.rng.random_range(0..5) {
            0 => {
                phone.turn(Gate::Pause, "POST", &format!("{QUEUE}/pause"), "", |answer| {
                    ms(&answer["paused"]["until"]).map_or(Until::Further, Until::Ms)
                });
                wait(phone);
                surely(phone, shift, |phone| {
                    phone.turn(Gate::Pause, "POST", &format!("{QUEUE}/resume"), "", |_| {
                        Until::Open
                    })
                });
            }
            1 => hold(phone, shift, "names/sync", Gate::HoldOfName("sync")),
            2 => hold(phone, shift, "groups/zeta", Gate::HoldOfGroup("zeta")),
            3 => {
                let path = format!("{QUEUE}/names/free/breaker");
                let gate = || Gate::Breaker("free");
                phone.turn(gate(), "POST", &path, r#"{"state":"open"}"#, opened);
                wait(phone);
                surely(phone, shift, |phone| {
                    phone.turn(gate(), "POST", &path, r#"{"state":"closed"}"#, opened)
                });
            }
            _ => {
                let path = format!("{QUEUE}/names/free/breaker");
                let body = r#"{"state":"open","for_seconds":0.1}"#;
                phone.turn(Gate::Breaker("free"), "POST", &path, body, opened);
                wait(phone);
            }
        }
        wait(phone);
    }
    std::mem::take(&mut phone.history)
}

/// Half of them end by themselves.
fn hold(phone: &mut Phone, shift: &Shift, whose: &str, gate: Gate) {
    let path = format!("{QUEUE}/{whose}/hold");
    phone.turn(gate.clone(), "POST", &path, r#"{"for_seconds":0.15}"#, held);
    wait(phone);
    if phone.rng.random() {
        surely(phone, shift, |phone| {
            phone.turn(gate.clone(), "DELETE", &path, "", held)
        });
    }
}

/// Ends the run: removes all holds and limits, and closes all breakers.
pub(super) fn open_everything(phone: &mut Phone, api: &Api) {
    let opened_by =
        |method: &'static str, path: &str, body: &'static str| (method, format!("{QUEUE}/{path}"), body);
    for (gate, (method, path, body)) in [
        (Gate::Pause, opened_by("POST", "resume", "")),
        (
            Gate::HoldOfName("sync"),
            opened_by("DELETE", "names/sync/hold", ""),
        ),
        (
            Gate::HoldOfGroup("zeta"),
            opened_by("DELETE", "groups/zeta/hold", ""),
        ),
        (
            Gate::Breaker("free"),
            opened_by("POST", "names/free/breaker", r#"{"state":"closed"}"#),
        ),
        (
            Gate::Breaker(super::FAILING.name),
            opened_by("POST", "names/failing/breaker", r#"{"state":"closed"}"#),
        ),
    ] {
        assert!(phone.turn(gate, method, &path, body, |_| Until::Open), "{path}");
    }
    let none = r#"{"limits":null,"names":null,"group_limits":null}"#;
    for queue in ["q", "r"] {
        api.send("PATCH", &format!("/v1/queues/{queue}"), "", none)
            .expect(200);
    }
}
