package health

import "context"

// tcpCheck is well if the target accepts a connection.
type tcpCheck struct{ hello []byte }

func (t tcpCheck) Check(ctx context.Context, address string) Result {
	_, release, err := connect(ctx, address, t.hello)
	if err != nil {
		return failed(ctx, err)
	}
	release()
	return Result{OK: true}
}
