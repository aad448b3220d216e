//! Whom a request is sealed for.

use std::io::{Read, Write};
use std::path::PathBuf;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use shared::sender::tls::client_config_with;

use super::*;

#[tokio::test]
async fn tls_to_a_plain_port_is_a_failure() {
    let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    let receiver = Receiver::start([vec![Step::Write(answer), Step::Hang]]).await;
    let outcome = sender().send(request(&receiver.url().replace("http:", "https:"))).await;
    let reason = failure(outcome);
    assert!(reason.starts_with("tls: "), "{reason}");
}

#[tokio::test]
async fn a_handshake_that_hangs_ends_with_the_time_for_connecting() {
    let receiver = Receiver::start([vec![Step::Hang]]).await;
    let settings = SenderSettings { connect_timeout_ms: 100, ..settings() };
    let sender = HttpSender::new(settings).unwrap();
    let outcome = sender.send(request(&receiver.url().replace("http:", "https:"))).await;
    assert_eq!(outcome.ending, Ending::TimedOut);
    assert_took(&outcome, 100);
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_accepted() {
    let (port, seen) = tls_receiver();
    let resolver = Script::new([Ok(addresses(&["127.0.0.1"]))]);
    let settings = SenderSettings { extra_roots: Some(certificate_file("trusted")), ..settings() };
    let sender = HttpSender::with_resolver(settings, resolver).unwrap();
    let outcome = sender.send(request(&format!("https://hooks.example.com:{port}/in"))).await;
    assert_eq!(answer(outcome), (200, b"sealed".to_vec(), None));
    let (protocol, request) = seen.join().unwrap().unwrap();
    assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]));
    assert!(text(&request).starts_with("POST /in HTTP/1.1\r\n"), "{}", text(&request));
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_or_another_name_is_a_failure() {
    for (host, extra_roots, reason) in [
        ("hooks.example.com", None, "tls: invalid peer certificate: UnknownIssuer"),
        (
            "other.example.com",
            Some(certificate_file("other-name")),
            "tls: invalid peer certificate: certificate not valid for name \"other.example.com\"",
        ),
    ] {
        let (port, seen) = tls_receiver();
        let resolver = Script::new([Ok(addresses(&["127.0.0.1"]))]);
        let settings = SenderSettings { extra_roots, ..settings() };
        let sender = HttpSender::with_resolver(settings, resolver).unwrap();
        let failed = failure(sender.send(request(&format!("https://{host}:{port}/"))).await);
        assert!(failed.starts_with(reason), "{failed}");
        assert!(seen.join().unwrap().is_err(), "no request may get through");
    }
}

#[tokio::test]
async fn a_kept_sealed_connection_that_ends_without_a_word_does_not_cost_an_attempt() {
    for says_goodbye in [false, true] {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            for keeps_going in [true, false] {
                let (mut socket, _) = listener.accept().unwrap();
                let mut connection = tls_connection();
                let mut stream = rustls::Stream::new(&mut connection, &mut socket);
                sealed_request(&mut stream).unwrap();
                stream.write_all(SEALED).unwrap();
                if keeps_going {
                    sealed_request(&mut stream).unwrap();
                }
                if says_goodbye {
                    connection.send_close_notify();
                    connection.write_tls(&mut socket).unwrap();
                }
            }
        });
        let resolver = Script::new([Ok(addresses(&["127.0.0.1"])), Ok(addresses(&["127.0.0.1"]))]);
        let extra_roots = Some(certificate_file(&format!("kept-{says_goodbye}")));
        let settings = SenderSettings { extra_roots, ..settings() };
        let sender = HttpSender::with_resolver(settings, resolver).unwrap();
        let url = format!("https://hooks.example.com:{port}/");
        for _ in 0..2 {
            assert_eq!(answer(sender.send(request(&url)).await).0, 200);
            settle().await;
        }
        thread.join().unwrap();
    }
}

#[test]
fn a_file_without_usable_certificates_is_refused() {
    let file = |name: &str, text: &str| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("sender-{name}.pem"));
        std::fs::write(&path, text).unwrap();
        path
    };
    let broken = CERTIFICATE.replace("MIIB", "AAAA");
    for (path, problem) in [
        (PathBuf::from("/does/not/exist.pem"), "cannot read the certificates in /does/not"),
        (file("empty", ""), "holds no certificate"),
        (file("key-only", KEY), "holds no certificate"),
        (file("broken", &broken), "holds a certificate that cannot be used"),
    ] {
        let text = client_config_with(&path).expect_err(problem);
        assert!(text.contains(problem), "{text}");
        let settings = SenderSettings { extra_roots: Some(path), ..settings() };
        assert!(HttpSender::new(settings).is_err());
    }
}

/// What a TLS receiver saw: the agreed protocol and the request, or why there was none.
type Sealed = std::io::Result<(Option<Vec<u8>>, Vec<u8>)>;

/// Accepts one connection with the certificate below and answers one request.
fn tls_receiver() -> (u16, std::thread::JoinHandle<Sealed>) {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept()?;
        let mut connection = tls_connection();
        let mut stream = rustls::Stream::new(&mut connection, &mut socket);
        let request = sealed_request(&mut stream)?;
        stream.write_all(SEALED)?;
        Ok((connection.alpn_protocol().map(<[u8]>::to_vec), request))
    });
    (port, thread)
}

const SEALED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsealed";

fn tls_connection() -> rustls::ServerConnection {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    rustls::ServerConnection::new(Arc::new(config)).unwrap()
}

fn sealed_request(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut some = [0; 1024];
    while !is_whole(&request) {
        let read = stream.read(&mut some)?;
        request.extend_from_slice(&some[..read]);
    }
    Ok(request)
}

fn certificate_file(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("sender-{name}.pem"));
    std::fs::write(&path, CERTIFICATE).unwrap();
    path
}

/// Self-signed for hooks.example.com, 2020 to 2120, used by nothing but these tests.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBbjCCARSgAwIBAgIBATAKBggqhkjOPQQDAjAYMRYwFAYDVQQDDA10ZXN0IHJl
Y2VpdmVyMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAYMRYwFAYD
VQQDDA10ZXN0IHJlY2VpdmVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWg2i
8UAK8mZXFk6p/79X4lc/EmfYQkDzi9BSy5S/ZjHGsw+hDljT8UHLtT64dQqQhGNH
pBMg7IvQfH2+8g1whaNNMEswDAYDVR0TAQH/BAIwADAcBgNVHREEFTATghFob29r
cy5leGFtcGxlLmNvbTAdBgNVHQ4EFgQUzoSudJfEpAB2EciZB0Yn9gn+ENAwCgYI
KoZIzj0EAwIDSAAwRQIgFfLVA0zRthoFia7U+pIyCEQGB6bUZaidfoMQRyRGHPUC
IQCr8ait08Ol/XakM5RQSv/kaKbz7nMZK+dHs28XkAg2sQ==
-----END CERTIFICATE-----
";

/// The certificate's key: public, so it protects nothing.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQglr3KGq1ddxh3mdaM
Wo5UuYe5W31gE+0E9AIzkkwrQTmhRANCAARaDaLxQAryZlcWTqn/v1fiVz8SZ9hC
QPOL0FLLlL9mMcazD6EOWNPxQcu1Prh1CpCEY0ekEyDsi9B8fb7yDXCF
-----END PRIVATE KEY-----
";
