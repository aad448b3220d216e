//! Which of a name's addresses answers.

use std::time::Duration;

use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::timeout;

/// After how long without an answer the next address is tried as well (RFC 8305).
pub const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Tries one after the other, the next one when those before it failed or have not answered for a
/// while. They are not given up then: an address that is far away needs its time, however many
/// others there are.
///
/// # Errors
/// What the first one says, since the others stand in for it, or what any says that `ends` it all;
/// none where there is nothing to try.
pub async fn first_to_answer<A, T, E, F>(
    tries: impl IntoIterator<Item = A>,
    begin: impl Fn(A) -> F,
    ends: impl Fn(&E) -> bool,
) -> Result<T, Option<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut waiting = tries.into_iter().enumerate().peekable();
    let (mut under_way, mut why) = (FuturesUnordered::new(), None);
    loop {
        if let Some((position, one)) = waiting.next() {
            under_way.push(begin(one).map(move |ended| (position, ended)));
        }
        let ended = match waiting.peek() {
            None => under_way.next().await,
            Some(_) => match timeout(NEXT_ADDRESS, under_way.next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            },
        };
        match ended {
            None => return Err(why),
            Some((_, Ok(answer))) => return Ok(answer),
            Some((_, Err(error))) if ends(&error) => return Err(Some(error)),
            Some((0, Err(error))) => why = Some(error),
            Some(_) => {}
        }
    }
}
