//go:build !pkcs11 || !cgo

package holder

import (
	"errors"

	"countersign.dev/internal/control/ca/issuance"
)

var errNoTokens = errors.New("the key is in a token (pkcs11:), and this program was built without: build it with `CGO_ENABLED=1 go build -tags pkcs11 ./cmd/countersign`")

func openToken(string) (Key, error) { return nil, errNoTokens }

func createToken(string, issuance.KeyType) (Key, error) { return nil, errNoTokens }
