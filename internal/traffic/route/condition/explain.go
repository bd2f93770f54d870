package condition

import (
	"fmt"
	"strings"

	"countersign.dev/internal/traffic/route/pattern"
)

// Explain says which condition of c is the first that is not met, as the configuration
// calls it, and what q has instead of what is wanted: nothing if c is met.
func (c *Set) Explain(q *Question, n *Notes, path []byte) (condition, found, wanted string) {
	if c == nil {
		return "", "", ""
	}
	p, nth := c.unmet(q, n, path)
	switch p {
	case met:
		return "", "", ""
	case partHost:
		host := q.ServerName
		if q.Request != nil {
			host = string(q.Host())
		}
		return "host", fmt.Sprintf("%q", host), oneOf(c.Host)
	case partPath:
		return "path", fmt.Sprintf("%q", path), oneOf(c.Path)
	case partMethod:
		return "method", string(q.Request.Method), strings.Join(c.Method, " or ")
	case partSource:
		return "source_ip", q.Source.String(), join(c.Source)
	case partClient:
		return c.Client.describe(q)
	case partHeader:
		var values []string
		n.named(q.Request, &c.Header[nth], func(v []byte) bool { values = append(values, fmt.Sprintf("%q", v)); return false })
		return "header " + c.Header[nth].Name, list(values), oneOf(c.Header[nth].Values)
	case partQuery:
		var values []string
		for _, p := range n.pairs(q.Request) {
			if strings.EqualFold(string(p.name), c.Query[nth].Name) {
				values = append(values, fmt.Sprintf("%q", p.value))
			}
		}
		return "query " + c.Query[nth].Name, list(values), oneOf(c.Query[nth].Values)
	}
	return "not", "a request that meets all that not has", "one that does not"
}

func (c *Client) describe(q *Question) (condition, found, wanted string) {
	name := c.unmet(q)
	condition = "client." + name
	if name == "verified" {
		if c.Verified != nil && !*c.Verified {
			return condition, "a verified certificate", "none"
		}
		return condition, "no verified certificate", "one"
	}
	if name == "device_state" {
		word := q.Device.Word()
		if word == "" {
			word = "no device"
		}
		return condition, word, strings.Join(c.DeviceState, " or ")
	}
	id := q.Client.Identity()
	switch name {
	case "fingerprint":
		return condition, fmt.Sprintf("sha256:%x", id.Fingerprint), fmt.Sprintf("one of %d others", len(c.Fingerprint))
	case "subject_cn":
		return condition, quoted(id.CommonNames), oneOf(c.SubjectCN)
	case "subject_ou":
		return condition, quoted(id.OrganizationalUnits), oneOf(c.SubjectOU)
	case "san_dns":
		return condition, quoted(id.DNSNames), oneOf(c.SANDNS)
	case "san_uri":
		return condition, quoted(id.URIs), oneOf(c.SANURI)
	}
	return condition, fmt.Sprintf("the issuer %s", id.Issuer), oneOf(c.IssuerCN)
}

func oneOf(patterns []*pattern.Pattern) string {
	return strings.ReplaceAll(join(patterns), ", ", " or ")
}

func join[T fmt.Stringer](all []T) string {
	texts := make([]string, len(all))
	for i, v := range all {
		texts[i] = v.String()
	}
	return strings.Join(texts, ", ")
}

func quoted(values []string) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprintf("%q", v)
	}
	return list(texts)
}

func list(values []string) string {
	if len(values) == 0 {
		return "none"
	}
	return strings.Join(values, ", ")
}
