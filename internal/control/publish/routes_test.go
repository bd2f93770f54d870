package publish_test

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// What is wrong with rules beyond their words: templates, and rules that nothing
// reaches.
func TestFaultsOfRules(t *testing.T) {
	for name, tt := range map[string]struct {
		rules string // one a line
		want  []string
	}{
		"good": {rules: `
{when: {path: "/a/b/*"}, forward: app}
{when: {path: "/a/*"}, forward: app}
{when: {path: "/a?*", method: GET}, forward: app}
{when: {path: "regex:^/a/[0-9]+$"}, redirect: "/b/#{path}"}
{when: {host: "*.example.com", client: {subject_cn: "a*"}}, rewrite: {host: "#{host.1}", path: "/x"}, forward: app}
{when: {host: "x.example.com"}, redirect: "https://y.example.com/#{path}"}
{when: {path: "/old"}, redirect: "/new?a=b"}
{forward: app}`},
		"shadowed": {rules: `
{name: wide, when: {path: ["/a/*", "/b"]}, forward: app}
{when: {path: "/a/b/*", method: GET}, forward: app}
{when: {path: "/b", client: {verified: true}}, forward: app}
{when: {path: "/a"}, forward: app}`, want: []string{
			`listeners[0].rules[1]: found a rule that no request ever reaches: rule wide takes them all, expected the rule that takes less first; put it before rules[0], or leave it out`,
			`listeners[0].rules[2]: found a rule that no request ever reaches: rule wide takes them all, expected the rule that takes less first; put it before rules[0], or leave it out`,
		}},
		"behind one without conditions": {rules: `
{forward: app}
{when: {method: GET}, forward: app}`, want: []string{
			`listeners[0].rules[1]: found a rule that no request ever reaches: rule 1 takes them all, expected the rule that takes less first; put it before rules[0], or leave it out`,
		}},
		"shadowed by who asks": {rules: `
{when: {client: {verified: true}, source_ip: 10.0.0.0/8, header: {X-A: "a*"}, query: {q: "*"}}, forward: app}
{when: {client: {san_uri: "spiffe://x"}, source_ip: [10.1.0.0/16, 10.2.3.4], header: {x-a: "ab"}, query: {Q: "1"}, not: {method: PUT}}, forward: app}
{when: {client: {san_uri: "spiffe://x"}, source_ip: [10.1.0.0/16, 11.2.3.4], header: {x-a: "ab"}, query: {Q: "1"}}, forward: app}
{when: {not: {path: ["/a/*", "/b"]}}, forward: app}
{when: {not: {path: ["/a/*", "/b", "/c"]}}, forward: app}
{when: {not: {path: "/a/*"}}, forward: app}`, want: []string{
			`listeners[0].rules[1]: found a rule that no request ever reaches: rule 1 takes them all, expected the rule that takes less first; put it before rules[0], or leave it out`,
			`listeners[0].rules[4]: found a rule that no request ever reaches: rule 4 takes them all, expected the rule that takes less first; put it before rules[3], or leave it out`,
		}},
		"paths that are never seen": {rules: `
{when: {path: "/a//b"}, forward: app}
{when: {path: "/a/../b*"}, forward: app}`, want: []string{
			`listeners[0].rules[0].when.path[0]: found "/a//b", expected "/a/b"; paths are compared after . and .. and double slashes are resolved: this one would never be seen`,
			`listeners[0].rules[1].when.path[0]: found "/a/../b*", expected "/b*"; paths are compared after . and .. and double slashes are resolved: this one would never be seen`,
		}},
		"expressions": {rules: `
{when: {path: ["/x", "regex:[^a-z]{1,900}b"]}, forward: app}`, want: []string{
			`listeners[0].rules[0].when.path[1]: found "regex:[^a-z]{1,900}b", expected a pattern that compiles; the expression compiles to 1802 instructions, expected at most 1000; counted repetitions such as x{1,500} are what makes it large`,
		}},
		"templates": {rules: `
{when: {path: "/a"}, redirect: "https://example.com#{path}/#{nope}"}
{when: {path: "/b/*"}, redirect: "/#{2}"}
{when: {host: "x"}, redirect: "/#{1}"}
{when: {path: "/c"}, rewrite: {path: "x", host: "#{path}"}, forward: app}
{when: {path: "/d*"}, redirect: "https://example.com#{1}"}`, want: []string{
			`listeners[0].rules[0].redirect.to: found "https://example.com#{path}/#{nope}", expected a text with variables such as #{path}; #{nope} is no variable; there are #{protocol}, #{host}, #{port}, #{path}, #{query}, #{1} to #{9} for what a pattern of path left open, #{host.1} to #{host.9} of host`,
			`listeners[0].rules[1].redirect.to: found #{2}, but "/b/*" has 1 of * or groups, expected as many as are used`,
			`listeners[0].rules[2].redirect.to: found #{1} without a condition on path, expected when: {path: PATTERN}; it is what * or a group of that pattern stood for`,
			`listeners[0].rules[3].rewrite.path: found "x", expected a text with variables such as #{path}; "x" does not begin with a slash, nor with #{path}`,
			`listeners[0].rules[3].rewrite.host: found "#{path}", expected a text with variables such as #{path}; a host is made of #{host}, #{port}, #{host.1} to #{host.9} and text: a path is not one`,
			`listeners[0].rules[4].redirect.to: found "https://example.com#{1}", expected a text with variables such as #{path}; the host is "example.com#{1}": what a client sends would become a part of it; put a slash before the variable`,
		}},
		"loops": {rules: `
{when: {path: "/a/*"}, redirect: "#{path}?#{query}"}
{when: {path: "/b/*"}, redirect: "/b/c"}
{when: {host: "*.example.com", path: "/c"}, redirect: "https://www.example.com:8443/c"}
{when: {path: "/d/*", method: GET}, redirect: "/d/c"}
{when: {host: "*.example.com", path: "/e"}, redirect: "https://www.example.com/e"}`, want: []string{
			`listeners[0].rules[0].redirect.to: found "#{path}?#{query}", expected another protocol, host, port, path or query; clients would be sent where they are, again and again`,
			`listeners[0].rules[1].redirect.to: found "/b/c", expected another protocol, host, port, path or query; clients would be sent where they are, again and again`,
			`listeners[0].rules[2].redirect.to: found "https://www.example.com:8443/c", expected another protocol, host, port, path or query; clients would be sent where they are, again and again`,
		}},
		"files": {rules: `
{when: {path: "/a"}, respond: {file: missing.html}}`, want: []string{
			`listeners[0].rules[0].respond.file: found missing.html, which cannot be read (no such file or directory), expected a readable file`,
		}},
		"the way back": {rules: `
{when: {path: "/a"}, redirect: "http://#{host}/"}`, want: []string{
			`warning: listeners[0].rules[0].redirect.to: found "http://#{host}/", expected https://; clients of https are sent to where anybody on the way can read`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			var rules strings.Builder
			rules.WriteString("    rules:\n")
			for line := range strings.Lines(strings.TrimSpace(tt.rules)) {
				rules.WriteString("      - " + strings.TrimSpace(line) + "\n")
			}
			config := with(goodConfig, "127.0.0.1:0", "127.0.0.1:8443", "    default: {forward: app}\n", rules.String()+"    default: {forward: app}\n")
			_, got := f.compile(config)
			var lines []string
			for line := range strings.Lines(got) {
				_, sentence, _ := strings.Cut(strings.TrimSpace(line), " ") // without the place
				if !strings.HasPrefix(line, "countersign.yaml:") {
					t.Errorf("a fault without a place: %q", line)
				}
				lines = append(lines, sentence)
			}
			if diff := gocmp.Diff(tt.want, lines); diff != "" {
				t.Errorf("faults (- wanted, + got):\n%s", diff)
			}
		})
	}
}
