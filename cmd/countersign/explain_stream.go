package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"

	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/traffic/authorize"
	"countersign.dev/internal/traffic/route/condition"
)

// explainStream says which rule of a listener that passes bytes on takes the
// connection of a client that is admitted, and where it goes.
func explainStream(ctx context.Context, w io.Writer, draft *publish.Draft, l *snapshot.Listener, presented []*x509.Certificate, sni, source string) error {
	from, err := sourceAddress(source)
	if err != nil {
		return err
	}
	c, err := comes(ctx, l, presented, sni)
	if err != nil {
		return err
	}
	standing, leave := standingOf(ctx, draft.Config, l, c.client)
	defer leave()
	out := &requestExplained{Listener: l.Name}
	action, becomes, _ := out.route(draft, l, &condition.Question{ServerName: c.name, Source: from, Client: c.client, Device: standing})
	fmt.Fprintf(w, "\nbytes from %s\n", from)
	out.printRules(w)
	if _, denial := authorize.Decide(authorize.Question{
		Policy: c.policy, Client: c.client, Denial: c.denial, Devices: l.Devices, Device: standing, Action: action, Require: l.Require,
	}); denial != nil {
		fmt.Fprintf(w, "refused: %s\n  %s\n  the connection is closed\n", denial.Code, denial.Reason)
		return exitCode(1)
	}
	out.forward(becomes.Forward)
	out.printGroups(w, "")
	return nil
}
