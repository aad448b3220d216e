//! Header names in the letter case in which they were given.
//!
//! hyper writes names in lower case, unless a request carries the spelling of each of its names.
//! What holds that is private to hyper, which makes one only of a message that it reads. So it
//! is made to read one: an answer without content, out of memory, with these names.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Extensions, Request};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::rt::{Read, ReadBufCursor, Write};

/// What makes a request spell these names so. They are names of headers; `None` if all of them
/// are in lower case, as they leave anyway, or cannot be spelled.
pub(super) async fn of<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<Extensions> {
    if !names.clone().any(|name| name.bytes().any(|byte| byte.is_ascii_uppercase())) {
        return None;
    }
    let count = names.clone().count();
    let lines: String = names.map(|name| format!("{name}: x\r\n")).collect();
    let answer = format!("HTTP/1.1 204 No Content\r\n{lines}\r\n");
    let (mut requests, connection) = http1::Builder::new()
        .preserve_header_case(true)
        .max_headers(count + 1)
        .handshake::<_, Empty<Bytes>>(Script { answer: answer.into_bytes(), ..Script::default() })
        .await
        .ok()?;
    let exchange = async {
        requests.ready().await.ok()?;
        requests.send_request(Request::new(Empty::new())).await.ok()
    };
    let (answered, _) = tokio::join!(exchange, connection);
    Some(answered?.extensions().clone())
}

/// A peer that answers once it was asked anything, and then is gone.
#[derive(Default)]
struct Script {
    answer: Vec<u8>,
    told: usize,
    asked: bool,
    reader: Option<Waker>,
}

impl Read for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.asked {
            self.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let end = self.answer.len().min(self.told + into.remaining());
        into.put_slice(&self.answer[self.told..end]);
        self.told = end;
        Poll::Ready(Ok(()))
    }
}

impl Write for Script {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
