//! Keys that everybody may know: making RSA keys takes a while, and two runs would differ.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use admin::RsaMaker;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// RSA keys with 2048 bits, in PKCS#8.
const RSA: [&str; 3] = [
    "MIIEvwIBADANBgkqhkiG9w0BAQEFAASCBKkwggSlAgEAAoIBAQCsHs/Bi1UOnmXaQf5wY82QVhhwMHEUx18jBtDdjY\
     muLsICgyu2y44RrpZivoPBWxhCK9/fM1eugh267BFI9pzBggQ8t0KnmkYIgaQP4e76X0JRwaZyYvXaZO8T2rRtqh0X\
     Th1mx44Gd+v+3PywYlCl/Bw9NE0X8TuKvFm4eTccj8cFdKvA3UUCdIX0v63gcz5Lyv/wdIi7J/I3YWUhT0O422tVlX\
     JnFJ42870RQbRwlF9Fv2TKXyG/O9EiY979aJ3gV6Skl7eoifeFz1/s3MxBpoQ0x4FHHm5XNX+6aWjeotmu6AcFiMQ5\
     50jgvckTFXGuuli9n7nTMS89JxQNVoLXAgMBAAECggEACdHK/EzX9VJzF1CuVLiIHAs7yX0lNNBen8+kb3QpasVvIX\
     6QEJWSjUHlGxmpLm9+6RntfT0ShdNIuyCU23ethlqsP2lP669UMU/YGmUQFO4FvHoff77s+mDJkcJN8RDqwcKENrHK\
     BM0Nqse69AMmSVOI3UyhECC3ZJknRmxGVe8D8Lkh0Q1VQhzTOLaTyozfiTwnk6GDgtri1b62dUtV/Cwzzgoy/zEDGO\
     QaMLcgJjFeTdxIHYxFtRW0TGMiL2DnegMwLH91c/kMfHTMjyjMYFsS5eWw9c2EMJ5myNKU5OvrsZCA8YYee8BeKprx\
     Dvem6JJ5pnGWCPYlj31TDaBcEQKBgQDgqHfqA0B6Msco4D5uuZSykRwdQS19douEIISQhu04FMbUJfwwYYUxyC5kvw\
     SYe09I06ZiDgMab4HctbuPcvkupl6MFD0mdsVLpJ9+PHr3ekqev+oer1ObZQ+flxsD4QWubRxhRVmTURBSu2VmcMu1\
     qbAJk743LvEHGazxUduAhwKBgQDEIf07vYwliW3GFsHxbG4EdCyPZko0VMphaBrl0NZJiyGNqLF5Fdy4KNmbOnALxU\
     rOGVlFU7f45QzkkUlPt8wFk77e3aBD9XXYcGtHFoxT3+pdFo5MktfzOE1eUYL8EWvNMeInHWMqZm3y6LxTW5l9O02n\
     ddocOM9N2xlkdZ0PMQKBgQC9sIHPrX87rrRK50zP4RKU08GRUf8++GFE5tAH2GVj/OcFKi2ODEmShxvlJQSUW0nOjC\
     bolDw6jfxwh2Ie9U1A/mjGjjAz0gU0oYOp6xdI7pEjCZh84D0P8H0Im2XMGKvbY3WbDBteMAxATsqHfKYEdYqWC5GI\
     trH89Mj52cwk8QKBgQCrfailDqQ2wgZIuOdVR+CeZlH8BI2HWkgmiVdTcJmdblilO0YKQLJgF9/FGYCU2ioBMSrcMk\
     pfBy+RvvMiD+wFSF0REympojsrR4iVfMKwJ84NHMbJb3AAy07i1FS6QCVJIn/CgbCOh0dFqHfaTvJTDIJmlOZj3Mxu\
     H9ABBdGRUQKBgQDBvcOZbeDAAZGmU0HJZpMa3wpYQf71gHdm+Ed4elnMPu+V73Rx7LQrL18EBuqZv/oMPwm1bqjV6q\
     RTPJWE9vAxg9DgVvgDuTm43/EEClPJT4HSDUjLKLcELcy7xo8635xk7JRXDx3n10shd5QCMB7RHCKFfg6YDLlXJg6R\
     Xog7eg==",
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCtNPJVNr9smneygXpRPvhyjrVCpTsA8RAGdFkkrx\
     FZzXzBriEjbU0aNpLTLLe8O6kn2Ba5P+6fl6c2053zjt010hfuxa9lE3tPbY9pMFgsiQtmhXhp4xnlkA2RqmgpPtc2\
     tLYlCtbum6/Nfx2ljajEMcuRJnMTQU08gH6uvkCuycRbTzV5Oy+sKEUxatfOpYeBL8/GnbA/fGoS/20YPz4VMFSCG2\
     8s/r0DzeD/vp1gq6hO/papAI21iuTF8KgtXLU/aLE08UMxP4xwexUdWJgXAd4VSpvKvNbmvN8JNaMlPgevi+U+v5sz\
     ZudUv5G6a5yKqrtOFAgxvw4FLdpgEVXRAgMBAAECggEAAmdhlRfBrglXSoPUWTTUEkYKDCiLibxS3s5icOpYcRtk+U\
     aDEhCa60Tsj9SQd7eJKAq6rDMeTRRU1Fkw7hAGrxQFTafPahBYs5JnPEkzvHXZaobVnmfAVrWaQt14pFjeJZOS7eUR\
     ASbAgf2bD7oKSZLn3ForWkwG4FLKyiPdrxuwY14fh7aItWI0xyext3isPHT8NeSH+8snxnELAKXLEdA7zBAgegu0yx\
     lI7C4g4DVzvFGYXYa8HlFhdht+Ms3+Wt0MRBkQuJoZIUzxykPUu7kMhkl7TPo5awqXuT9wtmqjdjhK9r55CITE+bP1\
     z9jVbmapY2m5n08qVAJLkaFC8QKBgQDr3sK9Luxw7PMZK7KRqsOZg+cMg4e+WLF5m00HahlLTexVdlrsYUiD3crWn1\
     7bPvWynY+ixgewkqfq5WNphjAjkA6dm01tuxmH16gP5Q2KhJ9vIPlwtmdZVA5f/pahpmXujrBRRxFMIthkRAz/JgaJ\
     QpxYhiVg1BpyYfEwU58sLwKBgQC7/SGSW47xuR8QVCQbz64v80e0CLutUN0JqHVgl5bURhBDWQUk0A4Ad4D7i9KDlt\
     5cMLa9qHbSMvPjr6eGYvPg3pZIAp8ZmG/7EctJWwc9fad5taZkyQ4SAiLXTQbB0TZuFj/hOydFga+TcD0vx0sTWgHO\
     iAJfh581PNQd6+0d/wKBgBdEjU9eTqLBLSYBgocOImeFdIhufTiQxUkqwcmGdOJR2IuBtmx1GFMx0O2lIRVdu50YH/\
     A9usp3XSs1372sKBmJ/3cat+OoPleBNaoDvXc5qAStaw3sYHuWaCieE7v0jz+eQdRyv0kUcuZJNEMDPEfUE1pEOXG4\
     2rcH5GQRC7WvAoGAEV/Gv4kYv/x1A4RTRgK+vY3Ffb0k41LK6v6XwpKgDQRgsmjC0fEsqhxhXl5A2YqTCIA0E3lDag\
     /tfIiaehAhLBJGX2dmnu34w4KUgDYaiDNZzCTeuQff9ggegjmLO1SDrE8AHmfiLEldGcpQzV6k8Kfr7NOjLIMTUs9J\
     Z26Lnq8CgYEAm/z7G8wPww1n7JlwTll22L0viZh5mzjlciTb3trqBON9nZ1JdKi6ynEKjt/LuwrCzDiMNfUmVP8Euw\
     niBYxpsEEaRMLbQrCzdZ1uYfAc+BszcX9GoiFEQBfI93MUqwA01hPLSneAQ8mCwdzvWKD0fM/CnsAjteRl2x0qQpgI\
     6Tg=",
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC95saiGXLynnxXnktsvDwTXP8gUoFM7uQKfwKeEe\
     EamJ6hnyf9qBYbvPCL1g1H8U3FoIn4THbneLhSqJqPQ0qohQBY/pocWy9rtdfhJ6HLQZ7AIjzn/wA5I8KXjUOdsF6f\
     82fuO6QDsiOzjy9bclWECubn4s9EIT459depuhiEhOVHddhjy6RXq49hMJJ3I1DrqBETBFEo/noK7+t933+eoAZkOU\
     WEp23RfxQqlx2CrXCClxUUoWL4sWcr+hhaCF67Em/SG9/Sh3wUnlKyFJiubAumALwGbtJdoE5oWExwuOPqPYkVRaTx\
     crv80IzTFcPkiCf5VJQTBuQ0iUtYE8cLAgMBAAECggEACI7hbcW61e9JiENUf9p91JuQzdqaBCcR9N0jd48zt1igcY\
     U0LqzIDkj2CD9FyvO3fwwMm7mKdEUO/X6mtIUiVLTlvpz+wf9kBDUmPPnlwzy6VEtWtlfaITkY2G6f2PftU8UK7oQW\
     kKoTDNELn9Hnw7MgE9w3XgknfkIzjW0bFMG6e5zctQiYFfOdCe8J0uoWhJZFZp+ttfkNn6Oe+7stuufCa/Meurijs4\
     10aGE+MBNqr3xqFTNydZd14zHaCbik8HXre1jYv16PySUphIn7YpctXxLeHBIRJ2kn1L8EkcspL0t5VOoM5CccRShp\
     BWbywNsRV7PD9PeP5Ssj3zqmpQKBgQD15lT16vS0iqLAlC0yfxfETjZNJlA6yJxL4L8p+BEqL2uYJtdH/t1jPl+jg2\
     7ls91nouIrvovxAGUNl+bB6UB1++tJMDi1i343tik4vytFiNIf4v1x2YICFobOVFbAxy69gSj4K1QHTkYlvLZmnfHx\
     3+w1affKz8NGRDLOuU0TPwKBgQDFs51pWac19jtic2H11lXhacKMlzCc7dxMs6OBZQcyc/kSbk7n6RbByvj1f+EjG5\
     ln1jT4c40hyl3RLdHKMO14OygFzVPLIYWMVg3mAxOhMW1fUtUTOk0iqn24mZaPGjMVxble/2gTlkJZd3kWlCPv2hD8\
     w7S0vlf0YQPAEO11NQKBgGKjZ3dSLaDyb8DSb6Lu6mi7evrNoKdD67ZgTC6YrMIATae2BOuDZ+k0jwa3ZVfNI8Y7x4\
     AGqnodT2v5f/5PA6WQTVyJdGYWs6XDc5uoy8HT1X4m/sWZm5Yc1SyVFku0WqJ32ihasRVRJ8Bhh8V4HCKLUWRHwrdf\
     ShS4rKzSFgHfAoGAGspxTWJxz1UzzO6X2smVz7sWOxkN5GYzUU2SnalEJWkj2oSKOtESXWaVACe5KZnG2xRjDzwRZv\
     /WYM9Vu5GPzJgvn0Go1kEPqOnMblwCX/ijuqQt7bIb29PAv7BIf9HsFEo8CYyQ3P6itR8EkLO4fvtNDAO1TDzzDFHN\
     QUzJ8PUCgYEA0SO2qnfTto2IxWzPGKxLjHg807AqB+lM5YpUYNNOIEcO2gHzGyBlHbLLMlM32C9DSUZAKHgXjTloxJ\
     A5eorxHh0aLlHYxekpycbZ7l906G33tgFKcdQwYVekDdJMdBHYfagllCTThRgEn2aKvyuBpO0Gz0pCQuMlfqP3tAiR\
     Y+c=",
];

/// Hands out these keys, one after the other, and then fails.
pub(crate) fn rsa_maker() -> RsaMaker {
    let next = AtomicUsize::new(0);
    Arc::new(move || {
        let key = RSA.get(next.fetch_add(1, Ordering::Relaxed)).ok_or("no more keys")?;
        Ok(STANDARD.decode(key).expect("base64"))
    })
}

/// The first of them as PEM.
pub(crate) fn rsa_pem() -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", RSA[0])
}
