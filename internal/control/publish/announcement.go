package publish

import (
	"fmt"
	"slices"

	"countersign.dev/internal/config"
	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/wire/proxyproto"
)

// announcement is what connections to targets begin with.
func (c *compiler) announcement(a *config.Announcement, path string) proxyproto.Plan {
	plan := proxyproto.Plan{Version: a.Version}
	for _, field := range a.TLVs {
		switch field {
		case "ssl":
			plan.Fields |= proxyproto.SSL
		case "ssl_client_cert":
			plan.Fields |= proxyproto.ClientCert
		case "authority":
			plan.Fields |= proxyproto.Authority
		case "alpn":
			plan.Fields |= proxyproto.ALPN
		case "unique_id":
			plan.Fields |= proxyproto.UniqueID
		case "crc32c":
			plan.Fields |= proxyproto.CRC32C
		}
	}
	for i := range a.Set {
		set := &a.Set[i]
		text, err := idheader.CompileText(set.Value)
		if err != nil {
			c.errs(fmt.Sprintf("%s.set[%d].value", path, i), err)
			continue
		}
		plan.Own[byte(set.Type)-proxyproto.FirstOwn] = text.Source()
		said := func(t *idheader.Text) bool { return t.Source() == text.Source() }
		if !slices.ContainsFunc(c.draft.Texts, said) {
			c.draft.Texts = append(c.draft.Texts, text)
		}
	}
	return plan
}
