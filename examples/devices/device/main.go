// Command device is a small device: it fetches its certificate, asks for something
// with it, again and again, and renews it in time.
//
//	device -dir DIR -id ID -secret-file FILE [-every 1m] PATH
package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"countersign.dev/client/device"
)

func main() {
	log.SetFlags(0)
	var p program
	flag.StringVar(&p.gateway, "gateway", "https://localhost:8443", "the gateway's `URL`")
	flag.StringVar(&p.root, "root", "pki/root.crt", "`FILE` with the root of the gateway's certificate")
	flag.StringVar(&p.bootstrap, "bootstrap", "bootstrap", "FILE.crt and FILE.key are what the device was made with")
	flag.StringVar(&p.dir, "dir", ".", "`DIR` is the device's own: key.pem, and own.pem with its certificate and key")
	flag.StringVar(&p.id, "id", "", "the `ID` of the device")
	flag.StringVar(&p.secret, "secret-file", "", "`FILE` with the secret on its label")
	flag.BoolVar(&p.renew, "renew", false, "renew at once, not only when it is time")
	flag.DurationVar(&p.every, "every", 0, "ask again every `DURATION`; 0: once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := p.run(ctx, flag.Arg(0)); err != nil {
		if code := device.CodeOf(err); code != "" {
			log.Printf("refused: %s", code) // by which a program can tell what to do
		}
		log.Fatalf("device: %v", err)
	}
}

type program struct {
	gateway, root, bootstrap, dir, id, secret string
	renew                                     bool
	every                                     time.Duration
}

func (p *program) run(ctx context.Context, path string) error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	text, err := os.ReadFile(p.root)
	if err != nil {
		return err
	}
	if !roots.AppendCertsFromPEM(text) {
		return fmt.Errorf("%s has no certificate in PEM", p.root)
	}
	own, err := p.certificate(ctx, roots)
	if err != nil {
		return err
	}
	// Every new connection shows the certificate of then.
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, GetClientCertificate: own.Certificate}}}
	for {
		if p.renew || time.Now().After(own.Due()) {
			if err := own.Renew(ctx); err != nil {
				return err
			}
			if err := p.keep(own); err != nil {
				return err
			}
			c.CloseIdleConnections()
			log.Printf("renewed, until %s", own.Leaf().NotAfter.Format(time.DateOnly))
			p.renew = false
		}
		if err := ask(ctx, c, p.gateway+path); err != nil {
			return err
		}
		if p.every == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(p.every):
		}
	}
}

// certificate is what the device has, or is given now.
func (p *program) certificate(ctx context.Context, roots *x509.CertPool) (*device.Credential, error) {
	cfg := device.Config{URL: p.gateway, RootCAs: roots, DeviceID: p.id,
		Waiting: func(why *device.Problem, wait time.Duration) { log.Printf("not yet: %v", why) }}
	file := filepath.Join(p.dir, "own.pem")
	var err error
	cfg.Certificate, err = tls.LoadX509KeyPair(file, file)
	switch {
	case err == nil:
		return device.New(cfg)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if cfg.Certificate, err = tls.LoadX509KeyPair(p.bootstrap+".crt", p.bootstrap+".key"); err != nil {
		return nil, err
	}
	secret, err := os.ReadFile(p.secret)
	if err != nil {
		return nil, err
	}
	cfg.Claim = strings.TrimSpace(string(secret))
	if cfg.Key, err = p.key(); err != nil {
		return nil, err
	}
	own, err := device.Enroll(ctx, cfg)
	if err != nil {
		return nil, err
	}
	log.Printf("enrolled as %s", own.Leaf().Subject)
	return own, p.keep(own)
}

// key is the device's own. It is kept before anything is asked: it alone gets the
// certificate again, should the power fail.
func (p *program) key() (crypto.Signer, error) {
	file := filepath.Join(p.dir, "key.pem")
	text, err := os.ReadFile(file)
	if err == nil {
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, fmt.Errorf("%s has no key in PEM", file)
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return key.(*ecdsa.PrivateKey), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, replace(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func (p *program) keep(own *device.Credential) error {
	text, err := own.PEM()
	if err != nil {
		return err
	}
	return replace(filepath.Join(p.dir, "own.pem"), text)
}

// replace writes a file in one step.
func replace(file string, text []byte) error {
	return errors.Join(os.WriteFile(file+".new", text, 0o600), os.Rename(file+".new", file))
}

func ask(ctx context.Context, c *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	fmt.Println(response.Status)
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}
