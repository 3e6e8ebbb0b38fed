package deploy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/belpoort/belpoort/rig"
)

const schemaFile = "helm/belpoort/values.schema.json"

// chartSets are the flags that the chart itself sets, from other values or for good.
var chartSets = []string{
	"grpc", "http", "ops", "data", "config", "help", "node-name", "ledger", "redis", "api-keys", "plaintext", "agi", "agi-from", "tls-cert", "tls-key", "tls-client-ca",
}

// flagTypes are JSON schemas by the type that a flag's help names; "" for one that is on or off.
var flagTypes = map[string]map[string]any{
	"":         {"type": "boolean"},
	"string":   {"type": "string"},
	"strings":  {"type": "array", "items": map[string]any{"type": "string"}},
	"int":      {"type": "integer", "minimum": 0},
	"float":    {"type": "number", "minimum": 0},
	"duration": {"type": "string", "pattern": `^(0|([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+)$`},
}

// TestChartKnowsTheFlags holds the schema's list of settings to the service's flags.
func TestChartKnowsTheFlags(t *testing.T) {
	help, err := exec.Command("go", "run", "../cmd/belpoort", "serve", "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, help)
	}
	settings := map[string]any{}
	for _, found := range regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)(?: ([a-zA-Z0-9]+))?  `).FindAllStringSubmatch(string(help), -1) {
		if slices.Contains(chartSets, found[1]) {
			continue
		}
		kind, known := flagTypes[strings.TrimRight(found[2], "0123456789")]
		if !known {
			t.Errorf("--%s is of the type %q, which the chart's schema does not know", found[1], found[2])
		}
		settings[found[1]] = kind
	}
	var schema map[string]any
	old := read(t, schemaFile)
	if err := json.Unmarshal([]byte(old), &schema); err != nil {
		t.Fatal(err)
	}
	schema["properties"].(map[string]any)["config"].(map[string]any)["properties"] = settings
	var fresh bytes.Buffer
	encoder := json.NewEncoder(&fresh)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(schema); err != nil {
		t.Fatal(err)
	}
	if len(settings) < 5 {
		t.Errorf("%d flags found", len(settings))
	}
	if fresh.String() == old {
		return
	}
	if !*update {
		t.Fatal(schemaFile + " is out of date: go test ./deploy -run TestChartKnows -update")
	}
	if err := os.WriteFile(schemaFile, fresh.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// manifest is as much of a rendered document as these tests look at.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		ServiceName          string
		Replicas             int
		ClusterIP            string
		Selector             map[string]any
		Template             struct{ Spec podSpec }
		VolumeClaimTemplates []struct{ Metadata struct{ Name string } }
		JobTemplate          struct {
			Spec struct{ Template struct{ Spec podSpec } }
		}
		Ports []struct {
			Port       int
			TargetPort string
		}
	}
}

type podSpec struct {
	TerminationGracePeriodSeconds int
	EnableServiceLinks            *bool
	InitContainers, Containers    []container
	Volumes                       []map[string]any
}

type container struct {
	Name, Image string
	Args        []string
	Env         []struct {
		Name, Value string
		ValueFrom   map[string]map[string]string
	}
	Ports []struct {
		Name          string
		ContainerPort int
	}
	VolumeMounts                                []struct{ Name, MountPath, SubPath string }
	SecurityContext                             struct{ ReadOnlyRootFilesystem bool }
	StartupProbe, ReadinessProbe, LivenessProbe struct {
		HTTPGet struct{ Path, Port, Scheme string }
	}
	Lifecycle struct {
		PreStop struct{ Sleep struct{ Seconds int } }
	}
}

// rendered reads what helm made of one of the chart's sets of values; `make check-helm` holds the file to the chart.
func rendered(t *testing.T, name string) map[string]manifest {
	t.Helper()
	all := map[string]manifest{}
	documents := yaml.NewDecoder(strings.NewReader(read(t, "helm/rendered/"+name+".yaml")))
	for {
		var document map[string]any
		if documents.Decode(&document) != nil {
			break
		}
		var one manifest
		text, err := json.Marshal(document)
		if err == nil {
			err = json.Unmarshal(text, &one) // which, unlike YAML's, is not told each field's name
		}
		if err != nil {
			t.Fatal(err)
		}
		if one.Kind != "" {
			all[one.Kind+" "+one.Metadata.Name] = one
		}
	}
	if all["StatefulSet belpoort"].Kind == "" {
		t.Fatalf("%s has no StatefulSet: %v", name, all)
	}
	return all
}

// stopSeconds is what a node needs at most to stop, from its own constants.
func stopSeconds(t *testing.T) (total int) {
	t.Helper()
	source := read(t, "../cmd/belpoort/node.go")
	for _, name := range []string{"drainTime", "shipTime", "leaveTime"} {
		found := regexp.MustCompile(`\b` + name + `\s+= (?:(\d+) \* )?time\.Second`).FindStringSubmatch(source)
		if found == nil {
			t.Fatalf("cmd/belpoort/node.go has no %s", name)
		}
		seconds, err := strconv.Atoi(found[1])
		if err != nil {
			seconds = 1
		}
		total += seconds
	}
	return total
}

// TestRenderedPodsHoldTogether looks for what the API server accepts and a pod then waits for in vain.
func TestRenderedPodsHoldTogether(t *testing.T) {
	for _, name := range []string{"one", "three", "mutual"} {
		all := rendered(t, name)
		set := all["StatefulSet belpoort"]
		pod := set.Spec.Template.Spec
		node := pod.Containers[0]
		volumes := map[string]bool{set.Spec.VolumeClaimTemplates[0].Metadata.Name: true}
		for _, v := range pod.Volumes {
			volumes[v["name"].(string)] = true
		}
		for _, c := range append(slices.Clone(pod.InitContainers), pod.Containers...) {
			if !c.SecurityContext.ReadOnlyRootFilesystem || c.Image == "" {
				t.Errorf("%s: %s: %+v", name, c.Name, c)
			}
			for _, m := range c.VolumeMounts {
				if !volumes[m.Name] {
					t.Errorf("%s: %s mounts %s, which is no volume of the pod", name, c.Name, m.Name)
				}
			}
		}
		if all["Service "+set.Spec.ServiceName].Spec.ClusterIP != "None" {
			t.Errorf("%s: the set's service %s is not headless", name, set.Spec.ServiceName)
		}
		if need := node.Lifecycle.PreStop.Sleep.Seconds + stopSeconds(t); pod.TerminationGracePeriodSeconds <= need {
			t.Errorf("%s: killed after %d seconds, a stop takes up to %d", name, pod.TerminationGracePeriodSeconds, need)
		}
		if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
			t.Errorf("%s: the cluster's services would set variables that begin with BELPOORT_", name)
		}
		ports := map[string]int{}
		for _, p := range node.Ports {
			ports[p.Name] = p.ContainerPort
		}
		for _, probe := range []string{node.StartupProbe.HTTPGet.Port, node.ReadinessProbe.HTTPGet.Port, node.LivenessProbe.HTTPGet.Port} {
			if ports[probe] != 2359 {
				t.Errorf("%s: a probe asks port %q", name, probe)
			}
		}
		for service := range all {
			for _, p := range all[service].Spec.Ports {
				if strings.HasPrefix(service, "Service ") && ports[p.TargetPort] != p.Port {
					t.Errorf("%s: %s leads to %+v", name, service, p)
				}
			}
		}
		settings := map[string]any{}
		if err := yaml.Unmarshal([]byte(all["ConfigMap belpoort"].Data["belpoort.yaml"]), &settings); err != nil || len(settings) == 0 {
			t.Errorf("%s: settings %v, %v", name, settings, err)
		}
		for flag := range settings {
			isFlag(t, name, flag)
		}
	}
	drill := rendered(t, "three")["CronJob belpoort-drill"].Spec.JobTemplate.Spec.Template.Spec.Containers[0]
	for _, node := range []string{"belpoort-0", "belpoort-1", "belpoort-2"} {
		if !slices.Contains(drill.Args, "--node="+node+".belpoort-nodes:2357") {
			t.Errorf("the drill leaves %s out: %v", node, drill.Args)
		}
	}
}

// pod is a container of a rendered pod on this machine: the real binary with the pod's arguments, variables and files, its
// folders under a scratch one and its ports on loopback.
type pod struct {
	t       *testing.T
	root    string
	secrets map[string]string // by Secret and key
	binary  string
}

func newPod(t *testing.T, secrets map[string]string) *pod {
	t.Helper()
	p := &pod{t: t, root: t.TempDir(), secrets: secrets}
	p.binary = filepath.Join(p.root, "belpoort")
	if output, err := exec.Command("../scripts/build.sh", p.binary).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return p
}

// local moves the pod's paths under the scratch folder.
func (p *pod) local(text string) string {
	return regexp.MustCompile(`/(?:etc/belpoort|var/lib/belpoort|run/secrets)\b`).ReplaceAllString(text, p.root+"$0")
}

func (p *pod) write(path, content string) {
	p.t.Helper()
	path = p.local(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pod) command(c container) *exec.Cmd {
	p.t.Helper()
	limited, cancel := context.WithTimeout(p.t.Context(), 2*time.Minute)
	p.t.Cleanup(cancel)
	var arguments []string
	for _, a := range c.Args {
		arguments = append(arguments, p.local(a))
	}
	command := exec.CommandContext(limited, p.binary, arguments...)
	command.Dir = p.root
	command.Env = []string{"BELPOORT_LOG_LEVEL=info"} // which says where it serves
	for _, setting := range imageEnvironment(p.t) {
		command.Env = append(command.Env, p.local(strings.ReplaceAll(setting, "0.0.0.0:", "127.0.0.1:")))
	}
	for _, v := range c.Env {
		value := p.local(v.Value)
		for kind, from := range v.ValueFrom {
			switch kind {
			case "fieldRef":
				value = "belpoort-0"
			case "secretKeyRef":
				value = p.secrets[from["name"]+"/"+from["key"]]
			case "resourceFieldRef":
				value = "2"
			}
		}
		command.Env = append(command.Env, v.Name+"="+value)
	}
	return command
}

// serve runs the container until it is ready, asks it by its probe, and stops it as a kubelet would.
func (p *pod) serve(c container, client *http.Client) {
	p.t.Helper()
	command := p.command(c)
	stderr, err := command.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		p.t.Fatal(err)
	}
	address, lines := untilServing(bufio.NewReader(stderr))
	if address == "" {
		p.t.Fatalf("ended without serving: %v\n%s", command.Wait(), lines)
	}
	probe := c.ReadinessProbe.HTTPGet
	answer, err := client.Get(strings.ToLower(probe.Scheme) + "://" + address + probe.Path)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		p.t.Errorf("the probe hears %s", answer.Status)
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Error(err)
	}
	if err := command.Wait(); err != nil {
		p.t.Errorf("after SIGTERM: %v", err)
	}
}

// TestRenderedPodOfOneNodeServes starts the binary on what the chart makes of one node with its own ledger.
func TestRenderedPodOfOneNodeServes(t *testing.T) {
	all := rendered(t, "one")
	p := newPod(t, nil)
	settings := all["ConfigMap belpoort"].Data["belpoort.yaml"]
	p.write("/etc/belpoort/belpoort.yaml", p.local(strings.ReplaceAll(settings, "0.0.0.0:4573", "127.0.0.1:0")))
	p.write("/etc/belpoort/law/nl.yaml", read(t, "../eligibility/law/nl.yaml"))
	p.write("/var/lib/belpoort/lost+found/none", "")
	p.serve(all["StatefulSet belpoort"].Spec.Template.Spec.Containers[0], http.DefaultClient)
}

// TestRenderedPodOfThreeNodesServes does so for a node of several, with TLS, a real PostgreSQL and a real Redis; its init
// container brings the keys, also over those of an earlier start.
func TestRenderedPodOfThreeNodesServes(t *testing.T) {
	redis := rig.StartRedis(t, rig.RedisOptions{})
	p := newPod(t, map[string]string{
		"belpoort-urls/ledger": rig.SharedPostgres(t).Database(t),
		"belpoort-urls/redis":  "redis://" + redis.Address() + "/0",
	})
	all := rendered(t, "three")
	spec := all["StatefulSet belpoort"].Spec.Template.Spec
	p.write("/etc/belpoort/belpoort.yaml", p.local(all["ConfigMap belpoort"].Data["belpoort.yaml"]))
	p.write("/run/secrets/belpoort/deployment.key", strings.Repeat("0123456789abcdef", 2))
	keys := fmt.Sprintf("keys:\n- id: ops\n  sha256: %064x\n  roles: [ops]\n  organisations: [\"*\"]\n", 1)
	p.write("/run/secrets/belpoort/api-keys.yaml", keys)
	p.write("/etc/belpoort/api-keys/api-keys.yaml", keys)
	certificate, key := selfSigned(t)
	p.write("/etc/belpoort/tls/tls.crt", certificate)
	p.write("/etc/belpoort/tls/tls.key", key)
	// As a kubelet does, this client looks at no certificate.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for range 2 {
		if output, err := p.command(spec.InitContainers[0]).CombinedOutput(); err != nil {
			t.Fatalf("the init container: %v\n%s", err, output)
		}
		p.serve(spec.Containers[0], client)
	}
}

func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}
