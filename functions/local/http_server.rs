//! A small HTTP/1.1 server: whole requests in, whole responses out.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use shared::api::error::ApiError;
use tokio::net::TcpListener;

/// Largest body that is read, in bytes: twice what the API takes, so that the API itself can
/// say what its limit is.
const MAX_BODY_BYTES: usize = receive::MAX_SPLIT_BYTES + 1;
/// Longest wait for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves until the task is dropped. `answer` gets every request that can be read.
pub(crate) async fn serve<A, F>(listener: TcpListener, answer: A)
where
    A: Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Bytes>> + Send + 'static,
{
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: give connections time to end.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Without it small answers wait for the other side's acknowledgement.
        let _ = stream.set_nodelay(true);
        let answer = answer.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = answer.clone();
            async move { Ok::<_, Infallible>(respond(request, answer).await.map(Full::new)) }
        });
        tokio::spawn(async move {
            // A connection that breaks is its client's affair.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn respond<A, F>(request: Request<Incoming>, answer: A) -> Response<Bytes>
where
    A: Fn(Request<Bytes>) -> F,
    F: Future<Output = Response<Bytes>>,
{
    let (head, body) = request.into_parts();
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => answer(Request::from_parts(head, body.to_bytes())).await,
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            let detail = format!("The body has more than {MAX_BODY_BYTES} bytes.");
            ApiError::too_large(detail).into_response()
        }
        Err(_) => shared::api::error::empty(StatusCode::BAD_REQUEST),
    }
}
