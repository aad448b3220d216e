//! The variables of the functions: what each may say, and what is refused.

use shared::host::config::{Environment, variable};

/// What a reading of an environment makes of this text in this variable.
fn read<T>(
    name: &str,
    text: &str,
    reading: impl Fn(&Environment<'_>) -> Result<T, String>,
) -> Result<T, String> {
    let look_up = |asked: &str| (asked == name).then(|| text.to_owned());
    reading(&Environment::new(&look_up))
}

/// A variable, how it is read, and its words with what they choose.
type Choice =
    (&'static str, fn(&Environment<'_>) -> Result<bool, String>, [(&'static str, bool); 3]);

const CHOICES: [Choice; 5] = [
    (
        variable::FAIR_QUEUES,
        |environment| environment.fair_queues(),
        [("", true), ("true", true), ("false", false)],
    ),
    (
        variable::FIRST_LEASE,
        |environment| environment.always_lease(),
        [("", false), ("when-repeated", false), ("always", true)],
    ),
    (
        variable::AUTO_DISABLE,
        |environment| environment.auto_disable(),
        [("", true), ("after-five-days", true), ("never", false)],
    ),
    (
        variable::ALLOW_HTTP,
        |environment| environment.target_policy().map(|policy| !policy.https_only),
        [("", false), ("false", false), ("true", true)],
    ),
    (
        variable::ALLOW_LOOPBACK,
        |environment| environment.target_policy().map(|policy| policy.allow_loopback),
        [("", false), ("false", false), ("true", true)],
    ),
];

#[test]
fn a_choice_is_one_of_its_words_and_every_other_is_refused_with_both() {
    for (name, reading, words) in CHOICES {
        for (word, chosen) in words {
            assert_eq!(read(name, word, reading), Ok(chosen), "{name}={word}");
        }
        for wrong in ["TRUE", "1", "yes", "no", "off", " "] {
            let why = read(name, wrong, reading).unwrap_err();
            assert!(why.starts_with(name) && why.ends_with(&format!("not {wrong}")), "{why}");
            assert!(words[1..].iter().all(|(word, _)| why.contains(&format!("`{word}`"))), "{why}");
        }
    }
}

#[test]
fn the_address_where_webhooks_are_taken_is_a_url_without_a_slash_at_its_end() {
    let url = |text| read(variable::PUBLISH_URL, text, |it| it.publish_url());
    assert_eq!(url(""), Ok(None));
    assert_eq!(url("https://in.example/"), Ok(Some("https://in.example".to_owned())));
    assert!(url("in.example").unwrap_err().contains("must begin with https://"));
}

#[test]
fn what_would_end_the_list_of_frames_in_a_policy_is_refused() {
    let frames = |text| read(variable::PORTAL_FRAMES, text, |it| it.portal_frames());
    assert_eq!(frames("https://a.example https://b.example").unwrap().split(' ').count(), 3);
    for text in ["https://a.example; script-src *", "https://a.example, https://b.example"] {
        assert!(frames(text).unwrap_err().starts_with(variable::PORTAL_FRAMES));
    }
}
