package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"countersign.dev"
	"countersign.dev/internal/config/strictyaml"
)

// A checker holds the parts of a decoded configuration against each other. What
// is wrong with a part by itself, its tags have said.
type checker struct {
	*Config
	stores, groups names
	credentials    names
	authorities    names
	remote         map[string]placedSource // by URL
}

// names are the names of one kind of thing, with what is known of each.
type names struct {
	paths map[string]string // of the thing with the name
	used  map[string]bool
}

func (c *checker) check() {
	c.stores = c.collect("trust_stores", len(c.TrustStores), func(i int) string { return c.TrustStores[i].Name })
	c.groups = c.collect("target_groups", len(c.TargetGroups), func(i int) string { return c.TargetGroups[i].Name })
	c.credentials = c.collect("credentials", len(c.Credentials), func(i int) string { return c.Credentials[i].Name })
	c.authorities = c.collect("authorities", len(c.Authorities), func(i int) string { return c.Authorities[i].Name })
	c.collect("listeners", len(c.Listeners), func(i int) string { return c.Listeners[i].Name })

	c.Node.Admin.check(c, "node.admin")
	c.Logs.check(c)
	if h := c.Node.Health; h != nil {
		h.check(c, "node.health")
	}
	for i := range c.Listeners {
		c.Listeners[i].check(c, item("listeners", i))
	}
	for i := range c.TrustStores {
		c.TrustStores[i].check(c, item("trust_stores", i))
	}
	for i := range c.TargetGroups {
		c.TargetGroups[i].check(c, item("target_groups", i))
	}
	for i := range c.Credentials {
		c.Credentials[i].check(c, item("credentials", i))
	}
	for i := range c.Authorities {
		c.Authorities[i].check(c, item("authorities", i))
	}
	if r := c.Node.Revocation; r != nil && len(c.Authorities) == 0 {
		c.fault("node.revocation", "an address", "", "no authority has anything to publish there: leave it out")
	}
	c.devices()
	c.checkAddresses()
	if c.doc.Faults().Err() == nil { // else a name with a fault may be the one that is meant
		c.unused(c.stores, "nothing names")
		c.unused(c.groups, "no listener forwards to")
		c.unused(c.credentials, "no require names")
	}
}

// fault reports a fault, unless the value at path is refused already.
func (c *checker) fault(path, found, expected, hint string) {
	if !c.doc.Refused(path) {
		c.doc.Report(c.Fault(path, found, expected, hint))
	}
}

// collect notes the names of the n things in list, which must differ.
func (c *checker) collect(list string, n int, name func(i int) string) names {
	known := names{paths: map[string]string{}, used: map[string]bool{}}
	for i := range n {
		at := item(list, i)
		switch first, twice := known.paths[name(i)]; {
		case name(i) == "": // refused already
		case twice:
			c.fault(at+".name", quoted(name(i))+" again", "a name of its own", fmt.Sprintf("%s on line %d has it", first, c.doc.Line(first)))
		default:
			known.paths[name(i)] = at
		}
	}
	return known
}

// refer notes that the key at path names one of known, or reports that there is
// no such thing. The key may have one of words instead, which the caller knows.
func (c *checker) refer(path, name string, known names, kind string, words ...string) {
	if _, ok := known.paths[name]; ok {
		known.used[name] = true
		return
	}
	var all []string
	for n := range known.paths {
		all = append(all, n)
	}
	slices.Sort(all)
	hint := fmt.Sprintf("no %s is defined", kind)
	if near := strictyaml.Nearest(name, append(words, all...)); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	} else if len(all) > 0 {
		hint = fmt.Sprintf("%s here: %s", plural(kind), quotedList(all))
	}
	c.fault(path, quoted(name), strings.Join(append(words, "the name of "+article(kind)), " or "), hint)
}

func article(kind string) string {
	if strings.ContainsRune("aeiou", rune(kind[0])) {
		return "an " + kind
	}
	return "a " + kind
}

func plural(kind string) string {
	if stem, ok := strings.CutSuffix(kind, "y"); ok {
		return stem + "ies"
	}
	return kind + "s"
}

// unused warns of the known things that nothing refers to.
func (c *checker) unused(known names, who string) {
	for name, path := range known.paths {
		if !known.used[name] {
			c.doc.Report(c.Warn(path, fmt.Sprintf("%q, which %s", name, who), "", "it has no effect"))
		}
	}
}

func (l *Listener) check(c *checker, path string) {
	if l.Secure() && len(l.Certificates) == 0 {
		c.fault(path+".certificates", "nothing", "at least one {cert: FILE, key: FILE}", "protocol "+l.Protocol+" shows a certificate to clients")
	}
	switch l.Protocol {
	case "tls", "tcp":
		l.checkStream(c, path)
	case "http":
		hints := map[string]string{
			"certificates":     "leave it out, or use protocol https",
			"tls":              "leave it out, or use protocol https",
			"client_auth":      "leave it out, or use protocol https: without TLS no certificate can be asked for",
			"server_names":     "leave it out, or use protocol https: without TLS no certificate can be asked for",
			"identity_headers": "leave it out: nobody is known here, and what clients send under such names is removed anyway",
		}
		if l.proxied() { // who a client is, is known then
			delete(hints, "client_auth")
			delete(hints, "identity_headers")
		}
		if l.asks() {
			delete(hints, "identity_headers")
		}
		for key, hint := range hints {
			if c.doc.Has(path + "." + key) {
				c.fault(path+"."+key, key+" with protocol http", "protocol https", hint)
			}
		}
	}
	if !l.Streams() {
		l.checkExchanges(c, path)
	}
	checkEachOnce(c, l.Certificates, path)
	l.checkProxied(c, path)
	if l.Protocol != "http" && l.Protocol != "tcp" || l.proxied() {
		l.ClientAuth.check(c, path+".client_auth")
		l.checkServerNames(c, path)
	}
	l.checkHeaders(c, path)
	l.checkDevices(c, path)
	c.requirement(l.Require, path+".require", l)
	l.checkOverheard(c, path)
	l.ProxyProtocol.check(c, path+".proxy_protocol")
	l.Limits.check(c, path+".limits")
	l.checkRoutes(c, path)
}

func (p *ProxyProtocol) check(c *checker, path string) {
	switch {
	case c.doc.Refused(path + ".accept"):
	case p.Accept == "off" && c.doc.Has(path+".from"):
		c.doc.Report(c.Warn(path+".from", "networks, with accept: off", "", "it has no effect: no header is read"))
	case p.Accept != "off" && len(p.From) == 0:
		c.fault(path+".from", "nothing", "the networks of the balancers, such as 10.0.0.0/8",
			"whoever may send a PROXY header can claim to be anybody: name those who may")
	case slices.Contains(p.From, "0.0.0.0/0"), slices.Contains(p.From, "::/0"):
		c.doc.Report(c.Warn(path+".from", "every address", "the networks of the balancers", "anybody who can connect can claim to be anybody"))
	}
}

func checkEachOnce(c *checker, certificates []Certificate, path string) {
	first := map[Certificate]int{}
	for i, cert := range certificates {
		if j, twice := first[cert]; twice && cert.Cert != "" {
			c.fault(fmt.Sprintf("%s.certificates[%d]", path, i), quoted(cert.Cert)+" again", "each certificate once", fmt.Sprintf("it is certificates[%d] already", j))
			continue
		}
		first[cert] = i
	}
}

func (l *Listener) checkServerNames(c *checker, path string) {
	first := map[string]string{}
	for i := range l.ServerNames {
		at := fmt.Sprintf("%s.server_names[%d]", path, i)
		a := &l.ServerNames[i].ClientAuth
		a.check(c, at+".client_auth")
		if a.Mode == countersign.ClientAuthProxied {
			c.fault(at+".client_auth.mode", "proxied", "off, passthrough, optional or verify", "a balancer's word is for a whole listener: its client_auth")
		}
		for j, name := range l.ServerNames[i].Names {
			entry := fmt.Sprintf("%s.names[%d]", at, j)
			if other, twice := first[name]; twice && other != at {
				c.fault(entry, quoted(name)+" again", "each name in one policy", fmt.Sprintf("%s on line %d has it", other, c.doc.Line(other)))
				continue
			}
			first[name] = at
		}
	}
}

func (l *Listener) checkHeaders(c *checker, path string) {
	first := map[string]int{}
	for i := range l.IdentityHeaders {
		h, at := &l.IdentityHeaders[i], item(path+".identity_headers", i)
		if t := h.Token; t != nil {
			if h.Set != "" || h.Value != "" {
				c.fault(at, "token beside set or value", "one of both", "make them two entries of the list")
			}
			t.check(c, at+".token")
			h.Dialect = "token"
		}
		name := h.Dialect + foldHeader(h.Set)
		if name == "" {
			continue // refused already
		}
		if j, twice := first[name]; twice {
			c.fault(at, quoted(h.Dialect+h.Set)+" again", "each once", fmt.Sprintf("it is identity_headers[%d] already", j))
			continue
		}
		first[name] = i
		if h.Dialect == "token" && h.Token == nil {
			h.Token = plainToken()
		}
	}
}

// checkAddresses reports addresses that cannot both be listened at.
func (c *checker) checkAddresses() {
	type bound struct{ path, address string }
	taken := []bound{{"node.admin.address", c.Node.Admin.Address}}
	var more []bound
	if r := c.Node.Revocation; r != nil {
		more = append(more, bound{"node.revocation.address", r.Address})
	}
	for i, l := range c.Listeners {
		more = append(more, bound{item("listeners", i) + ".address", l.Address})
	}
	for _, l := range more {
		at := l.path
		for _, other := range taken {
			// Port 0 is another port each time, but a reload finds a listener's socket
			// by its address as written.
			same := other.address == l.address && !strings.HasPrefix(other.path, "node.")
			if same && l.address != "" || clash(other.address, l.address) {
				hint := fmt.Sprintf("%s is at %s already", other.path, other.address)
				if line := c.doc.Line(other.path); c.doc.Has(other.path) {
					hint = fmt.Sprintf("%s on line %d is at %s already", other.path, line, other.address)
				}
				c.fault(at, quoted(l.address), "an address of its own", hint)
				break
			}
		}
		taken = append(taken, l)
	}
}

// clash reports whether a and b, as rule address leaves them, share a socket:
// the same port, and the same host or one that stands for all.
func clash(a, b string) bool {
	hostA, portA, okA := splitAddress(a)
	hostB, portB, okB := splitAddress(b)
	if !okA || !okB || portA != portB || portA == 0 {
		return false
	}
	everyV4 := netip.IPv4Unspecified()
	switch {
	case !hostA.IsValid() || !hostB.IsValid(): // every address
		return true
	case hostA == everyV4 || hostB == everyV4:
		return hostA.Is4() && hostB.Is4()
	}
	return hostA == hostB
}

func item(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

func quoted(s string) string { return strconv.Quote(s) }

func sized(n int64) string {
	for shift, suffix := range []string{"B", "KiB", "MiB", "GiB"} {
		if unit := int64(1) << (10 * shift); n < unit<<10 || n%(unit<<10) != 0 {
			return strconv.FormatInt(n/unit, 10) + suffix
		}
	}
	return strconv.FormatInt(n, 10)
}
