//! Standard Webhooks signatures.

use proptest::prelude::*;
use shared::domain::clock::Timestamp;
use shared::domain::secret::{PublicKey, SigningSecret};
use shared::domain::signature::{
    MAX_SIGNATURES, Rejection, TOLERANCE_S, sign, verify, verify_public,
};

/// The example that the specification's reference libraries test with.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const SENT_S: u64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn secret() -> SigningSecret {
    SigningSecret::parse(SECRET).unwrap()
}

fn other(byte: u8) -> SigningSecret {
    // Four characters of base 64 that repeat are 24 bytes after eight times.
    SigningSecret::parse(&format!("{byte:04}").repeat(8)).unwrap()
}

/// Checks the example with this signature header, at the moment when it was made.
fn check(signatures: &str) -> Result<(), Rejection> {
    let now = Timestamp(SENT_S * 1000);
    verify(&[secret()], ID, &SENT_S.to_string(), signatures, BODY, now)
}

#[test]
fn the_published_example_comes_out_as_published() {
    assert_eq!(sign(&[secret()], ID, SENT_S, BODY), SIGNATURE);
    assert_eq!(check(SIGNATURE), Ok(()));
}

#[test]
fn the_published_example_of_an_ed25519_signature_comes_out_as_published() {
    let private = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
    let signature = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";
    let private = SigningSecret::parse(private).unwrap();
    assert_eq!(sign(std::slice::from_ref(&private), ID, SENT_S, BODY), signature);
    let now = Timestamp(SENT_S * 1000);
    let verifies = |signatures: &str| {
        let secrets = std::slice::from_ref(&private);
        verify(secrets, ID, &SENT_S.to_string(), signatures, BODY, now).is_ok()
    };
    assert!(verifies(signature));
    assert!(verifies(&format!("v1,AAAA {signature}")));
    assert!(!verifies(&signature.replace("v1a,", "v1,")));
    assert!(!verifies(&signature.replace("hnO3", "hnO4")));
    let key = PublicKey::parse(&private.reveal()).unwrap();
    let public = |body: &[u8]| verify_public(&key, ID, &SENT_S.to_string(), signature, body);
    assert!(public(BODY) && !public(b"{}"));
    let both = sign(&[secret(), private.clone()], ID, SENT_S, BODY);
    assert_eq!(both, format!("{SIGNATURE} {signature}"));
}

#[test]
fn a_signature_after_the_sixteenth_is_not_looked_at() {
    let behind = |others: usize| format!("{}{SIGNATURE}", "v1,AAAA ".repeat(others));
    assert_eq!(check(&behind(MAX_SIGNATURES - 1)), Ok(()));
    assert_eq!(check(&behind(MAX_SIGNATURES)), Err(Rejection::Signature));
    assert_eq!(MAX_SIGNATURES, 16);
}

#[test]
fn several_secrets_make_several_signatures_in_their_order() {
    let signatures = sign(&[other(1), secret(), other(2)], ID, SENT_S, BODY);
    let parts: Vec<&str> = signatures.split(' ').collect();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[0], sign(&[other(1)], ID, SENT_S, BODY));
    assert_eq!(parts[1], SIGNATURE);
    assert_eq!(parts[2], sign(&[other(2)], ID, SENT_S, BODY));
}

#[test]
fn any_live_secret_verifies_any_of_the_signatures() {
    let now = Timestamp(SENT_S * 1000);
    let signatures = sign(&[other(1), other(2)], ID, SENT_S, BODY);
    let try_with = |secrets: &[SigningSecret]| {
        verify(secrets, ID, &SENT_S.to_string(), &signatures, BODY, now)
    };
    assert_eq!(try_with(&[other(2)]), Ok(()));
    assert_eq!(try_with(&[other(3), other(1)]), Ok(()));
    assert_eq!(try_with(&[other(3), other(4)]), Err(Rejection::Signature));
}

#[test]
fn without_a_secret_nothing_is_signed_and_nothing_verified() {
    assert_eq!(sign(&[], ID, SENT_S, BODY), "");
    let now = Timestamp(SENT_S * 1000);
    let verified = verify(&[], ID, &SENT_S.to_string(), SIGNATURE, BODY, now);
    assert_eq!(verified, Err(Rejection::Signature));
}

#[test]
fn a_signature_holds_for_five_minutes_either_way() {
    let at = |now_s: u64| {
        let now = Timestamp(now_s * 1000 + 999);
        verify(&[secret()], ID, &SENT_S.to_string(), SIGNATURE, BODY, now)
    };
    assert_eq!(TOLERANCE_S, 300);
    assert_eq!(at(SENT_S - 300), Ok(()));
    assert_eq!(at(SENT_S + 300), Ok(()));
    assert_eq!(at(SENT_S - 301), Err(Rejection::Tolerance));
    assert_eq!(at(SENT_S + 301), Err(Rejection::Tolerance));
    assert_eq!(at(0), Err(Rejection::Tolerance));
}

#[test]
fn a_timestamp_that_is_no_number_of_seconds_is_refused() {
    let now = Timestamp(SENT_S * 1000);
    for text in ["", " ", "now", "-1", "1614265330.0", "1614265330 ", "0x10", "1e9", "2021-02-25"] {
        let verified = verify(&[secret()], ID, text, SIGNATURE, BODY, now);
        assert_eq!(verified, Err(Rejection::Timestamp), "{text}");
    }
    let far = verify(&[secret()], ID, "18446744073709551615", SIGNATURE, BODY, now);
    assert_eq!(far, Err(Rejection::Tolerance));
}

#[test]
fn signatures_of_other_versions_in_the_list_are_ignored() {
    let encoded = SIGNATURE.strip_prefix("v1,").unwrap();
    assert_eq!(check(&format!("v1a,{encoded} {SIGNATURE}")), Ok(()));
    assert_eq!(check(&format!("{SIGNATURE} v2,{encoded}")), Ok(()));
    assert_eq!(check(&format!("v1,AAAA {SIGNATURE}")), Ok(()));
    for version in ["v1a,", "v2,", "v0,", "V1,", "v1", "v1;", ""] {
        assert_eq!(check(&format!("{version}{encoded}")), Err(Rejection::Signature), "{version}");
    }
}

#[test]
fn what_is_not_a_whole_signature_is_refused() {
    let tag = SIGNATURE.strip_prefix("v1,").unwrap();
    let unpadded = SIGNATURE.trim_end_matches('=');
    let url_safe = SIGNATURE.replace('+', "-").replace('/', "_");
    let doubled = format!("v1,{tag}{tag}");
    for text in ["", "v1,", "v1,AAAA", "v1,%%%", unpadded, &url_safe, &doubled, &SIGNATURE[..20]] {
        assert_eq!(check(text), Err(Rejection::Signature), "{text}");
    }
}

#[test]
fn every_rejection_tells_what_to_do() {
    for (rejection, hint) in [
        (Rejection::Headers, "webhook-id, webhook-timestamp and webhook-signature"),
        (Rejection::Timestamp, "seconds since 1970"),
        (Rejection::Tolerance, "5 minutes"),
        (Rejection::Signature, "integration key"),
    ] {
        assert!(rejection.detail().contains(hint), "{rejection:?}");
    }
}

proptest! {
    #[test]
    fn what_is_signed_verifies(
        id in "[!-~]{1,60}",
        at in 0..=4_000_000_000u64,
        off in 0..=2 * TOLERANCE_S,
        body: Vec<u8>,
        key in 1..9u8,
    ) {
        let signatures = sign(&[other(key)], &id, at, &body);
        let now = Timestamp((at + off).saturating_sub(TOLERANCE_S) * 1000);
        prop_assert_eq!(verify(&[other(key)], &id, &at.to_string(), &signatures, &body, now), Ok(()));
        let wrong_key = verify(&[other(0)], &id, &at.to_string(), &signatures, &body, now);
        prop_assert_eq!(wrong_key, Err(Rejection::Signature));
    }
}

/// The format joins id, timestamp and body with full stops, so a publisher whose ids have some
/// leaves several readings. All but the right one have a body that begins with a digit.
#[test]
fn no_other_reading_of_a_signed_text_is_a_request_with_a_json_object() {
    let now = Timestamp(SENT_S * 1000);
    let body = br#"{"pi": 3.14, "next": "1614265330.{}"}"#;
    let id = format!("evt.{SENT_S}.{}", SENT_S + 1);
    let signatures = sign(&[secret()], &id, SENT_S, body);
    let signed = format!("{id}.{SENT_S}.{}", String::from_utf8_lossy(body));
    let dots: Vec<usize> = signed.match_indices('.').map(|(at, _)| at).collect();
    let mut verified = Vec::new();
    for (position, first) in dots.iter().enumerate() {
        for second in &dots[position + 1..] {
            let (id, timestamp) = (&signed[..*first], &signed[first + 1..*second]);
            let body = &signed[second + 1..];
            if verify(&[secret()], id, timestamp, &signatures, body.as_bytes(), now).is_ok() {
                verified.push(body);
            }
        }
    }
    assert_eq!(verified.len(), 3, "the right one and two others");
    assert_eq!(verified.iter().filter(|body| body.starts_with('{')).count(), 1);
}

/// Every single flipped bit, not a sample: there are only some hundred.
#[test]
fn every_flipped_bit_of_id_timestamp_body_and_signature_is_refused() {
    let now = Timestamp(SENT_S * 1000);
    let sent = SENT_S.to_string();
    let flips = |text: &[u8]| -> Vec<Vec<u8>> {
        (0..text.len() * 8)
            .map(|bit| {
                let mut flipped = text.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                flipped
            })
            .collect()
    };
    for body in flips(BODY) {
        let verified = verify(&[secret()], ID, &sent, SIGNATURE, &body, now);
        assert_eq!(verified, Err(Rejection::Signature));
    }
    let texts = |text: &str| -> Vec<String> {
        flips(text.as_bytes()).into_iter().filter_map(|text| String::from_utf8(text).ok()).collect()
    };
    for id in texts(ID) {
        let verified = verify(&[secret()], &id, &sent, SIGNATURE, BODY, now);
        assert_eq!(verified, Err(Rejection::Signature), "{id}");
    }
    for timestamp in texts(&sent) {
        let verified = verify(&[secret()], ID, &timestamp, SIGNATURE, BODY, now);
        assert!(verified.is_err(), "{timestamp}");
    }
    for signature in texts(SIGNATURE) {
        assert_eq!(check(&signature), Err(Rejection::Signature), "{signature}");
    }
}
