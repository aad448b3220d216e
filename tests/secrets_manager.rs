//! Reading the root secret when a function starts, from a service that this test plays.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use shared::domain::clock::Timestamp;
use shared::lambda::aws::{AwsEnvironment, connections};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// 2026-11-24 00:00:00 UTC.
const NOW: Timestamp = Timestamp(1_795_478_400_000);

#[tokio::test]
async fn a_secret_is_asked_for_by_name_in_a_signed_request() {
    let service = Service::answering(&[(200, json!({"SecretString": "the text"}))]).await;
    assert_eq!(service.read().await, Ok("the text".to_owned()));
    let asked = service.asked();
    let [request] = asked.as_slice() else { panic!("{asked:?}") };
    assert!(request.starts_with("POST / HTTP/1.1"), "{request}");
    assert!(request.contains("x-amz-target: secretsmanager.GetSecretValue"), "{request}");
    assert!(request.contains("x-amz-date: 20261124T"), "{request}");
    let scope = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/eu-west-1/secretsmanager/aws4";
    assert!(request.contains(scope), "{request}");
    assert!(request.contains("x-amz-security-token: session"), "{request}");
    assert!(request.ends_with(r#"{"SecretId":"posthorn/root"}"#), "{request}");
}

#[tokio::test]
async fn a_service_that_stumbles_is_asked_again_and_one_that_refuses_is_not() {
    let throttled = json!({"__type": "ThrottlingException", "message": "Rate exceeded"});
    let stumbles = [(500, json!({})), (400, throttled), (200, json!({"SecretString": "text"}))];
    let service = Service::answering(&stumbles).await;
    assert_eq!(service.read().await, Ok("text".to_owned()));
    assert_eq!(service.asked().len(), 3);

    let refusal = json!({"__type": "AccessDeniedException", "Message": "not for you"});
    let service = Service::answering(&[(400, refusal)]).await;
    let why = service.read().await.unwrap_err();
    assert!(why.contains("posthorn/root") && why.contains("AccessDenied"), "{why}");
    assert!(why.contains("not for you"), "{why}");
    assert_eq!(service.asked().len(), 1);

    let service = Service::answering(&vec![(503, json!({})); 5]).await;
    assert!(service.read().await.unwrap_err().contains("503"));
    assert_eq!(service.asked().len(), 3);
}

#[tokio::test]
async fn what_is_no_text_is_refused_without_showing_it() {
    for answer in
        [json!({"SecretBinary": "c2VjcmV0"}), json!({"SecretString": ["hidden"]}), json!({})]
    {
        let service = Service::answering(&[(200, answer)]).await;
        let why = service.read().await.unwrap_err();
        assert!(
            why.contains("no text") && !why.contains("c2Vj") && !why.contains("hidden"),
            "{why}"
        );
    }
}

/// Secrets Manager, as far as these tests go: answers as it was told, one request a connection.
struct Service {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Service {
    async fn answering(answers: &[(u16, Value)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (heard, answers) = (asked.clone(), answers.to_vec());
        tokio::spawn(async move {
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                heard.lock().unwrap().push(request);
                let body = body.to_string();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, asked }
    }

    async fn read(&self) -> Result<String, String> {
        let look_up = |name: &str| {
            let value = match name {
                "AWS_REGION" => "eu-west-1",
                "AWS_ACCESS_KEY_ID" => "AKIDEXAMPLE",
                "AWS_SECRET_ACCESS_KEY" => "key",
                "AWS_SESSION_TOKEN" => "session",
                "AWS_ENDPOINT_URL" => &self.url,
                _ => return None,
            };
            Some(value.to_owned())
        };
        let environment = AwsEnvironment::from_lookup(&look_up).unwrap();
        let connections = connections().unwrap();
        environment.secrets(&connections).text("posthorn/root", NOW).await
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.unwrap();
        assert!(count > 0, "the request ended early: {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0) {
            return text.into_owned();
        }
    }
}
