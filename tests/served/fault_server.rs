//! A server of our own that does to its callers what real ones do on bad days.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What the server does with one request, in order.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Does nothing for a while.
    Wait(Duration),
    /// Sends these bytes over and over until the caller hangs up.
    Endless(Vec<u8>),
    /// Breaks the connection off.
    Break,
}

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

impl Request {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// What to do with each request.
type Script = dyn Fn(usize, &Request) -> Vec<Step> + Send + Sync;

/// A running server; dropping it ends it.
pub(crate) struct FaultServer {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    /// How many callers hung up while something was still to be sent.
    hung_up: Arc<Mutex<Vec<Instant>>>,
    stop: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl FaultServer {
    /// A server that asks `script` what to do with each request, which it numbers from 0.
    pub(crate) fn start(script: impl Fn(usize, &Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, hung_up) = (Arc::<Mutex<Vec<Request>>>::default(), Arc::default());
        let stop = Arc::new(AtomicBool::new(false));
        let script: Arc<Script> = Arc::new(script);
        let shared = (Arc::clone(&requests), Arc::clone(&hung_up), Arc::clone(&stop));
        let accept = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.2.load(Ordering::SeqCst) {
                    break;
                }
                let (script, shared) = (Arc::clone(&script), shared.clone());
                named(move || {
                    if let Some(request) = read_request(&stream) {
                        let number = {
                            let mut requests = shared.0.lock().unwrap();
                            requests.push(request.clone());
                            requests.len() - 1
                        };
                        play(stream, script(number, &request), &shared.1, &shared.2);
                    }
                });
            }
        };
        Self {
            url: format!("http://{address}"),
            requests,
            hung_up,
            stop,
            accepting: Some(named(accept)),
        }
    }

    /// A server that does the same with every request.
    pub(crate) fn always(steps: Vec<Step>) -> Self {
        Self::start(move |_, _| steps.clone())
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// When callers hung up while something was still to be sent.
    pub(crate) fn hung_up(&self) -> Vec<Instant> {
        self.hung_up.lock().unwrap().clone()
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the one that waits for callers.
        drop(TcpStream::connect(self.url.trim_start_matches("http://")));
        if let Some(accepting) = self.accepting.take() {
            accepting.join().unwrap();
        }
    }
}

fn named(work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new()
        .name("fault-server".to_owned())
        .spawn(work)
        .unwrap()
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut request = Request {
        line: lines.first()?.clone(),
        headers: lines.split_off(1),
        body: String::new(),
    };
    let length = request
        .header("content-length")
        .and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    if request.header("transfer-encoding").is_some() {
        body.clear();
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).ok()?;
            if size == 0 {
                break;
            }
            body.extend(&chunk[..size]);
        }
    } else {
        reader.read_exact(&mut body).ok()?;
    }
    request.body = String::from_utf8_lossy(&body).into_owned();
    Some(request)
}

fn play(mut stream: TcpStream, steps: Vec<Step>, hung_up: &Mutex<Vec<Instant>>, stop: &AtomicBool) {
    let send = |stream: &mut TcpStream, bytes: &[u8]| {
        let sent = stream.write_all(bytes).and_then(|()| stream.flush());
        if sent.is_err() {
            hung_up.lock().unwrap().push(Instant::now());
        }
        sent.is_ok()
    };
    for step in steps {
        match step {
            Step::Send(bytes) => {
                if !send(&mut stream, &bytes) {
                    return;
                }
            }
            Step::Wait(duration) => {
                let end = Instant::now() + duration;
                while Instant::now() < end && !stop.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(5));
                    // The other side's end shows as a read of nothing.
                    stream.set_nonblocking(true).unwrap();
                    let gone = matches!(stream.peek(&mut [0]), Ok(0));
                    stream.set_nonblocking(false).unwrap();
                    if gone {
                        hung_up.lock().unwrap().push(Instant::now());
                        return;
                    }
                }
            }
            Step::Endless(bytes) => {
                while !stop.load(Ordering::SeqCst) {
                    if !send(&mut stream, &bytes) {
                        return;
                    }
                }
            }
            Step::Break => {
                drop(stream);
                return;
            }
        }
    }
    // An orderly end: the caller reads to the end before the connection is gone.
    stream.shutdown(Shutdown::Write).ok();
    stream.set_read_timeout(Some(Duration::from_millis(200))).ok();
    // Whatever it still says, or nothing.
    stream.peek(&mut [0]).ok();
}

/// A whole answer with a status, headers and a body.
pub(crate) fn status(code: u16, headers: &[&str], body: &str) -> Vec<Step> {
    let mut head = format!(
        "HTTP/1.1 {code} Fault\r\ncontent-length: {}\r\nconnection: close\r\n",
        body.len()
    );
    for header in headers {
        head += header;
        head += "\r\n";
    }
    vec![Step::Send(format!("{head}\r\n{body}").into_bytes())]
}

/// The head of a stream of events, which ends with the connection.
pub(crate) fn stream_head() -> Step {
    Step::Send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".to_vec())
}

/// The event of a piece of text.
pub(crate) fn piece(text: &str) -> Step {
    let content = serde_json::json!({"choices": [{"index": 0, "delta": {"content": text}}]});
    Step::Send(format!("data: {content}\n\n").into_bytes())
}

/// The events that end a stream.
pub(crate) fn ending() -> Step {
    let end = r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let usage = r#"data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
    Step::Send(format!("{end}\n\n{usage}\n\ndata: [DONE]\n\n").into_bytes())
}

/// A whole streamed answer.
pub(crate) fn answer(texts: &[&str]) -> Vec<Step> {
    let mut steps = vec![stream_head()];
    steps.extend(texts.iter().map(|text| piece(text)));
    steps.push(ending());
    steps
}
