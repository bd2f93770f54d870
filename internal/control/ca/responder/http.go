package responder

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxRequest bounds a request; those of one certificate have about 120 bytes.
const maxRequest = 16 << 10

// Serve answers a request by HTTP (RFC 6960 appendix A): with POST it is the
// content, with GET it is rest, what of the escaped path follows the responder's
// own and a slash.
func (r *Responder) Serve(w http.ResponseWriter, q *http.Request, rest string) {
	var request []byte
	var err error
	switch q.Method {
	case http.MethodGet, http.MethodHead:
		request, err = fromPath(rest)
	case http.MethodPost:
		if kind, _, _ := mime.ParseMediaType(q.Header.Get("Content-Type")); kind != "application/ocsp-request" {
			http.Error(w, "want Content-Type: application/ocsp-request", http.StatusUnsupportedMediaType)
			return
		}
		request, err = io.ReadAll(http.MaxBytesReader(w, q.Body, maxRequest))
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, "want GET or POST", http.StatusMethodNotAllowed)
		return
	}
	if err != nil {
		http.Error(w, "that is no OCSP request: "+err.Error(), http.StatusBadRequest)
		return
	}
	answer := r.Answer(q.Context(), request)
	h := w.Header()
	h.Set("Content-Type", "application/ocsp-response")
	h.Set("Content-Length", fmt.Sprint(len(answer.DER)))
	h.Set("Cache-Control", "no-store")
	// RFC 5019 section 5: only answers to GET are cached, until nextUpdate.
	if age := answer.NextUpdate.Sub(r.cfg.Now()); q.Method != http.MethodPost && age > 0 {
		h.Set("Cache-Control", fmt.Sprintf("max-age=%d, public, no-transform, must-revalidate", age/time.Second))
		h.Set("Expires", answer.NextUpdate.UTC().Format(http.TimeFormat))
		h.Set("Last-Modified", answer.ThisUpdate.UTC().Format(http.TimeFormat))
		h.Set("ETag", fmt.Sprintf("\"%x\"", sha256.Sum256(answer.DER)))
	}
	if q.Method != http.MethodHead {
		w.Write(answer.DER) // who has gone needs no answer
	}
}

// fromPath decodes the request in a path: base64, whose / and + may be escaped.
func fromPath(rest string) ([]byte, error) {
	if len(rest) > maxRequest {
		return nil, fmt.Errorf("the path has %d characters", len(rest))
	}
	text, err := url.PathUnescape(rest)
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(strings.TrimSuffix(text, "\n"))
}
