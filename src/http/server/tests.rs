//! The listener with real sockets and deadlines of a few milliseconds.

use std::time::Duration;

use axum::extract::Request;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;

struct Running {
    address: SocketAddr,
    /// A handler has begun.
    entered: Arc<Notify>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
    server: JoinHandle<Drained>,
}

fn brief() -> Settings {
    Settings {
        head_deadline: Duration::from_millis(100),
        silence_deadline: Duration::from_millis(100),
        drain_deadline: Duration::from_millis(100),
        ..Settings::default()
    }
}

/// Deadlines that no test reaches.
fn patient() -> Settings {
    Settings::default()
}

fn start(settings: Settings) -> Running {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let entered = Arc::new(Notify::new());
    let (echo, stuck) = (Arc::clone(&entered), Arc::clone(&entered));
    let router = Router::new()
        .route("/hello", get(|| async { "hello" }))
        .route(
            "/echo",
            post(async move |request: Request| {
                echo.notify_one();
                request.into_body()
            }),
        )
        .route(
            "/stuck",
            get(async move || {
                stuck.notify_one();
                std::future::pending::<()>().await;
            }),
        );
    let (metrics, shutdown) = (Arc::new(Metrics::default()), CancellationToken::new());
    let server = serve(listener, router, settings, Arc::clone(&metrics), shutdown.clone());
    Running {
        address,
        entered,
        metrics,
        shutdown,
        server: tokio::spawn(server),
    }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn stop(self) -> Drained {
        self.shutdown.cancel();
        self.server.await.unwrap()
    }
}

async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 1024];
    let bytes = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..bytes]).into_owned()
}

/// Reads until the server closes.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    rest
}

const HELLO: &str = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let server = start(patient());
    let mut stream = server.connect().await;
    for _ in 0..3 {
        let answer = ask(&mut stream, HELLO).await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"),
            "{answer}"
        );
    }
    assert_eq!(server.stop().await, Drained { cut: 0 });
}

#[tokio::test]
async fn http2_is_spoken_by_prior_knowledge() {
    let server = start(patient());
    let stream = hyper_util::rt::TokioIo::new(server.connect().await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, stream)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let request = http::Request::get("http://localhost/hello")
        .body(axum::body::Body::empty())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.version()),
        (200, http::Version::HTTP_2)
    );
    drop((sender, response));
    let _ = driver.await;
    assert_eq!(server.stop().await.cut, 0);
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_half_a_request_is_closed() {
    let server = start(brief());
    for beginning in [
        "",
        "GET /hel",
        "PRI * HT",
        "P",
        "GET /hello HTTP/1.1\r\nHost: x\r\n",
    ] {
        let mut stream = server.connect().await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        rest(&mut stream).await;
    }
    let text = server.metrics.text();
    assert!(
        text.contains("leaseq_http_connections_refused_total{reason=\"silent\"} 1"),
        "{text}"
    );
    assert_eq!(server.stop().await.cut, 0);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let server = start(Settings {
        connections_max: 1,
        ..patient()
    });
    let mut first = server.connect().await;
    ask(&mut first, HELLO).await;

    let mut second = server.connect().await;
    second.write_all(HELLO.as_bytes()).await.unwrap();
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(50), second.read(&mut byte)).await;
    assert!(early.is_err(), "there is no place yet");
    drop(first);
    assert_eq!(second.read(&mut byte).await.unwrap(), 1);
    drop(second);
    assert_eq!(server.stop().await.cut, 0);
}

#[tokio::test]
async fn a_drain_closes_idle_connections_and_finishes_busy_ones() {
    let server = start(patient());
    let mut idle = server.connect().await;
    ask(&mut idle, HELLO).await;
    let silent = server.connect().await;
    let mut busy = server.connect().await;
    busy.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nha")
        .await
        .unwrap();
    server.entered.notified().await;

    server.shutdown.cancel();
    assert!(rest(&mut idle).await.is_empty());
    drop(silent);
    busy.write_all(b"lf").await.unwrap();
    let answer = String::from_utf8(rest(&mut busy).await).unwrap();
    assert!(answer.ends_with("half"), "{answer}");
    assert!(
        TcpStream::connect(server.address).await.is_err(),
        "nobody listens any more"
    );
    assert_eq!(server.server.await.unwrap().cut, 0);
}

#[tokio::test]
async fn a_drain_has_a_hard_end() {
    let server = start(brief());
    let mut stuck = server.connect().await;
    stuck
        .write_all(b"GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    server.entered.notified().await;
    assert_eq!(server.stop().await, Drained { cut: 1 });
    assert!(rest(&mut stuck).await.is_empty());
}

#[cfg(feature = "tls")]
mod over_tls {
    use std::path::Path;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};

    use super::*;

    fn file(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/http/server/testdata")
            .join(name)
    }

    async fn hello(address: SocketAddr, protocol: &[u8]) -> (Option<Vec<u8>>, u16) {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(file("cert.pem")).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(address).await.unwrap();
        let stream = connector
            .connect(ServerName::try_from("localhost").unwrap(), stream)
            .await
            .unwrap();
        let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);

        let stream = hyper_util::rt::TokioIo::new(stream);
        let request = http::Request::get("https://localhost/hello")
            .body(axum::body::Body::empty())
            .unwrap();
        let status = if protocol == b"h2" {
            let executor = hyper_util::rt::TokioExecutor::new();
            let shake_hands = Box::pin(hyper::client::conn::http2::handshake(executor, stream));
            let (mut sender, connection) = shake_hands.await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap().status()
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap().status()
        };
        (agreed, status.as_u16())
    }

    #[tokio::test]
    async fn both_protocols_are_served_and_plain_text_is_not() {
        let tls = Tls::from_files(&file("cert.pem"), &file("key.pem")).unwrap();
        let server = start(Settings {
            tls: Some(tls),
            ..patient()
        });
        for protocol in [&b"h2"[..], b"http/1.1"] {
            assert_eq!(
                hello(server.address, protocol).await,
                (Some(protocol.to_vec()), 200)
            );
        }
        let mut plain = server.connect().await;
        plain.write_all(HELLO.as_bytes()).await.unwrap();
        assert!(!rest(&mut plain).await.starts_with(b"HTTP"));
        assert!(server.metrics.text().contains("refused_total{reason=\"tls\"} 1"));
    }

    #[test]
    fn a_file_that_is_no_certificate_is_named() {
        let error = Tls::from_files(&file("key.pem"), &file("key.pem")).unwrap_err();
        assert!(
            error.to_string().contains("key.pem has no certificate"),
            "{error}"
        );
        let error = Tls::from_files(&file("cert.pem"), &file("none.pem")).unwrap_err();
        assert!(error.to_string().contains("none.pem"), "{error}");
    }
}
