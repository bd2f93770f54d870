package proxyproto

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net"
	"net/netip"
	"slices"
	"strings"

	pires "github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"
)

const (
	// MaxV1 is the longest header of version 1, in bytes (section 2.1).
	MaxV1 = 107
	// MaxV2 is the longest of version 2 that is read, in bytes. The protocol
	// allows 64 KiB; this holds a certificate of 3 KiB with everything else.
	MaxV2 = prefixSize + 4096

	prefixSize = 16 // of version 2: signature, version, command, family, length
	crcSize    = 4
)

var (
	signatureV1 = []byte("PROXY")
	signatureV2 = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

// A Header is what a proxy said of a connection.
type Header struct {
	// Version is 1 or 2.
	Version int
	// Local says that the proxy speaks for itself, to check whether somebody is
	// here, or does not know for whom: the addresses of the socket are the real
	// ones, and there are no others (command LOCAL, or UNKNOWN in version 1).
	Local bool
	// Source is the client, Destination what it connected to. IPv4 is written as
	// IPv4. Both are TCP addresses.
	Source, Destination netip.AddrPort
	// TLVs are the further fields of version 2, in their order, without padding.
	TLVs []TLV
}

// A TLV is a field of version 2 (section 2.2.1).
type TLV struct {
	Type  byte
	Value []byte
}

// Types of TLVs (sections 2.2.1 to 2.2.8) and of those within TypeSSL.
const (
	TypeALPN      = byte(pires.PP2_TYPE_ALPN)
	TypeAuthority = byte(pires.PP2_TYPE_AUTHORITY)
	TypeCRC32C    = byte(pires.PP2_TYPE_CRC32C)
	TypeNoop      = byte(pires.PP2_TYPE_NOOP)
	TypeUniqueID  = byte(pires.PP2_TYPE_UNIQUE_ID)
	TypeSSL       = byte(pires.PP2_TYPE_SSL)
)

// A MalformedError says what of a header is not as the protocol has it.
type MalformedError struct{ Reason string }

func (e *MalformedError) Error() string { return e.Reason }

func malformed(reason string) error { return &MalformedError{Reason: reason} }

// Parse reads the header that b is, from its first byte to its last. The error
// is a *MalformedError.
func Parse(b []byte) (*Header, error) {
	if len(b) > MaxV2 {
		return nil, malformed("it is longer than 4 KiB")
	}
	r := bufio.NewReaderSize(bytes.NewReader(b), max(len(b), 16))
	parsed, err := pires.Read(r)
	if err != nil {
		return nil, malformed(reasonOf(err))
	}
	if r.Buffered() > 0 {
		return nil, malformed("it has more bytes than it says")
	}
	h := &Header{Version: int(parsed.Version), Local: parsed.Command.IsLocal()}
	if !h.Local {
		source, destination, ok := parsed.TCPAddrs()
		if !ok {
			return nil, malformed("it is not about a TCP connection over IPv4 or IPv6")
		}
		h.Source, h.Destination = unmapped(source), unmapped(destination)
	}
	if h.Version == 1 {
		return h, nil
	}
	return h, h.takeTLVs(parsed, b)
}

func reasonOf(err error) string {
	switch {
	case errors.Is(err, pires.ErrNoProxyProtocol):
		return "it does not begin as a PROXY header does"
	case errors.Is(err, pires.ErrVersion1HeaderTooLong), errors.Is(err, pires.ErrLineMustEndWithCrlf):
		return "version 1 ends with CR LF within 107 bytes"
	case errors.Is(err, pires.ErrUnsupportedProtocolVersionAndCommand):
		return "its version is not 2, or its command neither PROXY nor LOCAL"
	case errors.Is(err, pires.ErrUnsupportedAddressFamilyAndProtocol), errors.Is(err, pires.ErrCantReadAddressFamilyAndProtocol):
		return "it is not about a TCP connection over IPv4 or IPv6"
	case errors.Is(err, pires.ErrInvalidLength):
		return "its length does not fit its addresses"
	}
	return strings.ToValidUTF8(strings.TrimPrefix(err.Error(), "proxyproto: "), "?")
}

func unmapped(a *net.TCPAddr) netip.AddrPort {
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// takeTLVs is strict about those that the protocol describes.
func (h *Header) takeTLVs(parsed *pires.Header, b []byte) error {
	all, err := parsed.TLVs()
	if err != nil {
		return malformed("a TLV is longer than what is left of it")
	}
	for _, t := range all {
		if t.Type == pires.PP2_TYPE_NOOP {
			continue
		}
		one := TLV{Type: byte(t.Type), Value: t.Value}
		if one.Type < 0xe0 && slices.ContainsFunc(h.TLVs, func(have TLV) bool { return have.Type == one.Type }) {
			return malformed("a TLV is there twice, and which one counts is anybody's guess")
		}
		h.TLVs = append(h.TLVs, one)
		switch {
		case t.Type == pires.PP2_TYPE_CRC32C && !sumIsRight(b, t.Value):
			return malformed("its CRC32C is not that of its bytes")
		case t.Type == pires.PP2_TYPE_UNIQUE_ID && len(t.Value) > 128:
			return malformed("its UNIQUE_ID has more than 128 bytes")
		case t.Type == pires.PP2_TYPE_SSL:
			if _, _, err := parseTLS(t.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumIsRight holds the value of the TLV CRC32C against b, in which it counts as
// zero (section 2.2.3).
func sumIsRight(b, value []byte) bool {
	at := crcAt(b)
	if len(value) != crcSize || at < 0 {
		return false
	}
	sum := crc32.Update(0, castagnoli, b[:at])
	sum = crc32.Update(sum, castagnoli, make([]byte, crcSize))
	sum = crc32.Update(sum, castagnoli, b[at+crcSize:])
	return sum == binary.BigEndian.Uint32(value)
}

// crcAt is where in a header of version 2 the value of CRC32C is, -1 for nowhere.
func crcAt(b []byte) int {
	for at := prefixSize + addressSize(b[13]); at+3 <= len(b); {
		size := int(binary.BigEndian.Uint16(b[at+1:]))
		if b[at] == TypeCRC32C && size == crcSize && at+3+size <= len(b) {
			return at + 3
		}
		at += 3 + size
	}
	return -1
}

// addressSize is how long the addresses of a family are, as the 14th byte names it.
func addressSize(family byte) int {
	switch family >> 4 {
	case 1:
		return 12
	case 2:
		return 36
	case 3:
		return 216
	}
	return 0
}

// value returns the first TLV of that type.
func (h *Header) value(kind byte) []byte {
	for _, t := range h.TLVs {
		if t.Type == kind {
			return t.Value
		}
	}
	return nil
}

// Authority is the name that the client asked the proxy for, "" if none is told.
func (h *Header) Authority() string { return string(h.value(TypeAuthority)) }

// UniqueID is how the proxy calls the connection: any bytes, 128 at most.
func (h *Header) UniqueID() []byte { return h.value(TypeUniqueID) }

// VPCEndpoint is the id of the AWS VPC endpoint that the connection came by, ""
// if none is told.
func (h *Header) VPCEndpoint() string {
	for _, t := range h.TLVs {
		if id, err := tlvparse.AWSVPCEndpointID(pires.TLV{Type: pires.PP2Type(t.Type), Value: t.Value}); err == nil && id != "" {
			return id
		}
	}
	return ""
}
