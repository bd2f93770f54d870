package health

import "context"

// tcpCheck is well if the target accepts a connection.
type tcpCheck struct{ door }

func (t tcpCheck) Check(ctx context.Context, address string) Result {
	_, release, err := t.open(ctx, address)
	if err != nil {
		return failed(ctx, err)
	}
	release()
	return Result{OK: true}
}
