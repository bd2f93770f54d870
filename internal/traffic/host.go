package traffic

import "countersign.dev"

// misdirected refuses a request whose host belongs to another policy than the
// name the connection was made for (RFC 9110 section 15.5.20). Two names under
// one policy may share a connection.
func (s *session) misdirected(host []byte) *countersign.Denial {
	if s.listener.TLS == nil || s.host.isLast(host) {
		return nil
	}
	switch wanted := s.listener.Policies.For(string(host)); wanted {
	case s.policy:
		s.host.remember(host)
		return nil
	case nil:
		return countersign.Deny(countersign.StageRoute, countersign.BadRequest, "host %q is no host name", host)
	default:
		return countersign.Deny(countersign.StageRoute, countersign.MisdirectedRequest,
			"host %q is under policy %q; the connection was made for %q, under policy %q",
			host, wanted.Name, s.shook.ServerName, s.policy.Name)
	}
}

// A hostMemo is the last Host that was found to belong to the connection's policy.
type hostMemo struct{ last []byte }

func (m *hostMemo) isLast(host []byte) bool {
	return len(m.last) > 0 && string(m.last) == string(host)
}
func (m *hostMemo) remember(host []byte) { m.last = append(m.last[:0], host...) }
func (m *hostMemo) forget()              { m.last = m.last[:0] }
