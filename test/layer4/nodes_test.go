package layer4

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testrequire"
	"countersign.dev/test/gateway"
)

// A node is countersign as a process in a network namespace, with an application
// that it alone leads to.
type node struct {
	address string // of its listener
	cmd     *exec.Cmd
	sick    atomic.Bool // its application
}

// namespace makes one that a cable leads to; ours and its are the ends.
func namespace(t *testing.T, i int) (name, ours, its string) {
	t.Helper()
	ip := testrequire.Program(t, "ip")
	name = fmt.Sprintf("l4-%d-%d", os.Getpid(), i)
	cable := fmt.Sprintf("l%d-%d", os.Getpid()%100_000, i)
	ours, its = fmt.Sprintf("10.213.%d.%d", os.Getpid()%250, 4*i+1), fmt.Sprintf("10.213.%d.%d", os.Getpid()%250, 4*i+2)
	out, err := exec.Command(ip, "netns", "add", name).CombinedOutput()
	if err != nil {
		testrequire.Right(t, "network namespaces", fmt.Errorf("%w: %s", err, out))
	}
	t.Cleanup(func() { exec.Command(ip, "netns", "del", name).Run() })
	for _, command := range []string{
		"link add " + cable + " type veth peer name eth0 netns " + name,
		"address add " + ours + "/30 dev " + cable,
		"link set " + cable + " up",
		"-n " + name + " address add " + its + "/30 dev eth0",
		"-n " + name + " link set eth0 up",
		"-n " + name + " link set lo up",
	} {
		if out, err := exec.Command(ip, strings.Fields(command)...).CombinedOutput(); err != nil {
			testrequire.Right(t, "network namespaces", fmt.Errorf("ip %s: %w: %s", command, err, out))
		}
	}
	return name, ours, its
}

// startNode starts one behind a balancer that tells the clients' addresses.
func startNode(t *testing.T, program string, g *gateway.Gateway, i int) *node {
	t.Helper()
	name, ours, its := namespace(t, i)
	n := &node{address: its + ":8443"}
	ln, err := net.Listen("tcp", ours+":0")
	if err != nil {
		t.Fatal(err)
	}
	app := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if n.sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintf(w, "%d %s", i, q.Header.Get("X-Forwarded-For"))
	})}
	done := make(chan struct{})
	go func() { defer close(done); app.Serve(ln) }()
	t.Cleanup(func() { app.Close(); <-done })
	dir := t.TempDir()
	g.Web.Server("localhost").Write(dir, "server")
	testpki.WriteFile(t, filepath.Join(dir, "ca.crt"), g.Fleet.PEM())
	file := filepath.Join(dir, "countersign.yaml")
	testpki.WriteFile(t, file, []byte(`
node: {admin: off}
logs: {program: {level: warn}}
listeners:
  - name: node
    address: "`+n.address+`"
    protocol: https
    certificates: {cert: server.crt, key: server.key}
    proxy_protocol: {accept: required, from: "`+ours+`"}
    client_auth: {mode: verify, trust_store: fleet}
    default: {forward: app}
trust_stores: [{name: fleet, ca_bundle: ca.crt}]
target_groups: [{name: app, targets: "`+ln.Addr().String()+`"}]
`))
	n.cmd = run(t, n.address, testrequire.Program(t, "ip"), "netns", "exec", name, program, "serve", "-c", file)
	return n
}

// A caller asks again and again on one connection, and knows who answers.
type caller struct {
	by     string
	asked  atomic.Int64
	failed error
}

func (c *caller) call(conn net.Conn, in *bufio.Reader) error {
	conn.SetDeadline(time.Now().Add(gateway.Patience))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	by, client, _ := strings.Cut(string(body), " ")
	if res.StatusCode != 200 || client != "127.0.0.1" || c.by != "" && c.by != by {
		return fmt.Errorf("%s %q, was served by %s", res.Status, body, c.by)
	}
	if c.by == "" { // the first call; later ones are made beside who reads it
		c.by = by
	}
	return nil
}

// Whoever is at a node that dies loses the connection, and nobody else does.
func TestThreeNodesBehindABalancerOfBytes(t *testing.T) {
	g := gateway.New(t)
	program := filepath.Join(t.TempDir(), "countersign")
	build := exec.Command("go", "build", "-o", program, "countersign.dev/cmd/countersign")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var nodes []*node
	var targets []string
	for i := range 3 {
		n := startNode(t, program, g, i)
		nodes, targets = append(nodes, n), append(targets, `"`+n.address+`"`)
	}
	own := g.Fleet.Client("balancer")
	g.Write("own.crt", testpki.PEM(own.Chain()...))
	g.Write("own.key", own.KeyPEM())
	g.Write("web.crt", g.Web.PEM())
	type change struct {
		target  string
		healthy bool
	}
	changes := make(chan change, 100)
	g.OnHealth = func(target string, healthy bool) { changes <- change{target, healthy} }
	await := func(target string, healthy bool) {
		t.Helper()
		for {
			select {
			case c := <-changes:
				if c == (change{target, healthy}) {
					return
				}
			case <-time.After(gateway.Patience):
				t.Fatalf("%s did not become healthy: %t", target, healthy)
			}
		}
	}
	g.Start(`
node: {admin: off}
listeners: [{name: bytes, address: "127.0.0.1:0", protocol: tcp, default: {forward: nodes}}]
target_groups:
  - name: nodes
    protocol: tcp
    targets: [` + strings.Join(targets, ", ") + `]
    proxy_protocol: {version: 2}
    health_check:
      {protocol: https, path: /healthz, interval: 200ms, timeout: 200ms, healthy: 1, unhealthy: 1,
       tls: {ca_bundle: web.crt, server_name: localhost, certificate: {cert: own.crt, key: own.key}}}
`)
	for healthy := map[string]bool{}; len(healthy) < len(nodes); {
		select {
		case c := <-changes:
			if c.healthy {
				healthy[c.target] = true
			}
		case <-time.After(gateway.Patience):
			t.Fatalf("healthy are %v alone", healthy)
		}
	}

	// The check reaches the application.
	nodes[2].sick.Store(true)
	await(nodes[2].address, false)
	nodes[2].sick.Store(false)
	await(nodes[2].address, true)

	cert := g.Fleet.Client("MacID-1")
	open := func() (*tls.Conn, error) { return dial(t, g, g.Address("127.0.0.1:0"), cert) }
	var callers []*caller
	var calling sync.WaitGroup
	over := make(chan struct{})
	for range 12 {
		conn, err := open()
		if err != nil {
			t.Fatal(err)
		}
		c, in := new(caller), bufio.NewReader(conn)
		if err := c.call(conn, in); err != nil {
			t.Fatal(err)
		}
		callers = append(callers, c)
		calling.Go(func() {
			for c.failed == nil {
				select {
				case <-over:
					return
				default:
				}
				c.failed = c.call(conn, in)
				c.asked.Add(1)
			}
		})
	}
	var at [3]int
	for _, c := range callers {
		at[c.by[0]-'0']++
	}
	if at[0] == 0 || at[1] == 0 || at[2] == 0 {
		t.Fatalf("the connections are shared out as %v", at)
	}
	nodes[0].cmd.Process.Kill()
	until(t, "it is dead", func() bool { return nodes[0].cmd.Process.Signal(syscall.Signal(0)) != nil })
	for range 12 { // at once, whatever the health checks know
		conn, err := open()
		if err == nil {
			err = new(caller).call(conn, bufio.NewReader(conn))
		}
		if err != nil {
			t.Errorf("a new connection fails: %v", err)
		}
	}
	asked := make([]int64, len(callers))
	for i, c := range callers {
		asked[i] = c.asked.Load()
	}
	for i, c := range callers {
		until(t, "callers go on", func() bool { return c.by == "0" || c.asked.Load() > asked[i]+3 })
	}
	await(nodes[0].address, false)
	close(over)
	calling.Wait()
	for i, c := range callers {
		if lost := c.failed != nil; lost != (c.by == "0") {
			t.Errorf("caller %d was at node %s: %v", i, c.by, c.failed)
		}
	}
}
