package ledger

import "context"

// Copy records in to what from has, and to has not. It may be done again. It returns
// how many certificates from has.
func Copy(ctx context.Context, from, to Ledger) (n int, err error) {
	put := func(e Entry) error {
		e.Recorded = true
		if err := to.Append(ctx, e); err != nil && !Conflict(err) {
			return err
		}
		return nil
	}
	for c, err := range from.Certificates(ctx) {
		if err != nil {
			return n, err
		}
		n++
		if c.IssuedAt.IsZero() {
			continue // a revocation alone
		}
		whole, _, err := from.Find(ctx, c.Serial)
		if err != nil {
			return n, err
		}
		if err := put(Entry{Event: Issued, At: c.IssuedAt, Serial: c.Serial, Issuer: c.Issuer, Subject: c.Subject, Profile: c.Profile,
			NotAfter: c.NotAfter, Certificate: whole.DER}); err != nil {
			return n, err
		}
	}
	revoked, err := from.Revoked(ctx)
	if err != nil {
		return n, err
	}
	for _, c := range revoked {
		if err := put(Entry{Event: Revoked, At: c.RevokedAt, Serial: c.Serial, Issuer: c.Issuer, Subject: c.Subject, Profile: c.Profile,
			NotAfter: c.NotAfter, Reason: c.Reason}); err != nil {
			return n, err
		}
	}
	last, err := from.List(ctx)
	if err != nil || last.Number == 0 {
		return n, err
	}
	return n, put(last)
}
