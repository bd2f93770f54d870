package trust

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"countersign.dev/client"
	"countersign.dev/internal/config"
	"countersign.dev/internal/control/durable"
	"countersign.dev/internal/control/publish"
)

// Commit puts the candidate of a trust store into its place, and into force. It
// does not if more than most clients would be refused that are accepted today, or
// if the file is not the one that was there when the candidate was staged. What was
// there is kept beside it.
func (d *Desk) Commit(ctx context.Context, store string, most int) (*client.Commit, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, c, content, err := d.staged(store)
	if err != nil {
		return nil, err
	}
	if c.Remote {
		return nil, refuse(Remote, "trust store %q has this from %s: publish the candidate there, and every node fetches it; countersign trust abort %s forgets it here", store, c.For, store)
	}
	_, ts, err := d.store(store)
	if err != nil {
		return nil, err
	}
	src, err := sourceOf(ts, c.Kind, c.For)
	if err != nil {
		return nil, err
	}
	if err := unchanged(src, c); err != nil {
		return nil, err
	}
	diff, then, err := d.ask(ctx, c, content, 100)
	if err != nil {
		return nil, err
	}
	if diff.Refused > most {
		return nil, refuse(WouldRefuse, "%d clients would be refused that are accepted today, %d of them connected; %d were allowed: look at countersign trust diff %s, then commit with --refuse %d",
			diff.Refused, diff.Cut, most, store, diff.Refused)
	}
	if err := unchanged(src, c); err != nil { // while clients were asked
		return nil, err
	}
	done := &client.Commit{Diff: *diff, File: c.For}
	if done.Kept, err = replace(c.For, content, d.cfg.Now()); err != nil {
		return nil, refuse(NotReplaced, "nothing was changed: %v", err)
	}
	if err := d.enforce(ctx, store, then); err != nil {
		if back := os.Rename(done.Kept, realPath(c.For)); back != nil {
			return nil, refuse(NotReplaced, "the candidate is in its place but not in force (%v), and what was there could not be put back (%v): it is %s", err, back, done.Kept)
		}
		d.cfg.Publisher.Reload(ctx) // what it says, it has logged
		return nil, refuse(NotReplaced, "the candidate did not come into force, and what was there was put back: %v", err)
	}
	done.Snapshot = d.cfg.Node.Current().Number
	if err := forget(dir, store); err != nil {
		d.cfg.Logger.Warn("a candidate was committed and could not be forgotten", "trust_store", store, "error", err)
	}
	d.cfg.Logger.Info("a candidate was committed", "trust_store", store, "for", c.For, "sha256", c.SHA256, "kept", done.Kept,
		"asked", diff.Asked, "refused", diff.Refused, "connections_cut", diff.Cut, "snapshot", done.Snapshot)
	return done, nil
}

// unchanged refuses a candidate for a file that has become another one since.
func unchanged(src config.Source, c *client.Candidate) error {
	if now, err := base(src); err != nil || now != c.Base {
		return refuse(BaseChanged, "%s is not what it was when the candidate was staged at %s: look at what came meanwhile, and stage again", c.For, c.StagedAt.Format(time.RFC3339))
	}
	return nil
}

// enforce reloads, and returns why the trust store is not what it should be then.
// That something else in the configuration is at fault is no reason.
func (d *Desk) enforce(ctx context.Context, store string, then *publish.Draft) error {
	failed := d.cfg.Publisher.Reload(ctx)
	for _, want := range then.Stores {
		if want.Name() != store {
			continue
		}
		for _, have := range d.cfg.Publisher.Status().Draft.Stores {
			if have.Name() == store && have.Generation() == want.Generation() {
				return nil
			}
		}
	}
	if failed == nil {
		failed = errors.New("somebody else has changed the configuration at that moment")
	}
	return failed
}

// replace puts content into the place of a file, with its mode and owner, and
// returns where what was there is kept. A symbolic link stays one.
func replace(path string, content []byte, now time.Time) (kept string, err error) {
	path = realPath(path)
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	next, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return "", err
	}
	_, err = next.Write(content)
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && err == nil && (int(owner.Uid) != os.Geteuid() || int(owner.Gid) != os.Getegid()) {
		err = next.Chown(int(owner.Uid), int(owner.Gid))
	}
	if err == nil {
		err = next.Chmod(info.Mode().Perm())
	}
	if err == nil {
		err = next.Sync()
	}
	if err = errors.Join(err, next.Close()); err == nil {
		kept, err = keepBeside(path, now)
	}
	if err == nil {
		err = os.Rename(next.Name(), path)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(next.Name()))
	}
	return kept, durable.SyncDir(filepath.Dir(path))
}

// keepBeside gives the file a second name.
func keepBeside(path string, now time.Time) (string, error) {
	kept := path + ".before-" + now.UTC().Format("20060102T150405Z")
	for n := 2; ; n++ {
		err := os.Link(path, kept)
		if err == nil || !errors.Is(err, fs.ErrExist) {
			if err != nil { // a file system without links
				err = copyFile(path, kept)
			}
			return kept, err
		}
		kept = fmt.Sprintf("%s.before-%s-%d", path, now.UTC().Format("20060102T150405Z"), n)
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		os.Remove(to)
	}
	return err
}

// realPath is where a symbolic link leads.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}
