// Package chart checks the Helm chart: it lints it, renders every documented combination of values, validates what is rendered
// against the Kubernetes schemas in schemas/ and the Prometheus operator's types, and asserts what schemas do not say.
package chart

import (
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/yannh/kubeconform/pkg/validator"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const chartDir = "../../deploy/helm/ucwarden"

// versions are the oldest and the newest Kubernetes that rendered objects are validated for.
var versions = []string{"1.27.0", "1.37.0"}

// rendered is a release of the chart.
type rendered struct {
	notes string
	files string // every object, as helm template prints them

	statefulSet *appsv1.StatefulSet
	services    map[string]*corev1.Service
	secret      *corev1.Secret
	account     *corev1.ServiceAccount
	ingress     *networkingv1.Ingress
	network     *networkingv1.NetworkPolicy
	budget      *policyv1.PodDisruptionBudget
	monitor     *monitoringv1.ServiceMonitor
	prometheus  *monitoringv1.PrometheusRule
}

// render does what helm template does with a values file.
func render(t *testing.T, name, kubeVersion string, values map[string]any) (*rendered, error) {
	t.Helper()
	chart, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	install := action.NewInstall(&action.Configuration{Log: func(string, ...any) {}})
	install.ReleaseName, install.Namespace = name, "data"
	install.DryRun, install.ClientOnly, install.Replace = true, true, true
	if install.KubeVersion, err = chartutil.ParseKubeVersion(kubeVersion); err != nil {
		t.Fatal(err)
	}
	release, err := install.Run(chart, values)
	if err != nil {
		return nil, err
	}
	r := &rendered{notes: release.Info.Notes, files: release.Manifest, services: map[string]*corev1.Service{}}
	for _, document := range strings.Split(release.Manifest, "\n---\n") {
		if strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(document), "---")) != "" {
			r.add(t, document)
		}
	}
	return r, nil
}

// add decodes an object strictly: an unknown field or a wrong type fails, as does a kind that is not known here.
func (r *rendered) add(t *testing.T, document string) {
	t.Helper()
	var head struct{ Kind string }
	if err := yaml.Unmarshal([]byte(document), &head); err != nil {
		t.Fatalf("%v:\n%s", err, document)
	}
	decode := func(into any) {
		if err := yaml.UnmarshalStrict([]byte(document), into); err != nil {
			t.Errorf("%s: %v:\n%s", head.Kind, err, document)
		}
	}
	switch head.Kind {
	case "StatefulSet":
		decode(&r.statefulSet)
	case "Service":
		s := &corev1.Service{}
		decode(s)
		r.services[s.Name] = s
	case "Secret":
		decode(&r.secret)
	case "ServiceAccount":
		decode(&r.account)
	case "Ingress":
		decode(&r.ingress)
	case "NetworkPolicy":
		decode(&r.network)
	case "PodDisruptionBudget":
		decode(&r.budget)
	case "ServiceMonitor":
		decode(&r.monitor)
	case "PrometheusRule":
		decode(&r.prometheus)
	default:
		t.Errorf("kind %q is not known to the tests:\n%s", head.Kind, document)
	}
}

// combinations returns the values files of testdata/values, each a documented way to use the chart, by name.
func combinations(t *testing.T) map[string]map[string]any {
	t.Helper()
	paths, err := filepath.Glob("testdata/values/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no values files: %v", err)
	}
	all := map[string]map[string]any{}
	for _, path := range paths {
		values, err := chartutil.ReadValuesFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if file, ok := values["propertiesFile"].(string); ok { // --set-file properties=FILE
			data, err := os.ReadFile(filepath.Join("testdata", file))
			if err != nil {
				t.Fatal(err)
			}
			delete(values, "propertiesFile")
			values["properties"] = string(data)
		}
		all[strings.TrimSuffix(filepath.Base(path), ".yaml")] = values
	}
	return all
}

func TestLint(t *testing.T) {
	for name, values := range combinations(t) {
		for _, message := range lint.All(chartDir, values, "data", true).Messages {
			if message.Severity > support.InfoSev {
				t.Errorf("%s: %v", name, message)
			}
		}
	}
}

func TestSchemas(t *testing.T) {
	for _, version := range versions {
		v, err := validator.New([]string{"schemas/{{ .NormalizedKubernetesVersion }}/{{ .ResourceKind }}{{ .KindSuffix }}.json"}, validator.Opts{
			KubernetesVersion: version, Strict: true, IgnoreMissingSchemas: false,
			// Not Kubernetes' own: these are decoded strictly into the operator's types.
			SkipKinds: map[string]struct{}{"ServiceMonitor": {}, "PrometheusRule": {}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range combinations(t) {
			r, err := render(t, "uc", version, values)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if n := invalid(t, v, r.files); n > 0 {
				t.Errorf("%s: %d objects are not valid for Kubernetes %s", name, n, version)
			}
		}
		// The validation can fail: a misspelt field, a wrong type, and a kind without a schema.
		for _, document := range []string{
			"apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {prots: []}\n",
			"apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: http}]}\n",
			"apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: x}\nspec: {}\n",
		} {
			found := 0
			for _, result := range v.Validate("x", io.NopCloser(strings.NewReader(document))) {
				if result.Status == validator.Invalid || result.Status == validator.Error {
					found++
				}
			}
			if found != 1 {
				t.Errorf("Kubernetes %s: accepted:\n%s", version, document)
			}
		}
	}
}

// invalid reports what of a manifest is not valid, and returns how many objects that are.
func invalid(t *testing.T, v validator.Validator, manifest string) int {
	t.Helper()
	n := 0
	for _, result := range v.Validate("chart", io.NopCloser(bytes.NewReader([]byte(manifest)))) {
		if result.Status == validator.Invalid || result.Status == validator.Error {
			n++
			t.Errorf("%v\n%s", result.Err, result.Resource.Bytes)
		}
	}
	return n
}

func mustRender(t *testing.T, values map[string]any) *rendered {
	t.Helper()
	r, err := render(t, "uc", versions[len(versions)-1], values)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// values parses YAML.
func values(t *testing.T, text string) map[string]any {
	t.Helper()
	v, err := chartutil.ReadValues([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// each renders every combination and calls check.
func each(t *testing.T, check func(t *testing.T, name string, r *rendered)) {
	t.Helper()
	all := combinations(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) { check(t, name, mustRender(t, all[name])) })
	}
}
