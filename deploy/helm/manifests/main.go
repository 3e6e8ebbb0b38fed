// Command manifests reads Kubernetes manifests as the API server would: manifests FILE... Each document must be of a kind that
// it knows, and have the fields of that kind only, each of its type. It is a module of its own, so that the product's needs no
// Kubernetes. What only a cluster knows (defaults, admission, custom kinds) it cannot judge.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

var kinds = map[string]func() any{
	"apps/v1 StatefulSet":                func() any { return new(appsv1.StatefulSet) },
	"batch/v1 CronJob":                   func() any { return new(batchv1.CronJob) },
	"networking.k8s.io/v1 NetworkPolicy": func() any { return new(networkingv1.NetworkPolicy) },
	"policy/v1 PodDisruptionBudget":      func() any { return new(policyv1.PodDisruptionBudget) },
	"v1 ConfigMap":                       func() any { return new(corev1.ConfigMap) },
	"v1 Service":                         func() any { return new(corev1.Service) },
	"v1 ServiceAccount":                  func() any { return new(corev1.ServiceAccount) },
}

// custom kinds have their definitions in the cluster.
var custom = map[string]bool{"monitoring.coreos.com/v1 ServiceMonitor": true, "monitoring.coreos.com/v1 PrometheusRule": true}

func main() {
	for _, path := range os.Args[1:] {
		text, err := os.ReadFile(path)
		if err == nil {
			err = judge(string(text))
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			os.Exit(1)
		}
	}
}

func judge(text string) error {
	seen := 0
	for i, document := range strings.Split("\n"+text, "\n---\n") {
		if strings.TrimSpace(document) == "" {
			continue
		}
		seen++
		if err := judgeOne([]byte(document)); err != nil {
			return fmt.Errorf("document %d: %w", i, err)
		}
	}
	if seen == 0 {
		return errors.New("no document")
	}
	return nil
}

func judgeOne(document []byte) error {
	var about struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        metav1.ObjectMeta `json:"metadata"`
	}
	if err := yaml.Unmarshal(document, &about); err != nil {
		return err
	}
	kind := about.APIVersion + " " + about.Kind
	if about.Metadata.Name == "" {
		return fmt.Errorf("%s without a name", kind)
	}
	if custom[kind] {
		return nil
	}
	made, known := kinds[kind]
	if !known {
		return fmt.Errorf("unknown kind %q", kind)
	}
	if err := yaml.UnmarshalStrict(document, made()); err != nil {
		return fmt.Errorf("%s %s: %w", kind, about.Metadata.Name, err)
	}
	return nil
}
