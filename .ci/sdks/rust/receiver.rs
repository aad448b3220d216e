//! An endpoint: answers with the status in the path and hands over what came to that path.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

const PATIENCE: Duration = Duration::from_secs(20);

pub struct Arrival {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

type Arrivals = Arc<(Mutex<HashMap<String, VecDeque<Arrival>>>, Condvar)>;

#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    arrivals: Arrivals,
}

impl Receiver {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let arrivals = Arrivals::default();
        let all = arrivals.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let arrivals = all.clone();
                std::thread::spawn(move || serve(&stream.unwrap(), &arrivals));
            }
        });
        Self { url, arrivals }
    }

    /// What came to this URL next.
    pub fn arrival(&self, url: &str) -> Arrival {
        let path = &url[self.url.len()..];
        let (arrivals, came) = &*self.arrivals;
        let mut arrivals = arrivals.lock().unwrap();
        loop {
            if let Some(arrival) = arrivals.get_mut(path).and_then(VecDeque::pop_front) {
                return arrival;
            }
            let (next, late) = came.wait_timeout(arrivals, PATIENCE).unwrap();
            assert!(!late.timed_out(), "nothing came to {path}");
            arrivals = next;
        }
    }
}

/// Answers the requests of one connection.
fn serve(
    stream: &TcpStream,
    (arrivals, came): &(Mutex<HashMap<String, VecDeque<Arrival>>>, Condvar),
) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        let path = first.split(' ').nth(1).unwrap().to_owned();
        let mut headers = HeaderMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            let name: HeaderName = name.parse().unwrap();
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        let mut body = vec![0; headers["content-length"].to_str().unwrap().parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let status = path.rsplit('/').next().unwrap();
        let answer = format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n");
        let mut writer = stream;
        let _ = writer.write_all(answer.as_bytes());
        arrivals.lock().unwrap().entry(path).or_default().push_back(Arrival { headers, body });
        came.notify_all();
    }
}
