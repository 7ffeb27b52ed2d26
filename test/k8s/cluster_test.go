package k8s

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// cluster is a kube-apiserver with an etcd, without controllers and nodes. It validates, admits, and stores objects.
type cluster struct {
	kubectlPath, helmPath string
	env                   []string
	kinds                 string // kinds of namespaced objects, as kubectl get takes them
}

// startCluster starts a cluster with the operator's CRDs.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	dir := t.TempDir()
	c := &cluster{kubectlPath: tool(t, "kubectl"), helmPath: tool(t, "helm"), env: append(os.Environ(), "HOME="+dir, "KUBECONFIG="+dir+"/kubeconfig")}
	c.env = append(c.env, "PATH="+strings.Join([]string{filepath.Dir(c.kubectlPath), filepath.Dir(c.helmPath), os.Getenv("PATH")}, ":"))
	clients, peers, api := freeAddress(t), freeAddress(t), freeAddress(t)
	start(t, tool(t, "go.etcd.io/etcd/server/v3"), "--data-dir="+dir+"/etcd", "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=http://"+clients, "--advertise-client-urls=http://"+clients,
		"--listen-peer-urls=http://"+peers, "--initial-advertise-peer-urls=http://"+peers, "--initial-cluster=default=http://"+peers)
	write(t, dir+"/tokens", "token,admin,admin,system:masters")
	write(t, dir+"/kubeconfig", fmt.Sprintf(`
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: admin}}]
clusters: [{name: test, cluster: {server: "https://%s", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: token}}]
`, api))
	write(t, dir+"/key", privateKey(t))
	_, port, err := net.SplitHostPort(api)
	if err != nil {
		t.Fatal(err)
	}
	start(t, tool(t, "kube-apiserver"), "--etcd-servers=http://"+clients, "--bind-address=127.0.0.1", "--secure-port="+port, "--cert-dir="+dir+"/tls",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+dir+"/key", "--service-account-signing-key-file="+dir+"/key",
		"--service-cluster-ip-range=10.0.0.0/24", "--authorization-mode=RBAC", "--token-auth-file="+dir+"/tokens", "--endpoint-reconciler-type=none")
	c.await(t, "get", "--raw=/readyz")
	c.kubectl(t, "", "apply", "--server-side", "--filename="+crds)
	c.kubectl(t, "", "wait", "--timeout=5m", "--for=condition=Established", "customresourcedefinitions", "--all")
	kinds := strings.Fields(c.kubectl(t, "", "api-resources", "--namespaced", "--verbs=list", "--output=name"))
	unwanted := []string{"endpoints", "events", "events.events.k8s.io"} // deprecated; made by the API server itself
	c.kinds = strings.Join(slices.DeleteFunc(kinds, func(kind string) bool { return slices.Contains(unwanted, kind) }), ",")
	return c
}

// await runs kubectl until it succeeds. It waits far longer than needed, for slow machines.
func (c *cluster) await(t *testing.T, args ...string) {
	t.Helper()
	deadline, tick := time.After(5*time.Minute), time.NewTicker(100*time.Millisecond)
	defer tick.Stop()
	for {
		_, err := c.try(c.kubectlPath, "", args...)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(err)
		}
	}
}

// try runs a client with an input. Output on stderr is an error, because the warnings of the API server are there.
func (c *cluster) try(program, input string, args ...string) (string, error) {
	return c.tryIn("", program, input, args...)
}

// tryIn is like try, in a directory.
func (c *cluster) tryIn(dir, program, input string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	var out, complaints bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.env, strings.NewReader(input), &out, &complaints
	err := cmd.Run()
	said := regexp.MustCompile(`(?m)^level=INFO msg="found symbolic link .*\n`).ReplaceAll(complaints.Bytes(), nil) // Helm's, of each link of the chart
	if err == nil && len(said) > 0 {
		err = errors.New("warnings")
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w:\n%s", filepath.Base(program), strings.Join(args, " "), err, said)
	}
	return out.String(), nil
}

func (c *cluster) kubectl(t *testing.T, input string, args ...string) string {
	t.Helper()
	out, err := c.try(c.kubectlPath, input, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (c *cluster) helm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.try(c.helmPath, "", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// namespace creates a namespace that admits only restricted pods, and in which the API server warns of Deployments that would create others.
func (c *cluster) namespace(t *testing.T, name string) {
	t.Helper()
	c.kubectl(t, fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata:
  name: %s
  labels: {pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/warn: restricted}
`, name), "apply", "--server-side", "--filename=-")
}

// kept is an object of a namespace, as the API server stores it.
type kept struct {
	APIVersion string `json:"apiVersion"`
	Kind, Type string
	Metadata   struct {
		Name            string
		ResourceVersion string `json:"resourceVersion"`
	}
	Spec struct {
		Template struct {
			Metadata map[string]any
			Spec     map[string]any
		}
	}
}

// objects returns all objects of a namespace, by kind and name, without Helm's notes.
func (c *cluster) objects(t *testing.T, namespace string) map[string]kept {
	t.Helper()
	var list struct{ Items []kept }
	if err := json.Unmarshal([]byte(c.kubectl(t, "", "get", c.kinds, "--namespace="+namespace, "--output=json")), &list); err != nil {
		t.Fatal(err)
	}
	found := map[string]kept{}
	for _, o := range list.Items {
		if o.Type != "helm.sh/release.v1" {
			found[o.Kind+" "+o.Metadata.Name] = o
		}
	}
	return found
}

// admitPods creates a pod from each template, as controllers would, and removes it.
func (c *cluster) admitPods(t *testing.T, namespace string, objects map[string]kept) (admitted int) {
	t.Helper()
	for _, o := range objects {
		template := o.Spec.Template
		if template.Spec == nil {
			continue
		}
		admitted++
		template.Metadata["name"] = "pod-of-" + strings.ToLower(o.Metadata.Name)
		pod, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": template.Metadata, "spec": template.Spec})
		if err != nil {
			t.Fatal(err)
		}
		c.kubectl(t, string(pod), "create", "--namespace="+namespace, "--filename=-")
		c.kubectl(t, string(pod), "delete", "--namespace="+namespace, "--filename=-")
	}
	return admitted
}

// freeAddress returns an unused address.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// privateKey returns a key with which an API server signs tokens.
func privateKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// start starts a server, which is killed when the test ends. If the test failed, its log is shown.
func start(t *testing.T, program string, args ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, args...)
	var log bytes.Buffer
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Wait() // it was killed
		if t.Failed() {
			t.Logf("log of %s:\n%s", filepath.Base(program), log.Bytes()[max(0, log.Len()-5000):])
		}
	})
}
