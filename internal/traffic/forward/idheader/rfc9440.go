package idheader

import "encoding/base64"

const (
	rfc9440Cert  = "Client-Cert"
	rfc9440Chain = "Client-Cert-Chain"
)

// rfc9440 is RFC 9440: the leaf as a Byte Sequence, the rest of the chain, if
// there is more, as a List of them (RFC 8941 sections 3.3.5 and 3.1).
func rfc9440() dialect {
	return dialect{
		name:   RFC9440,
		fields: []string{rfc9440Cert, rfc9440Chain},
		render: func(o *output) {
			if o.standing == nameless {
				return
			}
			var chain []byte
			for i, c := range o.certificates() {
				if i > 1 {
					chain = append(chain, ", "...)
				}
				chain = append(chain, ':')
				chain = base64.StdEncoding.AppendEncode(chain, c.Raw)
				chain = append(chain, ':')
				if i == 0 {
					o.set(rfc9440Cert, chain)
					chain = chain[:0]
				}
			}
			if len(chain) > 0 {
				o.set(rfc9440Chain, chain)
			}
		},
	}
}
