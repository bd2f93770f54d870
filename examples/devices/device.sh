#!/bin/sh
# A device, with openssl and curl.
#
#   sh device.sh DIR enroll ID SECRET   fetch its certificate; wait while there is none
#   sh device.sh DIR get PATH           ask for something
#   sh device.sh DIR renew              get another certificate for a new key, by EST
#
# DIR is the device's own: key.pem, and own.pem with its certificate and key.
set -eu
umask 077
gateway=${GATEWAY:-https://localhost:8443}
root=$(realpath "${ROOT:-pki/root.crt}")            # of the gateway's certificate
bootstrap=$(realpath "${BOOTSTRAP:-bootstrap.crt}") # what it was made with, and its key
bootstrap_key=${bootstrap%.crt}.key

dir=$1 verb=$2
shift 2
mkdir -p "$dir"
cd "$dir"

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

# install KEY CHAIN: both in one file, replaced in one step, if they belong together.
install() {
  [ "$(openssl x509 -in "$2" -noout -pubkey)" = "$(openssl pkey -in "$1" -pubout)" ] || { echo "the certificate is not for the key" >&2; exit 1; }
  cat "$2" "$1" >own.pem.new
  mv own.pem.new own.pem
}

enroll() {
  # The key is kept before anything is asked: it alone gets the certificate again,
  # should the power fail now.
  [ -f key.pem ] || { new_key key.pem.new && mv key.pem.new key.pem; }
  openssl req -new -key key.pem -subj "/CN=MacID-$1" -out csr.pem
  printf '{"device_id":"%s","csr":"%s","claim":"%s"}' "$1" "$(awk '{printf "%s\\n", $0}' csr.pem)" "$2" >message.json
  while :; do
    status=$(curl -sS --cacert "$root" --cert "$bootstrap" --key "$bootstrap_key" -H 'Content-Type: application/json' \
      --data-binary @message.json -D head -o answer -w '%{http_code}' "$gateway/.well-known/countersign/initialize")
    case $status in
    200) break ;;
    202 | 429 | 503)
      wait=$(sed -n 's/^[Rr]etry-[Aa]fter: *\([0-9]*\).*/\1/p' head)
      echo "not yet ($status), again in ${wait:-60} s"
      sleep "${wait:-60}"
      ;;
    *)
      cat answer >&2
      exit 1
      ;;
    esac
  done
  install key.pem answer
  rm -f message.json csr.pem head answer
  echo "enrolled: $(openssl x509 -in own.pem -noout -subject)"
}

renew() {
  new_key key.new
  # The same subject, for the new key (RFC 7030 section 4.2.2).
  openssl x509 -x509toreq -in own.pem -signkey key.new 2>/dev/null | openssl req -outform DER | openssl base64 >csr.b64
  curl -sS --fail-with-body --cacert "$root" --cert own.pem -H 'Content-Type: application/pkcs10' -H 'Accept: application/pkcs7-mime, application/problem+json' \
    --data-binary @csr.b64 -o answer "$gateway/.well-known/est/simplereenroll" || { cat answer >&2; exit 1; }
  # Base64 with line breaks or without (RFC 8951 section 3.1).
  tr -d '\r\n' <answer | openssl base64 -d -A | openssl pkcs7 -inform DER -print_certs -out chain.pem
  install key.new chain.pem
  mv key.new key.pem
  rm -f csr.b64 answer chain.pem
  echo "renewed: $(openssl x509 -in own.pem -noout -serial)"
}

case $verb in
enroll) enroll "$@" ;;
renew) renew ;;
get) exec curl -sS --cacert "$root" --cert own.pem -H 'Accept: application/problem+json' "$gateway$1" ;;
*)
  echo "device.sh: $verb? enroll, get, renew" >&2
  exit 2
  ;;
esac
