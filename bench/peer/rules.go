package peer

import "fmt"

// RuleLines are as many rules as Rules says, with conditions of every kind, none of
// which a request of the load meets: each is asked for each.
func (s Site) RuleLines() []string {
	kinds := []string{
		`path: "/area-%d/*"`,
		`host: ["*.host-%d.example.com", "host-%[1]d.example.com"]`,
		`method: [M%d, PUT], path: "/*"`,
		`header: {X-Beta: "on-%d.*"}`,
		`query: {version: "%d"}`,
		`source_ip: "10.%d.0.0/16"`,
		`client: {subject_cn: "ops-%d-*"}`,
		`client: {san_uri: "spiffe://ops/%d/*", issuer_cn: "Ops"}`,
		`path: "regex:^/r%d/[a-z]+/[0-9]{1,9}$"`,
		`path: "/n%d/*/x", not: {method: GET}`,
	}
	lines := make([]string, s.Rules)
	for i := range lines {
		lines[i] = "{when: {" + fmt.Sprintf(kinds[i%len(kinds)], i) + "}, forward: backend}"
	}
	return lines
}
