package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/ledger"
)

// ledger opens that of the authority in dir in the store of a gateway.
func (s *caSecrets) ledger(dir string) (ledger.Ledger, error) {
	cfg, faults := config.Load(s.configuration)
	if cfg == nil {
		return nil, faults
	}
	whole, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for _, a := range cfg.Authorities {
		here, err := filepath.Abs(a.Dir)
		if err != nil {
			return nil, err
		}
		if here != whole {
			continue
		}
		if a.Ledger != "store" {
			return nil, fmt.Errorf("%s says that the ledger of authority %s is in a file: expected ledger: store, or no --config", s.configuration, a.Name)
		}
		where := cfg.Node.Store
		if cfg.Node.InFile() {
			where = filepath.Join(cfg.Node.DataDir, storeName)
		}
		if s.store, err = openStore(context.Background(), &cfg.Node, where); err != nil {
			return nil, err
		}
		return s.store.Ledger(a.Name), nil
	}
	return nil, fmt.Errorf("%s has no authority with the directory %s", s.configuration, dir)
}

// close gives the store back, if there is one.
func (s *caSecrets) close() error {
	if s.store == nil {
		return nil
	}
	return s.store.Close()
}

func caMoveLedger(std stdio, secrets *caSecrets) *cobra.Command {
	return &cobra.Command{
		Use:   "move-ledger DIR --config FILE",
		Short: "Keep what was issued and revoked in the store of a gateway from now on",
		Long: `Copy the ledger of an authority into the store of the gateway whose configuration is
FILE, which has ledger: store for it, and put the file aside. Several nodes that share
a PostgreSQL issue from one authority then, each with a copy of DIR. Nobody may use
the authority meanwhile; the other commands take --config from then on.`,
		Example: `  countersign ca move-ledger pki --config countersign.yaml`,
		Args:    positional("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if secrets.configuration == "" {
				return errors.New("--config is missing: the configuration of the gateway says which store it is")
			}
			to, err := secrets.ledger(args[0])
			if err != nil {
				return err
			}
			n, err := directory.MoveLedger(cmd.Context(), args[0], to)
			if err != nil {
				return err
			}
			p := newPage("Moved the ledger of %s into the store", args[0])
			p.row("has", "%s", count(n, "certificate"))
			p.row(directory.MovedLedgerFile, "the file as it was, which nobody reads any more")
			p.try("countersign ca show %s --config %s", args[0], secrets.configuration)
			return p.print(std.out)
		},
	}
}
