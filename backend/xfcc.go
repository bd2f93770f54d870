package backend

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// xfcc reads Envoy's X-Forwarded-Client-Cert: one element of Key=value pairs. The
// gateway names the Subject of verified clients alone.
func xfcc(h http.Header) (*Client, error) {
	const name = "X-Forwarded-Client-Cert"
	v, err := field(h, name)
	if err != nil {
		return nil, err
	}
	if v == "" {
		return &Client{}, nil
	}
	pairs, err := xfccPairs(v)
	if err != nil {
		return nil, fmt.Errorf("header %s: %w", name, err)
	}
	certificate, err := oneEscapedPEM(pairs["cert"])
	if err != nil {
		return nil, fmt.Errorf("header %s: Cert: %w", name, err)
	}
	_, verified := pairs["subject"]
	c, err := clientOf(certificate, verified)
	if err != nil {
		return nil, err
	}
	return c, same("hash", pairs["hash"], hex.EncodeToString(c.Fingerprint[:]))
}

// xfccPairs takes one element apart. URI and DNS may be there several times, and
// are in the certificate; all other keys once.
func xfccPairs(s string) (map[string]string, error) {
	pairs := map[string]string{}
	for {
		key, rest, ok := strings.Cut(s, "=")
		if !ok {
			return nil, fmt.Errorf("%.20q is no Key=value", s)
		}
		value, after, err := xfccValue(rest)
		if err != nil {
			return nil, err
		}
		key = strings.ToLower(key)
		if _, twice := pairs[key]; twice && key != "uri" && key != "dns" {
			return nil, fmt.Errorf("%s is there twice", key)
		}
		pairs[key] = value
		if after == "" {
			return pairs, nil
		}
		if after[0] != ';' {
			return nil, errors.New("there are several elements: the gateway sends one")
		}
		s = after[1:]
	}
}

// xfccValue cuts the first value off s; in quotes `\"` is a quote.
func xfccValue(s string) (value, after string, err error) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ";,")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], nil
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[1:i], s[i+1:], nil
		}
	}
	return "", "", errors.New("a quote is not closed")
}
