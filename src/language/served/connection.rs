//! One call of a server on a thread of its own, so that whoever asked can stop waiting at any moment.

use std::fs::File;
use std::io::Read as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Timeout};

use super::Endpoint;
use crate::language::LanguageError;

/// How often one that waits looks whether it should give up.
const LOOK: Duration = Duration::from_millis(20);
/// Pieces that may wait to be taken; a reader that is ahead waits, and so does the server then.
const AHEAD: usize = 64;
const PIECE_BYTES: usize = 16 * 1024;
/// The environment variable that names a file of certificate authorities, as other programs have it.
const AUTHORITIES: &str = "SSL_CERT_FILE";
/// The authorities of the whole world take less than a million bytes.
const MOST_AUTHORITIES: u64 = 16 << 20;
/// A page that explains an error needs no more.
const MOST_EXPLANATION: u64 = 64 * 1024;

/// What is asked of a server.
pub(super) enum Call {
    /// `GET`
    Models,
    /// `POST` with a JSON body.
    Chat(Vec<u8>),
}

/// What comes of a call, in order.
pub(super) enum Arrival {
    /// The server's first words: status, kind of content and `Retry-After`; then pieces of a body.
    Head(Head),
    /// The next bytes of the body.
    Bytes(Vec<u8>),
    /// The body is complete.
    End,
    /// There was none, or no more.
    Failed(Failure),
}

/// How an answer begins.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) retry_after: Option<String>,
}

/// What the network did.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// No connection was made.
    Unreachable(String),
    /// Nothing came for too long.
    Silent(Duration),
    /// The connection broke.
    Broken(String),
}

/// Why nothing arrives any more.
pub(super) enum Stopped {
    /// Whoever asked gave up.
    Cancelled,
    /// The time for the whole answer is over.
    TooSlow,
}

/// A call under way; dropping it closes the connection.
pub(super) struct Connection {
    agent: Option<Agent>,
    arrivals: Receiver<Arrival>,
    deadline: Instant,
}

impl Connection {
    /// Makes the call.
    ///
    /// # Errors
    /// [`LanguageError::Thread`].
    pub(super) fn start(endpoint: &Endpoint, call: Call) -> Result<Self, LanguageError> {
        let limits = endpoint.time_limits;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // The key and the images go where the user said and nowhere else.
            .max_redirects(0)
            .timeout_resolve(Some(limits.connect))
            .timeout_connect(Some(limits.connect))
            .timeout_per_read(Some(limits.silence))
            .timeout_per_write(Some(limits.silence))
            .max_idle_connections(0)
            .user_agent(concat!("samtok/", env!("CARGO_PKG_VERSION")));
        if endpoint.address.is_this_computer() {
            // A proxy for the world outside does not know this computer's own servers.
            config = config.proxy(None);
        }
        if let Some(certificates) = own_authorities() {
            config = config.tls_config(TlsConfig::builder().root_certs(certificates).build());
        }
        let agent = config.build().new_agent();
        let (sender, arrivals) = sync_channel(AHEAD);
        let url = endpoint.address.of(match call {
            Call::Models => "models",
            Call::Chat(_) => "chat/completions",
        });
        let key = endpoint.key.as_ref().map(super::ApiKey::header);
        let asking = agent.clone();
        thread::Builder::new()
            .name("samtok-ask".to_owned())
            .spawn(move || ask(&asking, &url, key.as_deref(), call, limits.silence, &sender))
            .map_err(LanguageError::Thread)?;
        Ok(Self {
            agent: Some(agent),
            arrivals,
            deadline: Instant::now() + limits.answer,
        })
    }

    /// Waits for what comes next.
    pub(super) fn next(&self, cancelled: &dyn Fn() -> bool) -> Result<Arrival, Stopped> {
        loop {
            // Asked first, because a fast server leaves no time to wait.
            if cancelled() {
                return Err(Stopped::Cancelled);
            }
            match self.arrivals.recv_timeout(LOOK) {
                Ok(arrival) => return Ok(arrival),
                Err(RecvTimeoutError::Disconnected) => {
                    return Ok(Arrival::Failed(Failure::Broken("its thread ended".to_owned())));
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() >= self.deadline => {
                    return Err(Stopped::TooSlow);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// The rest of the body up to a limit, for an explanation; what is missing of it does not matter.
    pub(super) fn rest(&self, cancelled: &dyn Fn() -> bool) -> Vec<u8> {
        let mut body = Vec::new();
        while let Ok(Arrival::Bytes(bytes)) = self.next(cancelled) {
            body.extend(bytes);
            if body.len() as u64 >= MOST_EXPLANATION {
                break;
            }
        }
        body
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.shutdown();
        }
    }
}

/// Makes the call and sends on what comes, until nobody takes it.
fn ask(
    agent: &Agent,
    url: &str,
    key: Option<&str>,
    call: Call,
    silence: Duration,
    arrivals: &SyncSender<Arrival>,
) {
    let answer = match call {
        Call::Models => {
            let request = agent.get(url).header("accept", "application/json");
            match key {
                Some(key) => request.header("authorization", key).call(),
                None => request.call(),
            }
        }
        Call::Chat(body) => {
            let request = agent
                .post(url)
                .header("content-type", "application/json")
                .header("accept", "text/event-stream, application/json");
            match key {
                Some(key) => request.header("authorization", key).send(body),
                None => request.send(body),
            }
        }
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            // Nobody is there to be told if this fails.
            let _told = arrivals.send(Arrival::Failed(failure(error, silence)));
            return;
        }
    };
    let header = |name: &str| {
        let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
        value.map(str::to_owned)
    };
    let head = Head {
        status: answer.status().as_u16(),
        content_type: header("content-type").unwrap_or_default().to_ascii_lowercase(),
        retry_after: header("retry-after"),
    };
    if arrivals.send(Arrival::Head(head)).is_err() {
        return;
    }
    let mut body = answer.into_body().into_with_config().limit(u64::MAX).reader();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let arrival = match body.read(&mut piece) {
            Ok(0) => Arrival::End,
            Ok(length) => Arrival::Bytes(piece.iter().take(length).copied().collect()),
            Err(error) => Arrival::Failed(failure(error.into(), silence)),
        };
        let is_last = !matches!(arrival, Arrival::Bytes(_));
        if arrivals.send(arrival).is_err() || is_last {
            return;
        }
    }
}

fn failure(error: ureq::Error, silence: Duration) -> Failure {
    use std::io::ErrorKind;
    let unreachable = |reason: &str| Failure::Unreachable(reason.to_owned());
    match error {
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => unreachable("it does not answer"),
        ureq::Error::Timeout(_) => Failure::Silent(silence),
        ureq::Error::HostNotFound => unreachable("there is no computer of this name"),
        ureq::Error::Io(error) => match error.kind() {
            ErrorKind::ConnectionRefused => unreachable("nothing listens there"),
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable => {
                Failure::Unreachable(error.to_string())
            }
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Failure::Silent(silence),
            _ if error.to_string().contains("certificate") => Failure::Unreachable(format!(
                "{error}; for a certificate of your own, name its authority's PEM file in {AUTHORITIES}"
            )),
            _ if is_unknown_name(&error) => unreachable("there is no computer of this name"),
            _ => Failure::Broken(error.to_string()),
        },
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::ConnectProxyFailed(_) => {
            Failure::Unreachable(error.to_string())
        }
        error => Failure::Broken(error.to_string()),
    }
}

/// Whether an error is that of looking up a name, for which the standard library has no kind.
fn is_unknown_name(error: &std::io::Error) -> bool {
    const WINDOWS_HOST_NOT_FOUND: i32 = 11001;
    error.raw_os_error() == Some(WINDOWS_HOST_NOT_FOUND)
        || error.to_string().starts_with("failed to lookup address")
}

/// The authorities in the file that [`AUTHORITIES`] names, which then take the place of the built-in ones.
fn own_authorities() -> Option<RootCerts> {
    let path = std::env::var_os(AUTHORITIES).filter(|path| !path.is_empty())?;
    let mut pem = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(MOST_AUTHORITIES).read_to_end(&mut pem));
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if read.is_err() || certificates.is_empty() {
        tracing::warn!("{AUTHORITIES} names no file with certificates, so the built-in authorities are used");
        return None;
    }
    Some(RootCerts::new_with_certs(&certificates))
}
