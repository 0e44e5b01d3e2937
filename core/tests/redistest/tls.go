// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a certificate authority of a test's own.
type Authority struct {
	// File holds its certificate, as PEM.
	File string

	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority, whose files live as long as the test.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{dir: t.TempDir()}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	a.File, _, a.cert, a.key = a.issue(t, "authority", a.cert)
	return a
}

// issue signs a certificate and writes it and its key to files. The first one is the
// authority's own.
func (a *Authority) issue(t testing.TB, name string, template *x509.Certificate) (
	certFile, keyFile string, cert *x509.Certificate, key *ecdsa.PrivateKey,
) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("certificate of %s: %v", name, err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, signer)
	must(err)
	cert, err = x509.ParseCertificate(der)
	must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	certFile, keyFile = filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key")
	must(os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return certFile, keyFile, cert, key
}

// leaf makes a certificate for one side of a connection on the loopback.
func (a *Authority) leaf(t testing.TB, name string) (certFile, keyFile string) {
	t.Helper()
	certFile, keyFile, _, _ = a.issue(t, name, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return certFile, keyFile
}

// Client returns the settings of a client that trusts this authority and has no
// certificate.
func (a *Authority) Client() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// ClientWithCertificate is Client with a certificate of this authority.
func (a *Authority) ClientWithCertificate(t testing.TB) *tls.Config {
	t.Helper()
	config := a.Client()
	cert, err := tls.LoadX509KeyPair(a.leaf(t, "client"))
	if err != nil {
		t.Fatal(err)
	}
	config.Certificates = []tls.Certificate{cert}
	return config
}

// StartTLS is [Start] for a server that speaks only TLS, with a certificate of the
// authority. If mutual, it demands a certificate of each client too.
func StartTLS(t testing.TB, a *Authority, mutual bool, args ...string) *Server {
	t.Helper()
	certFile, keyFile := a.leaf(t, "server")
	clients := "no"
	if mutual {
		clients = "yes"
	}
	return launchFor(t, &Server{dir: t.TempDir(), tls: a.ClientWithCertificate(t), args: append([]string{
		"--tls-cert-file", certFile, "--tls-key-file", keyFile,
		"--tls-ca-cert-file", a.File, "--tls-auth-clients", clients,
	}, args...)})
}
