package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign.dev/client"
)

// inForce is what a node says of its trust stores.
type inForce struct {
	TrustStores     []client.TrustStore     `json:"trust_stores"`
	RevocationLists []client.RevocationList `json:"revocation_lists"`
	Sources         []client.Source         `json:"sources"`
}

// trustInForce shows the trust stores of a node that runs.
func trustInForce(ctx context.Context, std stdio, c *client.Client, asJSON bool) error {
	snapshot, err := c.Snapshot(ctx)
	if err != nil {
		return err
	}
	all := inForce{Sources: snapshot.Sources}
	if all.TrustStores, err = collected(c.TrustStores(ctx)); err != nil {
		return err
	}
	if all.RevocationLists, err = collected(c.RevocationLists(ctx, "")); err != nil {
		return err
	}
	s := trustScreen{out: std.out, now: time.Now()}
	if asJSON {
		if err := printJSON(std.out, all); err != nil {
			return err
		}
		s.out = silence{}
	}
	for i := range all.TrustStores {
		s.inForce(&all, &all.TrustStores[i])
	}
	if s.wrong {
		return exitCode(1)
	}
	return nil
}

// silence is a screen that nobody looks at.
type silence struct{}

func (silence) Write(p []byte) (int, error) { return len(p), nil }

func (s *trustScreen) inForce(all *inForce, ts *client.TrustStore) {
	fmt.Fprintf(s.out, "trust store %s\n", ts.Name)
	if len(ts.UsedBy) > 0 {
		s.row("for", "%s", strings.Join(ts.UsedBy, ", "))
	}
	if len(ts.Anchors) > 0 {
		soonest := slices.MinFunc(ts.Anchors, func(a, b client.Anchor) int { return a.NotAfter.Compare(b.NotAfter) })
		s.row("has", "%s, the first of which expires %s", count(len(ts.Anchors), "CA certificate"), s.at(soonest.NotAfter))
	}
	for _, name := range ts.Sources {
		fmt.Fprintf(s.out, "  bundle %s\n", name)
		s.fetched(all.Sources, name)
	}
	if ts.Revocation == nil {
		fmt.Fprintln(s.out, "  no revocation: nobody's certificate is ever taken for revoked")
		return
	}
	for _, name := range ts.Revocation.Sources {
		fmt.Fprintf(s.out, "  list %s\n", name)
		for _, l := range all.RevocationLists {
			if l.TrustStore == ts.Name && l.Source == name {
				s.list(&l)
			}
		}
		s.fetched(all.Sources, name)
	}
}

func (s *trustScreen) list(l *client.RevocationList) {
	number := "no number"
	if l.Number != "" {
		number = "number " + l.Number
	}
	s.row("has", "%s of %s with %s, of %s", number, l.Issuer, count(l.Revoked, "revoked certificate"), s.at(l.ThisUpdate))
	if l.Stale {
		s.fault("it should have been replaced by %s", s.at(l.NextUpdate))
	} else {
		s.row("until", "%s", s.at(l.NextUpdate))
	}
}

// fetched says how things stand with a source, unless it is a file.
func (s *trustScreen) fetched(sources []client.Source, name string) {
	i := slices.IndexFunc(sources, func(source client.Source) bool { return source.Name == name })
	if i < 0 {
		return
	}
	source := sources[i]
	if source.Fetched != nil && source.Checked != nil {
		s.row("fetched", "%s; known to be what the server has %s", s.at(*source.Fetched), s.at(*source.Checked))
	}
	if source.Due != nil {
		s.row("next", "asked for by %s", second(*source.Due))
	}
	if !source.Good {
		s.fault("%s (%s since the node started)", source.Fault, count(int(source.Failures), "failure"))
	}
}
