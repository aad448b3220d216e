//! Secrets: how they look, how they rest, how they are replaced.

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use shared::domain::clock::Ambient;
use shared::domain::keyring::{DEFAULT_GRACE_S, Keyring, MAX_OLD, TooManyOld};
use shared::domain::secret::{RootSecret, Sealed, Sealer, SignatureScheme, SigningSecret};

use crate::support::still::{self, StillClock};
use crate::support::world::ROOT_SECRET;

const OWNER: &str = "ep_0ujtsYcgvSTl8PAuAdqWYSMnLOv";
const STRANGER: &str = "ep_0ujzPyRiIAffKhBux4PvQdDqMHY";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn sealer() -> Sealer {
    RootSecret::new(ROOT_SECRET).unwrap().sealer()
}

fn world() -> (Arc<StillClock>, Ambient) {
    let clock = StillClock::new();
    let ambient = still::ambient(&clock);
    (clock, ambient)
}

/// Base 64 of this many zero bytes.
fn zeros(bytes: usize) -> String {
    let digits = "A".repeat((bytes * 8).div_ceil(6));
    let padding = "=".repeat((3 - bytes % 3) % 3);
    digits + &padding
}

#[test]
fn a_secret_reads_with_and_without_its_prefix_and_shows_with_it() {
    let secret = SigningSecret::parse(SECRET).unwrap();
    assert_eq!(secret.reveal(), SECRET);
    assert_eq!(SigningSecret::parse(&SECRET["whsec_".len()..]).unwrap(), secret);
}

#[test]
fn a_secret_has_24_to_75_bytes() {
    for bytes in [24, 25, 26, 64, 75] {
        let text = zeros(bytes);
        assert_eq!(SigningSecret::parse(&text).unwrap().reveal(), format!("whsec_{text}"));
    }
    for bytes in [0, 1, 23, 76, 77, 1000] {
        let error = SigningSecret::parse(&zeros(bytes)).unwrap_err();
        assert_eq!(error, "must hold 24 to 75 bytes", "{bytes}");
    }
}

#[test]
fn a_secret_that_is_not_base64_is_refused_without_being_repeated() {
    let url_safe = "-_-_".repeat(8);
    let unpadded = zeros(25).trim_end_matches('=').to_owned();
    let spaced = format!(" {SECRET}");
    for text in ["whsec_ünsicher", "whsec_whsec_", &url_safe, &unpadded, &spaced, "hunter2!"] {
        let error = SigningSecret::parse(text).unwrap_err();
        assert!(error.contains("base64"), "{text}: {error}");
        assert!(!error.contains(text), "{text}: {error}");
    }
}

#[test]
fn a_generated_secret_has_24_bytes_and_no_equal() {
    let (_, ambient) = world();
    let secrets: HashSet<String> =
        (0..100).map(|_| SigningSecret::generate(&ambient).reveal()).collect();
    assert_eq!(secrets.len(), 100);
    for text in secrets {
        // 24 bytes in base64.
        assert_eq!(text.len(), "whsec_".len() + 32);
        assert_eq!(SigningSecret::parse(&text).unwrap().reveal(), text);
    }
}

#[test]
fn debug_output_shows_nothing() {
    let (_, ambient) = world();
    let secret = SigningSecret::parse(SECRET).unwrap();
    assert_eq!(format!("{secret:?}"), "SigningSecret");
    assert_eq!(format!("{:#?}", RootSecret::new(ROOT_SECRET).unwrap()), "RootSecret");
    let keyring = Keyring::new(&secret, OWNER, &sealer(), &ambient);
    let shown = format!("{keyring:?} {:?}", serde_json::to_string(&keyring));
    assert!(!shown.contains(&SECRET["whsec_".len()..]), "{shown}");
    let private = SigningSecret::parse(PRIVATE).unwrap();
    let keyring = Keyring::new(&private, OWNER, &sealer(), &ambient);
    let shown = format!("{private:?} {keyring:?} {}", private.reveal());
    assert!(!shown.contains(&PRIVATE["whsk_".len()..][..40]), "{shown}");
}

/// The key pair of Svix's own tests, and its public half.
const PRIVATE: &str =
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";

#[test]
fn a_private_key_reads_with_and_without_its_public_half_and_shows_only_that() {
    let secret = SigningSecret::parse(PRIVATE).unwrap();
    assert_eq!((secret.reveal().as_str(), secret.scheme()), (PUBLIC, SignatureScheme::V1a));
    let bytes = STANDARD.decode(&PRIVATE["whsk_".len()..]).unwrap();
    let seed = format!("whsk_{}", STANDARD.encode(&bytes[..32]));
    assert_eq!(SigningSecret::parse(&seed), Ok(secret.clone()));
    let sealed = sealer().seal(&secret, OWNER, &world().1);
    assert_eq!(sealer().open(&sealed, OWNER), Some(secret));
    let mut other = bytes.clone();
    other[40] ^= 1;
    for wrong in [&bytes[..31], &bytes[..33], &bytes[..63], other.as_slice()] {
        let text = format!("whsk_{}", STANDARD.encode(wrong));
        let error = SigningSecret::parse(&text).unwrap_err();
        assert!(error.contains("ed25519") && !error.contains(&text), "{error}");
    }
    assert!(SigningSecret::parse_symmetric(PRIVATE).is_err());
}

#[test]
fn the_longest_symmetric_key_is_not_taken_for_a_private_one_at_rest() {
    let secret = SigningSecret::parse(&zeros(75)).unwrap();
    let sealed = sealer().seal(&secret, OWNER, &world().1);
    assert_eq!(sealer().open(&sealed, OWNER), Some(secret));
}

#[test]
fn a_sealed_secret_opens_for_its_owner_under_its_root_alone() {
    let (_, ambient) = world();
    let secret = SigningSecret::parse(SECRET).unwrap();
    let sealed = sealer().seal(&secret, OWNER, &ambient);
    assert_eq!(sealer().open(&sealed, OWNER), Some(secret));
    assert_eq!(sealer().open(&sealed, STRANGER), None);
    assert_eq!(sealer().open(&sealed, ""), None);
    let other = RootSecret::new("fedcba9876543210fedcba9876543210").unwrap();
    assert_eq!(other.sealer().open(&sealed, OWNER), None);
}

#[test]
fn the_same_secret_is_never_sealed_the_same_way_twice() {
    let (_, ambient) = world();
    let secret = SigningSecret::parse(SECRET).unwrap();
    let sealed: HashSet<String> = (0..100)
        .map(|_| serde_json::to_string(&sealer().seal(&secret, OWNER, &ambient)).unwrap())
        .collect();
    assert_eq!(sealed.len(), 100);
}

#[test]
fn a_sealed_secret_survives_the_store() {
    let (_, ambient) = world();
    let secret = SigningSecret::parse(SECRET).unwrap();
    let stored = serde_json::to_string(&sealer().seal(&secret, OWNER, &ambient)).unwrap();
    let read: Sealed = serde_json::from_str(&stored).unwrap();
    assert_eq!(sealer().open(&read, OWNER), Some(secret));
}

#[test]
fn a_sealed_secret_that_was_tampered_with_does_not_open() {
    let (_, ambient) = world();
    let secret = SigningSecret::parse(SECRET).unwrap();
    let stored = serde_json::to_string(&sealer().seal(&secret, OWNER, &ambient)).unwrap();
    // Every character between the quotes, replaced by another digit of base 64.
    for at in 1..stored.len() - 1 {
        let mut text = stored.clone();
        let other = if &text[at..=at] == "A" { "B" } else { "A" };
        text.replace_range(at..=at, other);
        let sealed: Sealed = serde_json::from_str(&text).unwrap();
        assert_eq!(sealer().open(&sealed, OWNER), None, "{text}");
    }
    for text in ["\"\"", "\"AAAA\"", "\"not base64\"", "\"AAAAAAAAAAAAAAAA\""] {
        let sealed: Sealed = serde_json::from_str(text).unwrap();
        assert_eq!(sealer().open(&sealed, OWNER), None, "{text}");
    }
}

#[test]
fn a_root_secret_has_at_least_32_characters_and_ignores_white_space_around_it() {
    let short = RootSecret::new(&"x".repeat(31)).unwrap_err();
    assert!(short.contains("at least 32 characters, this one has 31"), "{short}");
    assert!(RootSecret::new(&format!("{}   ", "x".repeat(31))).is_err());
    let padded = RootSecret::new(&format!("  {ROOT_SECRET}\n")).unwrap();
    assert_eq!(padded.token_key(), RootSecret::new(ROOT_SECRET).unwrap().token_key());
}

#[test]
fn the_token_key_is_not_the_root_secret_and_depends_on_it() {
    let key = RootSecret::new(ROOT_SECRET).unwrap().token_key();
    assert_ne!(key, ROOT_SECRET.as_bytes());
    let other = RootSecret::new("fedcba9876543210fedcba9876543210").unwrap();
    assert_ne!(key, other.token_key());
}

#[test]
fn a_new_keyring_has_one_secret_which_signs() {
    let (_, ambient) = world();
    let secret = SigningSecret::generate(&ambient);
    let keyring = Keyring::new(&secret, OWNER, &sealer(), &ambient);
    assert_eq!(keyring.current(OWNER, &sealer()), Some(secret.clone()));
    assert_eq!(keyring.live(OWNER, &sealer(), ambient.now()), [secret]);
}

#[test]
fn after_a_rotation_both_secrets_sign_for_a_day_the_new_one_first() {
    let (clock, ambient) = world();
    let (old, new) = (SigningSecret::generate(&ambient), SigningSecret::generate(&ambient));
    let mut keyring = Keyring::new(&old, OWNER, &sealer(), &ambient);
    keyring.rotate(&new, OWNER, DEFAULT_GRACE_S, &sealer(), &ambient).unwrap();
    assert_eq!(keyring.current(OWNER, &sealer()), Some(new.clone()));
    assert_eq!(keyring.live(OWNER, &sealer(), ambient.now()), [new.clone(), old.clone()]);
    clock.advance_ms(86_400_000 - 1);
    assert_eq!(keyring.live(OWNER, &sealer(), ambient.now()), [new.clone(), old]);
    clock.advance_ms(1);
    assert_eq!(keyring.live(OWNER, &sealer(), ambient.now()), [new]);
}

#[test]
fn a_rotation_without_grace_ends_the_old_secret_at_once() {
    let (_, ambient) = world();
    let (old, new) = (SigningSecret::generate(&ambient), SigningSecret::generate(&ambient));
    let mut keyring = Keyring::new(&old, OWNER, &sealer(), &ambient);
    keyring.rotate(&new, OWNER, 0, &sealer(), &ambient).unwrap();
    assert_eq!(keyring.live(OWNER, &sealer(), ambient.now()), [new]);
}

#[test]
fn old_secrets_sign_newest_first_each_until_its_own_time() {
    let (clock, ambient) = world();
    let secrets: Vec<SigningSecret> = (0..3).map(|_| SigningSecret::generate(&ambient)).collect();
    let mut keyring = Keyring::new(&secrets[0], OWNER, &sealer(), &ambient);
    keyring.rotate(&secrets[1], OWNER, 100, &sealer(), &ambient).unwrap();
    keyring.rotate(&secrets[2], OWNER, 50, &sealer(), &ambient).unwrap();
    let live = || keyring.live(OWNER, &sealer(), ambient.now());
    assert_eq!(live(), [secrets[2].clone(), secrets[1].clone(), secrets[0].clone()]);
    clock.advance_ms(50_000);
    assert_eq!(live(), [secrets[2].clone(), secrets[0].clone()]);
    clock.advance_ms(50_000);
    assert_eq!(live(), [secrets[2].clone()]);
}

#[test]
fn ten_old_secrets_may_be_alive_and_the_eleventh_rotation_waits() {
    let (clock, ambient) = world();
    let mut keyring = Keyring::new(&SigningSecret::generate(&ambient), OWNER, &sealer(), &ambient);
    for _ in 0..MAX_OLD {
        let next = SigningSecret::generate(&ambient);
        keyring.rotate(&next, OWNER, 100, &sealer(), &ambient).unwrap();
    }
    assert_eq!(keyring.live(OWNER, &sealer(), ambient.now()).len(), 11);
    let before = keyring.clone();
    let next = SigningSecret::generate(&ambient);
    assert_eq!(keyring.rotate(&next, OWNER, 100, &sealer(), &ambient), Err(TooManyOld));
    assert_eq!(keyring, before, "nothing has changed");
    clock.advance_ms(100_000);
    keyring.rotate(&next, OWNER, 100, &sealer(), &ambient).unwrap();
    assert_eq!(keyring.live(OWNER, &sealer(), ambient.now()).len(), 2);
}

#[test]
fn a_rotation_that_keeps_nothing_is_possible_however_many_old_ones_are_alive() {
    let (_, ambient) = world();
    let mut keyring = Keyring::new(&SigningSecret::generate(&ambient), OWNER, &sealer(), &ambient);
    let mut leaked = None;
    for _ in 0..MAX_OLD {
        let next = SigningSecret::generate(&ambient);
        keyring.rotate(&next, OWNER, 100, &sealer(), &ambient).unwrap();
        leaked = Some(next);
    }
    let next = SigningSecret::generate(&ambient);
    keyring.rotate(&next, OWNER, 0, &sealer(), &ambient).unwrap();
    let live = keyring.live(OWNER, &sealer(), ambient.now());
    assert_eq!((live.len(), live.first()), (MAX_OLD + 1, Some(&next)));
    assert!(!live.contains(&leaked.unwrap()), "it is gone at once");
}

#[test]
fn a_secret_opens_whatever_it_begins_with() {
    let (_, ambient) = world();
    let mark = b"posthorn/ed25519".as_slice();
    for length in 24..=75 {
        let key = [mark, &[7; 59]].concat()[..length].to_vec();
        let secret = SigningSecret::parse(&STANDARD.encode(key)).unwrap();
        let sealed = sealer().seal(&secret, OWNER, &ambient);
        assert_eq!(sealer().open(&sealed, OWNER), Some(secret), "{length}");
    }
}

#[test]
fn a_keyring_opens_for_its_owner_under_its_root_alone() {
    let (_, ambient) = world();
    let secret = SigningSecret::generate(&ambient);
    let mut keyring = Keyring::new(&secret, OWNER, &sealer(), &ambient);
    keyring.rotate(&SigningSecret::generate(&ambient), OWNER, 100, &sealer(), &ambient).unwrap();
    let other = RootSecret::new("fedcba9876543210fedcba9876543210").unwrap().sealer();
    for (owner, sealer) in [(STRANGER, sealer()), (OWNER, other)] {
        assert_eq!(keyring.current(owner, &sealer), None);
        assert!(keyring.live(owner, &sealer, ambient.now()).is_empty());
    }
}

#[test]
fn a_keyring_survives_the_store() {
    let (_, ambient) = world();
    let mut keyring = Keyring::new(&SigningSecret::generate(&ambient), OWNER, &sealer(), &ambient);
    let plain = serde_json::to_value(&keyring).unwrap();
    assert!(plain.get("old").is_none(), "{plain}");
    assert_eq!(serde_json::from_value::<Keyring>(plain).unwrap(), keyring);
    keyring.rotate(&SigningSecret::generate(&ambient), OWNER, 100, &sealer(), &ambient).unwrap();
    let stored = serde_json::to_string(&keyring).unwrap();
    assert_eq!(serde_json::from_str::<Keyring>(&stored).unwrap(), keyring);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic_and_what_it_takes_reads_back(text in "(whsec_)?[ -~é]{0,110}") {
        if let Ok(secret) = SigningSecret::parse(&text) {
            prop_assert!((32..=100).contains(&(secret.reveal().len() - "whsec_".len())));
            prop_assert_eq!(SigningSecret::parse(&secret.reveal()).unwrap(), secret);
        }
    }

    #[test]
    fn every_secret_of_a_good_size_reads_back(text in "([A-Za-z0-9+/]{4}){8,25}") {
        let secret = SigningSecret::parse(&text).unwrap();
        prop_assert_eq!(secret.reveal(), format!("whsec_{text}"));
    }

    #[test]
    fn no_sealed_text_makes_opening_panic(text in ".{0,120}") {
        let stored = serde_json::to_string(&text).unwrap();
        let sealed: Sealed = serde_json::from_str(&stored).unwrap();
        prop_assert!(sealer().open(&sealed, OWNER).is_none());
    }
}
