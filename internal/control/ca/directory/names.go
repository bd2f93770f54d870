package directory

import (
	"fmt"
	"path/filepath"
)

// The files of an authority's directory. Those of later issuing authorities are
// called issuing-2.crt, issuing-2.key, and so on.
const (
	RootCertFile    = "root.crt"
	RootKeyFile     = "root.key"
	IssuingCertFile = "issuing.crt"
	IssuingKeyFile  = "issuing.key"
	BundleFile      = "ca.crt"       // root and issuing certificates: for trust stores
	CRLFile         = "crl.pem"      // the issuing authorities' lists, that of the one in use first
	RootCRLFile     = "root-crl.pem" // the root's, for those who check the whole chain
	LedgerFile      = "ledger.jsonl"
	LockFile        = ".lock"       // held while the ledger is written
	ListsLockFile   = ".lists.lock" // held while lists are signed, or an issuing authority is made
)

// The files that two authorities have of which one succeeds the other (RFC 4210
// section 4.4): both have both of them. The successor has its predecessor's root too.
const (
	NewWithOldFile = "new-with-old.crt" // the new root's key, signed by the old root
	OldWithNewFile = "old-with-new.crt" // the old root's key, signed by the new root
	OldRootFile    = "old-root.crt"
)

// IssuingFile is the name of a file of the issuing authority with that number.
func IssuingFile(name string, number int) string {
	if number == 1 {
		return name
	}
	extension := filepath.Ext(name)
	return fmt.Sprintf("%s-%d%s", name[:len(name)-len(extension)], number, extension)
}
