//! Whose retries the local platform puts behind those of others.

use std::time::{Duration, Instant};

use crate::crowd::Crowds;

#[test]
fn who_has_more_than_so_many_records_in_a_second_is_a_crowd_until_the_next_second() {
    let start = Instant::now();
    let mut crowds = Crowds::above(3, start);
    let mut later = |ms: u64, app: &str| crowds.is_in_one(app, start + Duration::from_millis(ms));
    let flood: Vec<bool> = (0..5).map(|n| later(n * 100, "app_a")).collect();
    assert_eq!(flood, [false, false, false, true, true]);
    // What one does is not held against another.
    assert!(!later(500, "app_b"));
    assert!(later(999, "app_a"));
    assert!(!later(1_000, "app_a"));
}
