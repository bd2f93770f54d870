package constraint_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify/constraint"
)

func TestUnknownConstraintsAreNamed(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	for name, tt := range map[string]struct {
		der  string
		want string // "": they can be honored
	}{
		"a DNS name":       {"\x30\x07\xa0\x05\x30\x03\x82\x01a", ""},
		"excluded":         {"\x30\x07\xa1\x05\x30\x03\x82\x01a", ""},
		"a directory name": {"\x30\x08\xa0\x06\x30\x04\xa4\x02\x30\x00", "directory name"},
		"the second is":    {"\x30\x0f\xa0\x05\x30\x03\x82\x01a\xa1\x06\x30\x04\xa4\x02\x30\x00", "directory name"},
		"a registered ID":  {"\x30\x07\xa0\x05\x30\x03\x88\x01\x2a", "registered ID"},
		"a minimum":        {"\x30\x0a\xa0\x08\x30\x06\x82\x01a\x80\x01\x01", "minimum or maximum"},
	} {
		got := constraint.Unknown(root.Intermediate("CA", testpki.Extension(false, []byte(tt.der), 2, 5, 29, 30)).X509)
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q; want %q", name, got, tt.want)
		}
	}
	if got := constraint.Unknown(root.X509); got != "" {
		t.Errorf("no constraints: %q", got)
	}
	for _, der := range []string{"", "\x04\x00", "\x30\x02\xa0\x05", "\x30\x04\xa0\x02\x04\x00", "\x30\x07\xa0\x05\x30\x03\x16\x01a"} {
		c := *root.X509
		c.Extensions = slices.Clone(c.Extensions)
		c.Extensions[0].Id, c.Extensions[0].Value = []int{2, 5, 29, 30}, []byte(der)
		if got := constraint.Unknown(&c); got == "" {
			t.Errorf("%x passes", der)
		}
	}
}

func TestClaimAddsWhatASubjectClaims(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	both := constraint.Kinds{DNS: true, Email: true}
	for name, tt := range map[string]struct {
		c      *testpki.Certificate
		leaf   bool
		kinds  constraint.Kinds
		dns    []string
		emails []string
	}{
		"a name like a host's":          {root.Client("a.fleet.example"), true, both, []string{"a.fleet.example"}, nil},
		"beside a DNS name":             {root.Client("a.fleet.example", testpki.DNS("b")), true, both, []string{"b"}, nil},
		"beside an e-mail address":      {root.Client("a.b", testpki.Email("x@y")), true, both, []string{"a.b"}, []string{"x@y"}},
		"of a CA":                       {root.Client("a.fleet.example"), false, both, nil, nil},
		"nobody limits them":            {root.Client("a.fleet.example"), true, constraint.Kinds{}, nil, nil},
		"one label":                     {root.Client("device"), true, both, nil, nil},
		"no host's name":                {root.Client("device 1.2"), true, both, nil, nil},
		"a hyphen at an end of a label": {root.Client("a-.example"), true, both, nil, nil},
		"an empty label":                {root.Client("a..example"), true, both, nil, nil},
		"a dot at the end":              {root.Client("a.example."), true, both, nil, nil},
	} {
		c := *tt.c.X509
		constraint.Claim(&c, tt.leaf, tt.kinds)
		if !slices.Equal(c.DNSNames, tt.dns) || !slices.Equal(c.EmailAddresses, tt.emails) {
			t.Errorf("%s: %q %q; want %q %q", name, c.DNSNames, c.EmailAddresses, tt.dns, tt.emails)
		}
		if len(tt.c.X509.Extensions) < len(c.Extensions)-1 || len(tt.c.X509.DNSNames) > len(tt.dns) {
			t.Errorf("%s: the original was changed", name)
		}
	}
}

func TestLimitedNamesTheKinds(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	dns := root.Intermediate("A", testpki.ExcludedDNS("example")).X509
	email := root.Intermediate("B", testpki.Template(func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"example"} })).X509
	if got := constraint.Limited(root.X509, dns); got != (constraint.Kinds{DNS: true}) {
		t.Errorf("%+v", got)
	}
	if got := constraint.Limited(email).Or(constraint.Limited(dns)); got != (constraint.Kinds{DNS: true, Email: true}) {
		t.Errorf("%+v", got)
	}
}

func FuzzUnknown(f *testing.F) {
	f.Add([]byte("\x30\x07\xa0\x05\x30\x03\x82\x01a"))
	f.Add([]byte("\x30\x0a\xa0\x08\x30\x06\x82\x01a\x80\x01\x01"))
	base := testpki.NewRoot(f, "Root").X509
	f.Fuzz(func(t *testing.T, der []byte) {
		c := *base
		c.Extensions = slices.Clone(c.Extensions)
		c.Extensions[0].Id, c.Extensions[0].Value = []int{2, 5, 29, 30}, der
		constraint.Unknown(&c) // must not panic; the table says what it finds
	})
}
