package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// check holds conditions against what the listener can know of a client.
func (w *Conditions) check(c *checker, l *Listener, path string, within bool) {
	if within && w.Not != nil {
		c.fault(path+".not", "not within not", "one of them", "write the conditions without either")
	}
	if w.empty() && !c.doc.Refused(path) {
		c.fault(path, "no condition", "at least one", "leave the key out to take every request")
	}
	if l.Streams() {
		for key, is := range map[string]bool{"path": len(w.Path) > 0, "method": len(w.Method) > 0, "query": len(w.Query) > 0, "header": len(w.Header) > 0} {
			if is {
				c.fault(path+"."+key, key+" with protocol "+l.Protocol, "host, source_ip or client", "bytes have no requests")
			}
		}
	}
	if w.Client != nil {
		w.Client.check(c, l, path+".client")
	}
	if w.Not != nil {
		w.Not.check(c, l, path+".not", true)
	}
}

func (w *Conditions) empty() bool {
	return len(w.Host)+len(w.Path)+len(w.Method)+len(w.Query)+len(w.Header)+len(w.SourceIP) == 0 && w.Client == nil && w.Not == nil
}

func (w *ClientConditions) check(c *checker, l *Listener, path string) {
	if !w.Certified() && w.Verified == "" && len(w.DeviceState) == 0 && !c.doc.Refused(path) {
		c.fault(path, "no condition", "at least one", "verified: true is every client with a certificate that was verified")
	}
	if w.Verified == "false" && len(w.SubjectCN)+len(w.SubjectOU)+len(w.SANDNS)+len(w.SANURI)+len(w.IssuerCN)+len(w.Fingerprint) > 0 {
		c.fault(path+".verified", "false, beside what a certificate says", "one of the two", "what a certificate says that was not verified is the client's own claim, and never met")
	}
	if w.Certified() && !l.verifies() && !c.doc.Refused(path) {
		c.fault(path, "a condition on certificates, where none is verified", "client_auth with mode optional or verify", "it could never be met: this listener lets nobody prove who he is")
	}
	if len(w.DeviceState) > 0 && l.Devices == "off" {
		c.fault(path+".device_state", "a condition on devices, with devices: off", "devices: annotate or enforce", "the listener does not ask which device a client is")
	}
}

// regexPrefix begins a value that is a regular expression.
const regexPrefix = "regex:"

// pattern takes any text, and expressions that compile.
func pattern(s string) (clean, hint string, ok bool) {
	source, is := strings.CutPrefix(s, regexPrefix)
	if !is {
		return s, "", true
	}
	if len(source) > 512 {
		return "", "an expression has 512 characters at most", false
	}
	if _, err := regexp.Compile(source); err != nil || source == "" {
		return "", "the expression does not compile: " + strings.TrimPrefix(fmt.Sprint(err), "error parsing regexp: "), false
	}
	return s, "", true
}

// hostPattern normalizes the pattern of a host.
func hostPattern(s string) (clean, hint string, ok bool) {
	if strings.HasPrefix(s, regexPrefix) {
		return pattern(s)
	}
	clean = strings.ToLower(strings.TrimSuffix(s, "."))
	outside := func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-_.*?[]:", r) }
	switch {
	case strings.Contains(clean, "://"), strings.Contains(clean, "/"):
		return "", "write the host alone; path is a condition of its own", false
	case strings.ContainsFunc(clean, func(r rune) bool { return r > 127 }):
		return "", "write an international name as clients send it: xn--...", false
	case strings.Contains(clean, ":") && !strings.HasPrefix(clean, "["), strings.Contains(clean, "]:"):
		return "", "a host is compared without its port", false
	}
	return clean, "", !strings.ContainsFunc(clean, outside)
}

// pathPattern takes what a path can look like.
func pathPattern(s string) (clean, hint string, ok bool) {
	switch {
	case strings.HasPrefix(s, regexPrefix):
		return pattern(s)
	case !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "*"):
		return "", "it begins with / or *", false
	case strings.Contains(s, "#"):
		return "", "a fragment (#...) is not sent; write # as %23", false
	case strings.ContainsAny(s, " "):
		return "", "write a blank as %20", false
	}
	return s, "", true
}

var methodForm = regexp.MustCompile("^[A-Z0-9!#$%&'*+.^_`|~-]{1,32}$")

// method takes the name of a method, which is in capitals for all that are in use.
func method(s string) (clean, hint string, ok bool) {
	switch {
	case s == "TRACE" || s == "CONNECT":
		return "", s + " is refused before any rule is asked", false
	case !methodForm.MatchString(s):
		return "", "methods are in capitals", false
	}
	return s, "", true
}

// fieldName normalizes the name of a field that a rule looks at.
func fieldName(s string) (clean, hint string, ok bool) {
	clean = strings.ToLower(s)
	switch {
	case !tokenForm.MatchString(s):
		return "", "letters, digits and - are best", false
	case clean == "host":
		return "", "host is a condition of its own", false
	case clean == "x-forwarded-for":
		return "", "anybody can send that field: source_ip is where a request comes from", false
	}
	return clean, "", true
}

var mediaForm = regexp.MustCompile(`^[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}(;[ -~]{1,128})?$`)

func mediaType(s string) (clean, hint string, ok bool) { return s, "", mediaForm.MatchString(s) }

// sentence is a number with what it counts; unit "" for a number alone.
func sentence(n int, unit string) string {
	switch {
	case unit == "":
		return strconv.Itoa(n)
	case n == 1:
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
