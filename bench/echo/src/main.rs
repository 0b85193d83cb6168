//! The HTTP ceiling: the cost of axum and serde on this machine without a queue behind them.
//!
//! One route reads the enqueue request of the API and responds like an enqueue. The other lets its caller
//! wait like a lease request, to show the cost of an open connection alone. There is no middleware, and
//! allocator and runtime are the defaults. The routes have the paths of the service, so that the same load
//! generator can be used.

use axum::extract::Path;
use axum::routing::post;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::time::Duration;

/// The fields of an enqueue request of the API.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    dead_code,
    reason = "read from the wire, like the service does, and not looked at"
)]
struct Enqueue {
    name: Option<String>,
    payload: Option<Box<RawValue>>,
    priority: Option<u64>,
    group: Option<String>,
    delay_seconds: Option<f64>,
    run_at: Option<String>,
    max_attempts: Option<u64>,
    retry: Option<Box<RawValue>>,
    lease_seconds: Option<f64>,
    expires_in_seconds: Option<f64>,
    expires_at: Option<String>,
    unique: Option<Box<RawValue>>,
    headers: Option<BTreeMap<String, String>>,
}

/// The fields that every enqueue response has.
#[derive(Serialize)]
struct Enqueued {
    id: &'static str,
    queue: String,
    state: &'static str,
    duplicate: bool,
}

/// The field of a lease request that contains the wait.
#[derive(Deserialize)]
struct Lease {
    wait_seconds: f64,
}

#[derive(Serialize)]
struct Leased {
    tasks: [(); 0],
}

/// The longest wait of the API.
const WAIT_SECONDS_MAX: f64 = 60.0;

async fn enqueue(Path(queue): Path<String>, Json(_task): Json<Enqueue>) -> Json<Enqueued> {
    Json(Enqueued {
        id: "01JD4Z8Q5W7V9K3M2N6P0R1S4T",
        queue,
        state: "ready",
        duplicate: false,
    })
}

async fn wait(Json(lease): Json<Lease>) -> Json<Leased> {
    tokio::time::sleep(Duration::from_secs_f64(
        lease.wait_seconds.clamp(0.0, WAIT_SECONDS_MAX),
    ))
    .await;
    Json(Leased { tasks: [] })
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let address = address.parse().map_err(std::io::Error::other)?;
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    // As long as that of the service, because thousands of waiters connect at once.
    let listener = socket.listen(4096)?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let router = Router::new()
        .route("/v1/queues/{queue}/tasks", post(enqueue))
        .route("/v1/queues/{queue}/lease", post(wait));
    axum::serve(listener, router).await
}
