package origin

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"countersign.dev/internal/control/source/reach"
)

// A Spec says where a source is and how it is asked. Its URL is its identity.
type Spec struct {
	URL      string        // https://... or s3://BUCKET/KEY[?versionId=ID]
	CA       string        // PEM file with the authorities of the server's certificate; "": the system's
	Endpoint string        // of s3://; "": AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or AWS
	Region   string        // of s3://; "": AWS_REGION, AWS_DEFAULT_REGION, or what the server says
	Timeout  time.Duration // of one fetch
	Limit    int64         // of the content, in bytes
	Keys     bool          // the content is a JWK set, not certificates or lists of them
	// Reach is whom a URL that a certificate names may lead to: then it may begin
	// with http:// too, since what it has is signed. nil: the URL is configured.
	Reach *reach.Hosts
}

// Name is the URL as it may be told: a query may be a secret, as that of a
// presigned URL is.
func (s Spec) Name() string {
	place, query, ok := strings.Cut(s.URL, "?")
	if ok && !strings.HasPrefix(query, "versionId=") {
		sum := sha256.Sum256([]byte(query)) // tells two such URLs apart
		return fmt.Sprintf("%s?...%x", place, sum[:4])
	}
	return s.URL
}

// s3 returns bucket, key and version of s3://BUCKET/KEY[?versionId=ID].
func (s Spec) s3() (bucket, key, version string, ok bool) {
	rest, ok := strings.CutPrefix(s.URL, "s3://")
	rest, version, _ = strings.Cut(rest, "?versionId=")
	bucket, key, _ = strings.Cut(rest, "/")
	return bucket, key, version, ok
}
