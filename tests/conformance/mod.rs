//! What every adapter of the two ports has to hold to, said once and run on each of them.
//!
//! `table.rs` and `queue.rs` are the claims, `adapters.rs` is what they are run on, and this
//! file pairs them up. `dynamodb.rs` and `sqs.rs` add what only an adapter across a network can
//! get wrong.

mod adapters;
mod dynamodb;
mod sqs;
mod throttled;
#[macro_use]
mod queue;
#[macro_use]
mod table;

/// One test for each claim, on the adapter that the function makes.
macro_rules! run {
    ($port:ident, $adapter:path: $($claim:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                let adapter = $adapter().await;
                super::$port::$claim(&adapter).await;
            }
        )*
    };
}

/// The same, only on request: `cargo test -- --ignored`.
macro_rules! run_on_account {
    ($port:ident, $adapter:path: $($claim:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs an emulated AWS account: AWS_ENDPOINT_URL"]
            async fn $claim() {
                let adapter = $adapter().await;
                super::$port::$claim(&adapter).await;
            }
        )*
    };
}

mod embedded_table {
    table_claims!(run, super::adapters::embedded_table);
}

mod embedded_queue {
    queue_claims!(run, super::adapters::embedded_queue);
}

mod simulated_table {
    table_claims!(run, super::adapters::simulated_table);
}

mod simulated_queue {
    queue_claims!(run, super::adapters::simulated_queue);
}

mod dynamodb_table {
    table_claims!(run, super::adapters::dynamodb_table);
}

mod sqs_queue {
    queue_claims!(run_on_account, super::adapters::sqs_queue);
}
