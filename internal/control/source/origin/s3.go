package origin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const awsEndpoint = "https://s3.amazonaws.com"

// getS3 asks an S3-compatible server for one object, or one version of it.
func getS3(ctx context.Context, transport http.RoundTripper, spec Spec, known Version) (*answer, error) {
	bucket, key, version, _ := spec.s3()
	endpoint := cmp.Or(spec.Endpoint, os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"), awsEndpoint)
	host, ok := strings.CutPrefix(strings.TrimRight(endpoint, "/"), "https://")
	if !ok {
		return nil, fmt.Errorf("the endpoint is %q; want an https:// URL: nobody vouches for what comes another way", endpoint)
	}
	client, err := minio.NewCore(host, &minio.Options{
		Creds: credentialsFromEnvironment(), Secure: true, Transport: bounded{transport, spec.Limit}, MaxRetries: 1, // we try again ourselves
		Region: cmp.Or(spec.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")),
	})
	if err != nil {
		return nil, err
	}
	o := minio.GetObjectOptions{VersionID: version}
	if known.ETag != "" {
		o.Set("If-None-Match", known.ETag)
	}
	body, _, head, err := client.GetObject(ctx, bucket, key, o)
	if err != nil {
		return s3Refused(err, bucket, key, host)
	}
	return &answer{Version: Version{ETag: head.Get("ETag")}, body: body, size: -1, kind: head.Get("Content-Type")}, nil
}

// s3Refused turns a refusal into a sentence; one of them says that nothing has changed.
func s3Refused(err error, bucket, key, host string) (*answer, error) {
	refused := minio.ToErrorResponse(err)
	switch {
	case refused.StatusCode == http.StatusNotModified:
		return nil, ErrUnchanged
	case refused.StatusCode == 0: // it did not come that far
		return nil, err
	case refused.Code == minio.NoSuchKey:
		return nil, fmt.Errorf("%s has no object %q in the bucket %q", host, key, bucket)
	case refused.Code == minio.NoSuchBucket:
		return nil, fmt.Errorf("%s has no bucket %q", host, bucket)
	case refused.StatusCode == http.StatusForbidden:
		return nil, fmt.Errorf("%s answers 403 %s (%s); credentials come from the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role of the container", host, refused.Code, refused.Message)
	}
	return nil, fmt.Errorf("%s answers %d %s (%s)", host, refused.StatusCode, refused.Code, refused.Message)
}

// credentialsFromEnvironment are keys, or else the role of a container (ECS,
// EKS), as the AWS_ variables say; nobody's, if they say nothing.
func credentialsFromEnvironment() *credentials.Credentials {
	if os.Getenv("AWS_ACCESS_KEY_ID") == "" {
		for _, name := range []string{"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
			if os.Getenv(name) != "" {
				return credentials.NewIAM("")
			}
		}
	}
	return credentials.NewEnvAWS()
}

// bounded ends every answer after limit bytes: the client reads some of them,
// such as errors, to the end.
type bounded struct {
	http.RoundTripper
	limit int64
}

// RoundTrip is that of the RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = &boundedBody{res.Body, b.limit, b.limit}
	}
	return res, err
}

type boundedBody struct {
	io.ReadCloser
	left, limit int64
}

// Read fails beyond the limit.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left+1)])
	if b.left -= int64(n); b.left < 0 {
		return 0, tooLarge(b.limit)
	}
	return n, err
}
