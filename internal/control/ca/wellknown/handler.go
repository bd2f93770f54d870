package wellknown

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/issuance/lint"
	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/control/ca/responder"
)

// Root is the path below which everything is.
const Root = "/.well-known/countersign/"

// maxAge is for how long caches keep a list: a revocation is not to wait for
// its nextUpdate.
const maxAge = 5 * time.Minute

// A Publication is what is published of one authority.
type Publication struct {
	Authority *ca.Authority
	Responder *responder.Responder // nil: none
}

// Publish returns what is published of an authority, with OCSP if it is wanted.
func Publish(a *ca.Authority, ocsp bool, logger *slog.Logger) Publication {
	p := Publication{Authority: a}
	if ocsp {
		p.Responder = responder.New(responder.Config{Authority: a, Logger: logger})
	}
	return p
}

// Locations are the places of what concerns certificates of the issuing
// authority with that number, at base, such as http://pki.example.com.
func Locations(base, name string, number int, responder bool) lint.Locations {
	base = strings.TrimSuffix(base, "/") + Root
	at := lint.Locations{
		CRL:    fmt.Sprintf("%scrl/%s/%d.crl", base, name, number),
		Issuer: fmt.Sprintf("%sca/%s/%d.cer", base, name, number),
	}
	if responder {
		at.OCSP = base + "ocsp/" + name
	}
	return at
}

// Handler serves publications, by name.
type Handler struct {
	Publications map[string]Publication
	Logger       *slog.Logger
}

func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	// Not cleaned: base64 in it may have two slashes in a row.
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), Root)
	kind, rest, _ := strings.Cut(rest, "/")
	name, item, below := strings.Cut(rest, "/")
	if kind == "ocsp" {
		if p, known := h.Publications[name]; ok && known && p.Responder != nil {
			p.Responder.Serve(w, r, item)
			return
		}
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "want GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	if !below {
		name, ok = strings.CutSuffix(name, ".pem")
	}
	p, known := h.Publications[name]
	if !ok || !known {
		http.NotFound(w, r)
		return
	}
	switch kind {
	case "crl":
		h.list(w, r, p.Authority, item)
	case "ca":
		certificate(w, r, p.Authority, item)
	default:
		http.NotFound(w, r)
	}
}

// list serves the list that item names; "" stands for all in PEM.
func (h Handler) list(w http.ResponseWriter, r *http.Request, a *ca.Authority, item string) {
	lists, err := a.Lists()
	if err != nil {
		h.Logger.Error("a revocation list cannot be published", "authority", a.Dir(), "error", err)
		http.Error(w, "the list cannot be read", http.StatusInternalServerError)
		return
	}
	if item == "" {
		var all []byte
		number := ""
		for i := len(lists.Issuers) - 1; i >= 0; i-- {
			if l := lists.Issuers[i]; l != nil {
				all = append(all, pemfile.Encode(pemfile.CRL, l.Raw)...)
				number = l.Number.String()
			}
		}
		send(w, r, "application/x-pem-file", all, `"`+number+`"`, maxAge)
		return
	}
	var list *x509.RevocationList
	if item == "root.crl" {
		list = lists.Root
	} else if n := number(item, ".crl", len(lists.Issuers)); n > 0 {
		list = lists.Issuers[n-1]
	}
	if list == nil {
		http.NotFound(w, r)
		return
	}
	// RFC 2585 section 4.2.
	send(w, r, "application/pkix-crl", list.Raw, `"`+list.Number.String()+`"`, maxAge)
}

func certificate(w http.ResponseWriter, r *http.Request, a *ca.Authority, item string) {
	issuers := a.Issuers()
	if item == "" {
		all, err := a.Roots()
		if err != nil {
			http.Error(w, "the certificates cannot be read", http.StatusInternalServerError)
			return
		}
		for i := len(issuers) - 1; i >= 0; i-- {
			all = append(all, issuers[i])
		}
		send(w, r, "application/x-pem-file", pemfile.EncodeCertificates(all...), "", maxAge)
		return
	}
	c := a.Root()
	if item != "root.cer" {
		n := number(item, ".cer", len(issuers))
		if n == 0 {
			http.NotFound(w, r)
			return
		}
		c = issuers[n-1]
	}
	// RFC 2585 section 4.1. It never changes.
	send(w, r, "application/pkix-cert", c.Raw, "", 24*time.Hour)
}

// number reads a number from 1 to most before suffix; 0: it is none.
func number(item, suffix string, most int) int {
	digits, ok := strings.CutSuffix(item, suffix)
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 || n > most || strconv.Itoa(n) != digits {
		return 0
	}
	return n
}

func send(w http.ResponseWriter, r *http.Request, kind string, content []byte, tag string, age time.Duration) {
	if tag == "" {
		tag = fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(content)))
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("ETag", tag)
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d, must-revalidate", age/time.Second))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}
