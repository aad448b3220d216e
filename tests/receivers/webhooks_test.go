package webhooks

import (
	"encoding/json"
	"net/http"
	"os"
	"testing"
	"time"
)

type vectors struct {
	Now      int64
	Webhooks []struct {
		Claim, Key, Body string
		Headers          map[string]string
		Good             bool
	}
	Tokens struct {
		KeySet           KeySet
		Issuer, Audience string
		Cases            []struct {
			Claim, Token string
			Good         bool
		}
	}
}

func TestVectors(t *testing.T) {
	text, err := os.ReadFile("vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all vectors
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for _, one := range all.Webhooks {
		hook, err := New(one.Key)
		if err != nil {
			t.Fatal(one.Claim, err)
		}
		headers := http.Header{}
		for name, value := range one.Headers {
			headers.Set(name, value)
		}
		_, err = hook.Verify(headers, []byte(one.Body), time.Unix(all.Now, 0))
		if (err == nil) != one.Good {
			t.Error(one.Claim, err)
		}
	}
	tokens := Tokens{all.Tokens.KeySet, all.Tokens.Issuer, all.Tokens.Audience}
	for _, one := range all.Tokens.Cases {
		if _, err := tokens.Verify([]byte(one.Token)); (err == nil) != one.Good {
			t.Error(one.Claim, err)
		}
	}
	t.Logf("webhooks.go: %d webhooks, %d tokens", len(all.Webhooks), len(all.Tokens.Cases))
}
