//! Errors of the network: what they mean, and in which words they are recorded.

use std::error::Error;
use std::io;
use std::net::IpAddr;

/// Longest reason that is recorded, in characters.
const LONGEST_REASON: usize = 200;

/// What every system numbers alike: no memory, no descriptors in the system, none in the process.
const OUT_OF_MEMORY_OR_FILES: [i32; 3] = [12, 23, 24];
/// `ENOBUFS`, on Linux and on the systems that come from BSD.
const OUT_OF_BUFFERS: [i32; 2] = [105, 55];

/// The innermost cause in few words: the outer layers only repeat that sending failed.
pub(super) fn of(error: &(dyn Error + 'static)) -> String {
    let tls = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>());
    if let Some(error) = tls {
        return legible(&format!("tls: {error}"));
    }
    let http = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>());
    if http.is_some_and(|error| error.is_canceled() || error.is_closed()) {
        // As hyper says it where the request was under way.
        return "connection closed before message completed".to_owned();
    }
    let cause = causes(error).last().unwrap_or(error);
    match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(io::ErrorKind::ConnectionReset) => "connection reset".to_owned(),
        Some(io::ErrorKind::BrokenPipe) => "connection closed while sending".to_owned(),
        Some(io::ErrorKind::HostUnreachable) => "host unreachable".to_owned(),
        Some(io::ErrorKind::NetworkUnreachable) => "network unreachable".to_owned(),
        _ => legible(&cause.to_string()),
    }
}

/// Whether a connection to `address` failed because this machine lacks something.
pub(super) fn is_shortage(error: &io::Error, address: IpAddr) -> bool {
    match error.kind() {
        io::ErrorKind::OutOfMemory => true,
        // All local ports are taken. Over IPv6 it is what a machine without IPv6 says.
        io::ErrorKind::AddrNotAvailable => address.is_ipv4(),
        _ => is_out_of_files(error),
    }
}

/// Whether nothing can be opened any more, neither a file nor a socket.
pub(super) fn is_out_of_files(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| {
        OUT_OF_MEMORY_OR_FILES.contains(&code) || OUT_OF_BUFFERS.contains(&code)
    })
}

/// Whether the connection ended, as opposed to saying something that cannot be read.
pub(super) fn is_end_of_connection(error: &hyper::Error) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof,
    };
    let ended = [BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof];
    error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
        || causes(error)
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|error| ended.contains(&error.kind()))
}

/// Text that may come from the other side, fit for a record and a terminal.
pub(super) fn legible(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(LONGEST_REASON).map(plain).collect()
}

/// An error and what lies behind it, outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // `io::Error::source` skips the error that it wraps.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}
