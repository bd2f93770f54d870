package config

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Source is a file, or where a file is fetched from. It may be written as the
// path or the URL alone. What is fetched needs node.data_dir.
type Source struct {
	// URL is a path, or an https:// or s3:// URL: s3://BUCKET/KEY, with
	// ?versionId=ID for one version of it. In crls, cdp stands for the
	// distribution points that clients' certificates name, as far as
	// revocation.hosts allows; ./cdp is a file of that name.
	URL string `yaml:"url,required,alone" is:"source"`

	// CA is a PEM file with the authorities of the server's certificate. Left
	// out: those of the system.
	CA string `yaml:"ca" is:"file"`

	// Timeout bounds one fetch, from the name look-up to the last byte.
	// Default 30s.
	Timeout time.Duration `yaml:"timeout" default:"30s" range:"1ms..1h"`

	// Endpoint is the server of s3://, such as https://minio.example.com:9000.
	// Left out: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or that of AWS.
	Endpoint string `yaml:"endpoint" is:"endpoint"`

	// Region is the one of s3://. Left out: AWS_REGION, AWS_DEFAULT_REGION, or
	// what the server says.
	Region string `yaml:"region"`
}

// Remote reports whether the source is fetched from a URL that is configured.
func (s Source) Remote() bool { return strings.Contains(s.URL, "://") && !s.Points() }

// Points reports whether the source is whatever the distribution points of
// clients' certificates have.
func (s Source) Points() bool { return s.URL == points }

// written is the URL as it is written.
func (s Source) written() string {
	if s.Points() {
		return "cdp"
	}
	return s.URL
}

// points is what cdp becomes, which no file and no other URL can be.
const points = "cdp://"

const (
	bundleForms = "a file, an https:// or an s3:// URL"
	sourceForms = bundleForms + ", or cdp in crls"
)

// source resolves the path of a file, or normalizes a URL.
func (r *rules) source(s string) (clean, hint string, ok bool) {
	scheme, rest, isURL := strings.Cut(s, "://")
	switch {
	case s == "cdp":
		return points, "", true
	case !isURL:
		clean = r.resolve(s)
		r.files = append(r.files, clean)
		return clean, "", true
	case scheme == "file":
		return "", "write the path alone", false
	case scheme == "http":
		return "", "nobody vouches for what comes over http://: https://", false
	}
	if scheme == "s3" {
		return s3Object(rest)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "", "it is no URL", false
	case u.User != nil:
		return "", "a URL has no password here, it would be in logs", false
	case u.Fragment != "" || strings.HasSuffix(s, "#"):
		return "", "a URL has no # here", false
	case scheme != "https" || u.Hostname() == "":
		return "", "", false
	}
	if hint, ok := goodPort(u); !ok {
		return "", hint, false
	}
	u.Host = strings.ToLower(u.Host)
	return u.String(), "", true
}

// s3Object checks s3://BUCKET/KEY. The key is what is written, as with other
// programs: a % in it stands for itself.
func s3Object(rest string) (clean, hint string, ok bool) {
	object, query, versioned := strings.Cut(rest, "?")
	bucket, key, _ := strings.Cut(object, "/")
	version, known := strings.CutPrefix(query, "versionId=")
	switch {
	case bucket == "" || key == "" || strings.HasSuffix(key, "/"):
		return "", "s3://BUCKET/KEY names one object", false
	case versioned && (!known || version == ""):
		return "", "the only thing behind ? is versionId=ID", false
	}
	return "s3://" + rest, "", true
}

func goodPort(u *url.URL) (hint string, ok bool) {
	if port := u.Port(); port != "" && !isPort(port) {
		return "a port is a number from 1 to 65535", false
	}
	return "", true
}

// endpoint normalizes the address of an S3 server.
func endpoint(s string) (clean, hint string, ok bool) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "":
		return "", "", false
	case u.Scheme == "http":
		return "", "nobody vouches for what comes over http://: https://", false
	case u.Scheme != "https" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return "", "", false
	}
	if hint, ok := goodPort(u); !ok {
		return "", hint, false
	}
	return "https://" + strings.ToLower(u.Host), "", true
}

// sources checks a list of sources at path; refresh is the path of the key that
// says how often they are asked for.
func (c *checker) sources(list []Source, path, refresh string) {
	first, remote := map[string]int{}, false
	for i, s := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if s.URL == "" || c.doc.Refused(at) || c.doc.Refused(at+".url") {
			continue
		}
		if _, twice := first[s.URL]; twice {
			c.fault(at, quoted(s.written())+" again", "each value once", "")
			continue
		}
		first[s.URL] = i
		if s.Points() && strings.HasSuffix(path, ".ca_bundle") {
			c.fault(at, quoted("cdp"), bundleForms, "distribution points have revocation lists, not authorities; ./cdp is a file of that name")
			continue
		}
		c.placed(s, at)
		switch {
		case s.Points():
			remote = true
			c.needDataDir(at)
		case s.Remote():
			remote = true
			c.fetched(s, at)
		}
	}
	if !remote && c.doc.Has(refresh) {
		c.doc.Report(c.Warn(refresh, "how often nothing is asked for", "", "files are read when they change, only URLs are asked for"))
	}
}

// placed refuses the keys of a source that are for another kind of it.
func (c *checker) placed(s Source, at string) {
	fetched, s3 := s.Remote() || s.Points(), strings.HasPrefix(s.URL, "s3://")
	for key, applies := range map[string]bool{"ca": fetched, "timeout": fetched, "endpoint": s3, "region": s3} {
		if !applies && c.doc.Has(at+"."+key) {
			kind := "a file"
			switch {
			case s.Points():
				kind = "cdp"
			case s.Remote():
				kind = "an https:// URL"
			}
			c.fault(at+"."+key, key+" with "+kind, "", "leave it out")
		}
	}
}

// fetched notes a source that is a URL. In two places it has to mean the same.
func (c *checker) fetched(s Source, at string) {
	c.needDataDir(at)
	if other, ok := c.remote[s.URL]; ok && other.source != s {
		c.fault(at, quoted(s.URL)+" with other settings", "the same settings wherever a URL is", fmt.Sprintf("%s on line %s has it", other.path, strconv.Itoa(c.doc.Line(other.path))))
		return
	}
	if c.remote == nil {
		c.remote = map[string]placedSource{}
	}
	c.remote[s.URL] = placedSource{s, at}
}

// needDataDir reports, once, that there is no place for what is fetched.
func (c *checker) needDataDir(at string) {
	if c.Node.DataDir == "" && !c.doc.Refused("node.data_dir") {
		c.fault("node.data_dir", "nothing", "a directory", at+" is fetched, and its last good copy is kept for a start without network")
	}
}

// A placedSource is a source with the path of its key.
type placedSource struct {
	source Source
	path   string
}

// responder checks the URL of an OCSP responder. What it answers is signed, so
// that http:// is as good as https://, whose certificate may need its answers.
func responder(s string) (clean, hint string, ok bool) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", "", false
	case u.User != nil:
		return "", "a URL has no password here, it would be in logs", false
	case u.Fragment != "" || strings.HasSuffix(s, "#"):
		return "", "a URL has no # here", false
	}
	if hint, ok := goodPort(u); !ok {
		return "", hint, false
	}
	u.Host = strings.ToLower(u.Host)
	return u.String(), "", true
}
