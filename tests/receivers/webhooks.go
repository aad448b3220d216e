// Package webhooks verifies webhooks: Standard Webhooks v1 and v1a, and security event tokens
// (JWT).
//
// Copy this file into your receiver; it needs nothing but the standard library. Give it the raw
// body, never one that was parsed and written again.
//
//	hook, err := webhooks.New("whsec_...")
//	id, err := hook.Verify(request.Header, body, time.Now())
//	claims, err := webhooks.Tokens{Keys: keySet, Issuer: "...", Audience: "..."}.Verify(body)
//
// Answer 400 or 401 to an error. Deliveries are repeated when your answer is lost: remember the
// message id (`jti` of a token), and do nothing the second time.
package webhooks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Tolerance is how far a request's time may be from now.
const Tolerance = 5 * time.Minute

// What may be wrong with a request.
var (
	ErrKey       = errors.New("not a secret and not a public key")
	ErrHeader    = errors.New("a header is missing")
	ErrTimestamp = errors.New("the timestamp is not of now")
	ErrSignature = errors.New("no signature fits")
	ErrToken     = errors.New("not a token")
	ErrUnknown   = errors.New("unknown key")
	ErrParties   = errors.New("from or for somebody else")
)

// Webhook holds one endpoint's secret or public key.
type Webhook struct {
	secret []byte
	public ed25519.PublicKey
}

// New reads `whsec_...` or `whpk_...`.
func New(key string) (*Webhook, error) {
	encoded := strings.TrimPrefix(strings.TrimPrefix(key, "whsec_"), "whpk_")
	bytes, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(bytes) == 0 {
		return nil, ErrKey
	}
	if !strings.HasPrefix(key, "whpk_") {
		return &Webhook{secret: bytes}, nil
	}
	if len(bytes) != ed25519.PublicKeySize {
		return nil, ErrKey
	}
	return &Webhook{public: bytes}, nil
}

// Verify answers with the message's id if the request is good.
func (hook *Webhook) Verify(headers http.Header, body []byte, now time.Time) (string, error) {
	header := func(name string) string {
		if value := headers.Get("webhook-" + name); value != "" {
			return value
		}
		return headers.Get("svix-" + name)
	}
	id, timestamp, signatures := header("id"), header("timestamp"), header("signature")
	if id == "" || timestamp == "" || signatures == "" {
		return "", ErrHeader
	}
	sent, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return "", ErrTimestamp
	}
	if age := now.Sub(time.Unix(sent, 0)); age > Tolerance || age < -Tolerance {
		return "", ErrTimestamp
	}
	content := append([]byte(id+"."+timestamp+"."), body...)
	for _, signature := range strings.Split(signatures, " ") {
		scheme, encoded, _ := strings.Cut(signature, ",")
		bytes, err := base64.StdEncoding.DecodeString(encoded)
		if err == nil && hook.fits(scheme, content, bytes) {
			return id, nil
		}
	}
	return "", ErrSignature
}

func (hook *Webhook) fits(scheme string, content, signature []byte) bool {
	if hook.public != nil {
		return scheme == "v1a" && ed25519.Verify(hook.public, content, signature)
	}
	mac := hmac.New(sha256.New, hook.secret)
	mac.Write(content)
	return scheme == "v1" && hmac.Equal(mac.Sum(nil), signature)
}

// KeySet is the answer of /.well-known/jwks.json.
type KeySet struct {
	Keys []Key `json:"keys"`
}

// Key is one public key of a set.
type Key struct{ Kid, Alg, N, E, X, Y string }

// Tokens says whose tokens are taken, and for whom.
type Tokens struct {
	Keys             KeySet
	Issuer, Audience string
}

// Verify answers with the claims if the token is good. Fetch the key set anew on ErrUnknown.
func (tokens Tokens) Verify(token []byte) (map[string]any, error) {
	parts := strings.Split(string(token), ".")
	if len(parts) != 3 {
		return nil, ErrToken
	}
	var header struct{ Kid, Alg string }
	var claims map[string]any
	if !decode(parts[0], &header) || !decode(parts[1], &claims) {
		return nil, ErrToken
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, ErrToken
	}
	for _, key := range tokens.Keys.Keys {
		if key.Kid != header.Kid {
			continue
		}
		// The algorithm is the key's. What the token says may only agree.
		if key.Alg != header.Alg || !key.signed([]byte(parts[0]+"."+parts[1]), signature) {
			return nil, ErrSignature
		}
		if claims["iss"] != tokens.Issuer || !contains(claims["aud"], tokens.Audience) {
			return nil, ErrParties
		}
		return claims, nil
	}
	return nil, ErrUnknown
}

func (key Key) signed(content, signature []byte) bool {
	digest := sha256.Sum256(content)
	switch key.Alg {
	case "RS256":
		public := rsa.PublicKey{N: number(key.N), E: int(number(key.E).Int64())}
		return rsa.VerifyPKCS1v15(&public, crypto.SHA256, digest[:], signature) == nil
	case "ES256":
		public := ecdsa.PublicKey{Curve: elliptic.P256(), X: number(key.X), Y: number(key.Y)}
		if len(signature) != 64 || !public.Curve.IsOnCurve(public.X, public.Y) {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return ecdsa.Verify(&public, digest[:], r, s)
	case "EdDSA":
		public, err := base64.RawURLEncoding.DecodeString(key.X)
		return err == nil && len(public) == ed25519.PublicKeySize && ed25519.Verify(public, content, signature)
	}
	return false
}

func decode(part string, into any) bool {
	bytes, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(bytes, into) == nil
}

func number(encoded string) *big.Int {
	bytes, _ := base64.RawURLEncoding.DecodeString(encoded)
	return new(big.Int).SetBytes(bytes)
}

func contains(audience any, name string) bool {
	several, ok := audience.([]any)
	if !ok {
		return audience == name
	}
	for _, one := range several {
		if one == name {
			return true
		}
	}
	return false
}
