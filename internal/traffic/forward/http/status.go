package http

import (
	"errors"

	"countersign.dev"
	"countersign.dev/internal/wire/http1"
)

// An answer is what the client is told about a Code: the edge's translation,
// safe to show to a stranger.
type answer struct {
	status int
	title  string
}

// unproven is for all that can be wrong with TLS to a target: who the service is,
// and who we are to it, is nothing that a stranger needs to know.
const unproven = "The service behind could not be reached securely."

// answers is the one table from codes to HTTP. A code that is not in it is
// about the client's certificate and is answered 403.
var answers = map[countersign.Code]answer{
	countersign.BadRequest:          {400, "The request is not valid HTTP/1.1."},
	countersign.AmbiguousPath:       {400, "The path can be read in more than one way."},
	countersign.PlainHTTPOnTLS:      {400, "This port expects TLS, as https does; the request was plain HTTP."},
	countersign.MethodNotAllowed:    {405, "The method is not allowed."},
	countersign.RequestTimeout:      {408, "The request did not arrive in time."},
	countersign.BodyTooLarge:        {413, "The request body is larger than this service takes."},
	countersign.TargetTooLong:       {414, "The request target is longer than this service takes."},
	countersign.ExpectationFailed:   {417, "The expectation cannot be met."},
	countersign.MisdirectedRequest:  {421, "This connection was made for another host name; open a new one."},
	countersign.HeadersTooLarge:     {431, "The request header is larger than this service takes."},
	countersign.IdentityTooLarge:    {431, "The client certificate is too large to be described to the service behind."},
	countersign.ClientClosed:        {460, "The client closed the connection."},
	countersign.CredentialNotProven: {500, "The request could not be authorized."},
	countersign.NotImplemented:      {501, "The transfer coding is not supported."},
	countersign.TargetConnectFailed: {502, "The service behind could not be reached."},
	countersign.TargetBadResponse:   {502, "The service behind gave an answer that is not valid."},
	countersign.TargetClosed:        {502, "The service behind closed the connection before it answered."},
	countersign.NoRoute:             {503, "Nothing here takes this request."},
	countersign.NoHealthyTarget:     {503, "No healthy instance of the service is available."},
	countersign.TargetsBusy:         {503, "All instances of the service are busy."},
	countersign.ListenerGone:        {503, "This address is no longer served."},
	countersign.ClosedByOperator:    {503, "The connection was closed; open a new one."},
	countersign.ShuttingDown:        {503, "The node is shutting down."},
	countersign.TargetTimeout:       {504, "The service behind did not answer in time."},
	countersign.VersionUnsupported:  {505, "The HTTP version is not supported."},

	countersign.CredentialMissing:      {401, "A credential is required and none was presented."},
	countersign.CredentialInvalid:      {401, "The credential that was presented is not valid."},
	countersign.CredentialExpired:      {401, "The token that was presented is not valid at this time."},
	countersign.CredentialNotBound:     {401, "The token that was presented belongs to another client certificate."},
	countersign.CredentialInsufficient: {403, "The token that was presented does not allow this."},
	countersign.CredentialLimit:        {429, "Too many credentials that are not valid came from this address."},
	countersign.CredentialUnavailable:  {503, "The credential that was presented cannot be verified at the moment."},

	countersign.DeviceUnnamed:            {403, "The client certificate names no device."},
	countersign.DeviceNotProvisioned:     {404, "The device is not provisioned."},
	countersign.DeviceNotActive:          {403, "The device is not active yet."},
	countersign.DeviceIsSuspended:        {403, "The device is suspended."},
	countersign.DeviceIsRevoked:          {403, "The device has been revoked."},
	countersign.DeviceIsRetired:          {403, "The device is retired."},
	countersign.DeviceCertificateRevoked: {403, "The certificate of the device has been revoked."},
	countersign.DeviceBootstrap:          {403, "The bootstrap certificate is good for enrolling alone."},
	countersign.DeviceStateUnavailable:   {503, "The state of the device is not known at the moment."},

	countersign.TargetHandshakeFailed:        {502, unproven},
	countersign.TargetRefusedCertificate:     {502, unproven},
	countersign.TargetProtocolMismatch:       {502, unproven},
	countersign.TargetCertUntrusted:          {502, unproven},
	countersign.TargetCertNameMismatch:       {502, unproven},
	countersign.TargetCertExpired:            {502, unproven},
	countersign.TargetCertNotYetValid:        {502, unproven},
	countersign.TargetCertInvalid:            {502, unproven},
	countersign.TargetCertPinMismatch:        {502, unproven},
	countersign.TargetCertCrlHit:             {502, unproven},
	countersign.TargetCertCrlProcessingError: {502, unproven},

	countersign.ClientCertMissing:            {403, "A client certificate is required and none was presented."},
	countersign.ClientCertExpired:            {403, "The client certificate has expired."},
	countersign.ClientCertNotYetValid:        {403, "The client certificate is not valid yet."},
	countersign.ClientCertUntrusted:          {403, "The client certificate is not issued by an authority that is trusted here."},
	countersign.ClientCertCrlHit:             {403, "The client certificate has been revoked."},
	countersign.ClientCertCrlProcessingError: {403, "Whether the client certificate is revoked cannot be told."},
	countersign.ClientCertOcspHit:            {403, "The client certificate has been revoked."},
	countersign.ClientCertOcspUnknown:        {403, "Whether the client certificate is revoked cannot be told."},
	countersign.ClientCertOcspUnavailable:    {403, "Whether the client certificate is revoked cannot be told."},
	countersign.ClientCertPurposeInvalid:     {403, "The client certificate is not meant for client authentication."},
	countersign.ClientCertRejected:           {403, "The client certificate is not among those accepted here."},
}

func answerTo(code countersign.Code) answer {
	if a, ok := answers[code]; ok {
		return a
	}
	return answer{403, "The client certificate is not accepted here."}
}

// Status is the HTTP status that a refusal with that code is answered with.
func Status(code countersign.Code) int { return answerTo(code).status }

// badRequest turns what the codec found wrong with a request into a Denial.
func badRequest(status int, reason string) *countersign.Denial {
	code := countersign.BadRequest
	switch status {
	case 405:
		code = countersign.MethodNotAllowed
	case 413:
		code = countersign.BodyTooLarge
	case 414:
		code = countersign.TargetTooLong
	case 417:
		code = countersign.ExpectationFailed
	case 431:
		code = countersign.HeadersTooLarge
	case 501:
		code = countersign.NotImplemented
	case 505:
		code = countersign.VersionUnsupported
	}
	return &countersign.Denial{Stage: countersign.StageParse, Code: code, Reason: reason}
}

// kindOf is the codec's name for what is wrong.
func kindOf(err error) string {
	if e, ok := errors.AsType[*http1.Error](err); ok {
		return e.Kind
	}
	return ""
}

// malformed turns the codec's error into a Denial.
func malformed(err error) *countersign.Denial {
	var e *http1.Error
	if errors.As(err, &e) {
		return badRequest(e.Status, e.Kind+": "+e.Reason)
	}
	return badRequest(400, err.Error())
}
