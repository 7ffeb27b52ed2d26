package cloudsim

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
	"sync"
	"time"
)

// authority makes certificates.
type authority struct {
	key  *ecdsa.PrivateKey // of the authority and, to save time, of every certificate
	root *x509.Certificate
	pem  []byte

	mu   sync.Mutex
	made map[certified]*tls.Certificate
}

// certified is what a certificate is made for.
type certified struct {
	name  string // of the host that is asked for
	wrong Certificate
}

func newAuthority() *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // there is no randomness to be had
	}
	root := template(1)
	root.Subject.CommonName = "Simulated cloud CA"
	root.IsCA = true
	root.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		panic(err) // the template is wrong
	}
	return &authority{
		key:  key,
		root: root,
		pem:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		made: map[certified]*tls.Certificate{},
	}
}

// template is what all certificates share. They begin before now, for clients whose clock is slow.
func template(serial int64) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{Organization: []string{"cloudsim"}},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(10, 0, 0),
		BasicConstraintsValid: true,
	}
}

// askedHost is the host name of a handshake or, where there is none, the address that was dialled.
func askedHost(hello *tls.ClientHelloInfo) string {
	if hello.ServerName != "" {
		return hello.ServerName
	}
	// Clients that dialled an IP address name no host.
	host, _, err := net.SplitHostPort(hello.Conn.LocalAddr().String())
	if err != nil {
		return "localhost"
	}
	return host
}

// certificate returns the certificate for a host, right or wrong.
func (a *authority) certificate(name string, wrong Certificate) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	of := certified{name, wrong}
	if made, found := a.made[of]; found {
		return made, nil
	}
	leaf := template(int64(len(a.made)) + 2)
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	switch wrong {
	case Expired:
		leaf.NotAfter = leaf.NotBefore.Add(time.Minute)
	case OfAnotherHost:
		name = "another-host.example.com"
	}
	if ip := net.ParseIP(name); ip != nil {
		leaf.IPAddresses = []net.IP{ip}
	} else {
		leaf.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.root, a.key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	a.made[of] = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}
	return a.made[of], nil
}
