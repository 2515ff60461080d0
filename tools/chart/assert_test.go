package chart

import (
	"encoding/base64"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Pods are as the restricted pod security standard wants them, and nothing of the root file system is written.
func TestRestrictedPods(t *testing.T) {
	each(t, func(t *testing.T, _ string, r *rendered) {
		pod := r.statefulSet.Spec.Template.Spec
		if s := pod.SecurityContext; s == nil || !*s.RunAsNonRoot || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("pod security context: %+v", s)
		}
		if *pod.AutomountServiceAccountToken || pod.HostNetwork || pod.HostPID || pod.HostIPC {
			t.Error("the pod has a token of the cluster, or the host's namespaces")
		}
		for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
			s := c.SecurityContext
			if s == nil || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !*s.RunAsNonRoot ||
				!slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
				t.Errorf("security context of %s: %+v", c.Name, s)
			}
			if c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
				t.Errorf("%s has no resources", c.Name)
			}
		}
	})
}

// One replica with a volume, which every container mounts; each mount has its volume and each volume its mount.
func TestVolumes(t *testing.T) {
	each(t, func(t *testing.T, _ string, r *rendered) {
		spec := r.statefulSet.Spec
		if *spec.Replicas != 1 || len(spec.VolumeClaimTemplates) != 1 {
			t.Fatalf("%d replicas, %d claims", *spec.Replicas, len(spec.VolumeClaimTemplates))
		}
		volumes := map[string]bool{spec.VolumeClaimTemplates[0].Name: false}
		for _, v := range spec.Template.Spec.Volumes {
			volumes[v.Name] = false
			// A secret that others make may be missing: the log says so, if the pod starts.
			if s := v.Secret; s != nil && s.SecretName != r.secret.Name && (s.Optional == nil || !*s.Optional) {
				t.Errorf("without secret %s the pod does not start", s.SecretName)
			}
			if v.Projected != nil {
				for _, source := range v.Projected.Sources {
					if o := source.Secret.Optional; o == nil || !*o {
						t.Errorf("without secret %s the pod does not start", source.Secret.Name)
					}
				}
			}
		}
		for _, c := range slices.Concat(spec.Template.Spec.InitContainers, spec.Template.Spec.Containers) {
			for _, m := range c.VolumeMounts {
				if _, ok := volumes[m.Name]; !ok {
					t.Errorf("%s mounts %s, which is no volume", c.Name, m.Name)
				}
				volumes[m.Name] = true
				if writable := m.Name == "data" || m.Name == "tmp"; m.ReadOnly == writable {
					t.Errorf("%s mounts %s read-only: %v", c.Name, m.Name, m.ReadOnly)
				}
			}
			for _, e := range c.Env {
				if path, ok := strings.CutPrefix(e.Value, "/etc/ucwarden/"); ok && !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
					return strings.HasPrefix("/etc/ucwarden/"+path, m.MountPath)
				}) {
					t.Errorf("%s: %s names %s, where nothing is mounted", c.Name, e.Name, e.Value)
				}
			}
		}
		for name, used := range volumes {
			if !used {
				t.Errorf("no container mounts %s", name)
			}
		}
	})
}

// Keys are made once, before the daemon, by the same image, where the daemon looks for them.
func TestKeys(t *testing.T) {
	each(t, func(t *testing.T, name string, r *rendered) {
		pod := r.statefulSet.Spec.Template.Spec
		if want := name != "files" && name != "scheduled"; want != (len(pod.InitContainers) == 1) {
			t.Fatalf("%d init containers", len(pod.InitContainers))
		} else if !want {
			return
		}
		c := pod.InitContainers[0]
		if want := []string{"keys", "generate", "--once", "--instance", "instance1", "--out", "/var/lib/ucwarden/keys"}; !slices.Equal(c.Args, want) || c.Image != pod.Containers[0].Image {
			t.Errorf("%s %q", c.Image, c.Args)
		}
		if !slices.ContainsFunc(pod.Containers[0].Env, func(e corev1.EnvVar) bool {
			return e.Name == "UCWARDEN_APISERVER_JWT_JWKS" && e.Value == "/var/lib/ucwarden/keys/instance1/api-server/jwks.json"
		}) {
			t.Errorf("the daemon looks elsewhere: %v", pod.Containers[0].Env)
		}
	})
}

// What a service, a network policy, a budget, a probe or an ingress points at is there.
func TestReferences(t *testing.T) {
	each(t, func(t *testing.T, name string, r *rendered) {
		template := r.statefulSet.Spec.Template
		ports := map[string]int32{}
		for _, p := range template.Spec.Containers[0].Ports {
			ports[p.Name] = p.ContainerPort
		}
		selects := func(what string, selector map[string]string) {
			t.Helper()
			if len(selector) == 0 {
				t.Errorf("%s selects everything", what)
			}
			for key, value := range selector {
				if template.Labels[key] != value {
					t.Errorf("%s selects %s=%s, the pod has %q", what, key, value, template.Labels[key])
				}
			}
		}
		port := func(what string, p intstr.IntOrString) {
			t.Helper()
			if ports[p.StrVal] == 0 {
				t.Errorf("%s names port %v; the pod has %v", what, p.String(), ports)
			}
		}
		selects("the stateful set", r.statefulSet.Spec.Selector.MatchLabels)
		if r.services[r.statefulSet.Spec.ServiceName] == nil {
			t.Errorf("no service %s", r.statefulSet.Spec.ServiceName)
		}
		for _, s := range r.services {
			selects("service "+s.Name, s.Spec.Selector)
			for _, p := range s.Spec.Ports {
				port("service "+s.Name, p.TargetPort)
			}
		}
		if r.network != nil {
			selects("the network policy", r.network.Spec.PodSelector.MatchLabels)
			for _, rule := range r.network.Spec.Ingress {
				for _, p := range rule.Ports {
					port("the network policy", *p.Port)
				}
			}
		}
		if r.budget != nil {
			selects("the budget", r.budget.Spec.Selector.MatchLabels)
			if r.budget.Spec.MaxUnavailable.IntValue() != 1 || r.budget.Spec.MinAvailable != nil {
				t.Errorf("budget: %+v", r.budget.Spec)
			}
		}
		main := template.Spec.Containers[0]
		if api := name != "scheduled"; api != (main.ReadinessProbe != nil) || api != (main.LivenessProbe != nil) || api != (len(r.services) == 3) {
			t.Errorf("probes or services: %v %v %d", main.LivenessProbe, main.ReadinessProbe, len(r.services))
		} else if api {
			if main.LivenessProbe.HTTPGet.Path != "/healthz" || main.ReadinessProbe.HTTPGet.Path != "/readyz" {
				t.Errorf("probes: %v %v", main.LivenessProbe, main.ReadinessProbe)
			}
			port("the liveness probe", main.LivenessProbe.HTTPGet.Port)
			port("the readiness probe", main.ReadinessProbe.HTTPGet.Port)
		}
		if r.account == nil && template.Spec.ServiceAccountName != "ucwarden" || r.account != nil && r.account.Name != template.Spec.ServiceAccountName {
			t.Errorf("service account %q", template.Spec.ServiceAccountName)
		}
		if r.monitor != nil {
			admin := r.services["uc-ucwarden-admin"]
			for key, value := range r.monitor.Spec.Selector.MatchLabels {
				if admin.Labels[key] != value {
					t.Errorf("the monitor selects %s=%s, the service has %q", key, value, admin.Labels[key])
				}
			}
			if got := r.monitor.Spec.Endpoints[0].Port; got != admin.Spec.Ports[0].Name {
				t.Errorf("the monitor reads port %s", got)
			}
		}
		if (r.prometheus != nil) != (name == "monitoring") || (r.monitor != nil) != (name == "monitoring") {
			t.Error("types of the Prometheus operator are rendered where they are off, or not where they are on")
		}
	})
}

// The ingress leads to the API and not to the port without tokens; it does not buffer and waits longer than a minute.
func TestIngress(t *testing.T) {
	each(t, func(t *testing.T, name string, r *rendered) {
		if want := name == "properties" || name == "ingress"; want != (r.ingress != nil) {
			t.Fatalf("ingress: %v", r.ingress)
		}
		if r.ingress == nil {
			return
		}
		backend := r.ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service
		service := r.services[backend.Name]
		if service == nil || service.Spec.Ports[0].Name != backend.Port.Name || service.Spec.Ports[0].TargetPort.StrVal != "api" {
			t.Errorf("backend %+v", backend)
		}
		const nginx = "nginx.ingress.kubernetes.io/"
		a := r.ingress.Annotations
		if a[nginx+"proxy-buffering"] != "off" || a[nginx+"proxy-read-timeout"] != "3600" || a[nginx+"ssl-redirect"] != "true" {
			t.Errorf("annotations %v", a)
		}
		if got, want := a[nginx+"backend-protocol"] == "HTTPS", name == "ingress"; got != want {
			t.Errorf("TLS to the pod: %v", got)
		}
		if tls := r.ingress.Spec.TLS; len(tls) != 1 || tls[0].SecretName != "ucwarden-tls" || tls[0].Hosts[0] != r.ingress.Spec.Rules[0].Host {
			t.Errorf("TLS %+v", tls)
		}
		if !strings.Contains(r.notes, "UCWARDEN_API_SERVER: https://ucwarden.example.com\n") {
			t.Errorf("notes: %s", r.notes)
		}
	})
}

// A load balancer exists only where it was asked for, and never for the port without tokens.
func TestExposure(t *testing.T) {
	each(t, func(t *testing.T, name string, r *rendered) {
		for _, s := range r.services {
			exposed := s.Spec.Type == corev1.ServiceTypeLoadBalancer || s.Spec.Type == corev1.ServiceTypeNodePort
			if want := name == "loadbalancer" && s.Spec.Ports != nil && s.Spec.Ports[0].Name == "api"; exposed != want {
				t.Errorf("service %s has type %s", s.Name, s.Spec.Type)
			}
		}
	})
}

// A policy manager's properties reach the pod byte for byte, in a Secret.
func TestPropertiesAsTheyAre(t *testing.T) {
	want, err := os.ReadFile("testdata/vars.connector.databricks.unity.catalog.yml")
	if err != nil {
		t.Fatal(err)
	}
	r := mustRender(t, combinations(t)["properties"])
	if got := string(r.secret.Data["ucwarden.yaml"]); got != string(want) {
		t.Errorf("got %q", got)
	}
	if strings.Contains(r.files, base64.StdEncoding.EncodeToString([]byte("client-secret"))) {
		t.Error("a secret by reference was rendered")
	}
	for _, e := range r.statefulSet.Spec.Template.Spec.Containers[0].Env {
		if e.Name == "UCWARDEN_APISERVER_ENABLED" || e.Name == "UCWARDEN_ONDEMAND_ENABLED" {
			t.Errorf("%s overrides what the properties say", e.Name)
		}
	}
	off := combinations(t)["properties"]
	off["properties"] = strings.ReplaceAll(string(want), "API_SERVER_ENABLED: \"true\"", "API_SERVER_ENABLED: \"false\"")
	off["properties"] = strings.ReplaceAll(off["properties"].(string), "EXTERNAL_ACCESS_ENABLED: \"true\"", "EXTERNAL_ACCESS_ENABLED: \"false\"")
	delete(off, "ingress")
	if r := mustRender(t, off); len(r.services) != 1 || r.ingress != nil {
		t.Errorf("the API is off, yet services are %d", len(r.services))
	}
}

// The notes say how to get a first token, and where from.
func TestNotes(t *testing.T) {
	for name, want := range map[string][]string{
		"minimal": {
			"UCWARDEN_API_SERVER: http://uc-ucwarden.data.svc:8282\n",
			"kubectl -n data exec uc-ucwarden-0 -c ucwarden -- /ucwarden token issue --dir /var/lib/ucwarden/keys --instance instance1 ",
			"kubectl -n data logs uc-ucwarden-0 --all-containers | head\n",
		},
		"loadbalancer": {"UCWARDEN_API_SERVER: https://ADDRESS:443\n", "get service uc-ucwarden -o jsonpath"},
		"files":        {"Tokens come from whoever holds the keys"},
		"scheduled":    {"No API: ", "/ucwarden doctor"},
	} {
		notes := mustRender(t, combinations(t)[name]).notes
		for _, text := range want {
			if !strings.Contains(notes, text) {
				t.Errorf("%s: no %q in:\n%s", name, text, notes)
			}
		}
	}
}

// What cannot work is refused before anything is deployed, and the message names the value.
func TestRefused(t *testing.T) {
	const base = "config: {databricks: {host: https://h.example.com}}\n"
	for text, want := range map[string]string{
		"imagee: {}":                                    "imagee",
		"image: {tagg: x}":                              "tagg",
		"config: {databricks: {hots: x}}":               "hots",
		"config: {sync: {mode: sometimes}}":             "config.sync.mode",
		"config: {sync: {on_start: 3}}":                 "config.sync.on_start",
		"config: {ondemand: {workers: many}}":           "config.ondemand.workers",
		"service: {port: http}":                         "service.port",
		"networkPolicy: {egressPorts: ['443']}":         "networkPolicy.egressPorts",
		"keys: {generate: maybe}":                       "keys.generate",
		"resources: {limit: {}}":                        "limit",
		"ingress: {tls: true}":                          "ingress.tls",
		"service: {port: 99999999}":                     "service.port",
		"persistence: {size: 3}":                        "persistence.size",
		"env: {PATH: x}":                                "invalid propertyName PATH",
		"secrets: {databricks.tokn: {name: a, key: b}}": "databricks.tokn",
		"secrets: {databricks.token: {name: a}}":        "secrets.databricks.token",
		"podSecurity: {runAsUser: 0}":                   "podSecurity.runAsUser",
		base + "properties: 'A: b'":                     "properties: config is set too",
		"properties: '['":                               "properties: not a YAML mapping",
		"config: {apiserver: {external_access: true, nginx_ingress: true}}":                                                    "ingress.host: needed",
		"config: {apiserver: {external_access: true, nginx_ingress: true}}\ningress: {host: a.example.com}":                    "ingress.tls.secretName: needed",
		"config: {apiserver: {external_access: true}}":                                                                         "tls.secretName: needed",
		"properties: 'CONNECTOR_DATABRICKS_UNITY_CATALOG_EXTERNAL_ACCESS_ENABLED: \"yes\"'":                                    "tls.secretName: needed",
		"env: {UCWARDEN_APISERVER_EXTERNAL_ACCESS: true}":                                                                      "tls.secretName: needed",
		"config: {apiserver.external_access: true}":                                                                            "apiserver.external_access",
		"config: {apiserver: {external_access: true, enabled: false}}\ntls: {secretName: t}":                                   "apiserver.external_access: there is no API",
		"ingress: {host: a.example.com}":                                                                                       "ingress.host: without effect",
		"config: {databricks: {token: x}}\nsecrets: {databricks.token: {name: a, key: b}}":                                     "secrets.databricks.token: also set inline (config.databricks.token)",
		"properties: 'CONNECTOR_DATABRICKS_UNITY_CATALOG_API_ACCESS_TOKEN: x'\nsecrets: {databricks.token: {name: a, key: b}}": "secrets.databricks.token: also set inline (properties: CONNECTOR_",
		"env: {UCWARDEN_DATABRICKS_TOKEN: x}":                                                                                  "env.UCWARDEN_DATABRICKS_TOKEN: a secret",
		"env: {UCWARDEN_DATABRICKS_TOKEN_FILE: x}":                                                                             "env.UCWARDEN_DATABRICKS_TOKEN: a secret",
		"env: {UCWARDEN_WEBHOOK_URL: 'https://h.example/x?sig=y'}":                                                             "env.UCWARDEN_WEBHOOK_URL: its query may be a secret",
		"config: {store: {path: /data}}":                                                                                       "config.store.path: set by the chart",
		"env: {UCWARDEN_APISERVER_ADDR: ':80'}":                                                                                "env.UCWARDEN_APISERVER_ADDR: set by the chart",
		"config: {policies: {path: /x}}\npolicies: {configMap: p}":                                                             "config.policies.path: set by the chart",
		"config: {apiserver: {enabled: false}}\nmonitoring: {serviceMonitor: {enabled: true}}":                                 "monitoring.serviceMonitor.enabled: there are no metrics",
	} {
		_, err := render(t, "uc", "1.37.0", values(t, text))
		if err == nil || !strings.Contains(strings.NewReplacer("'", "", "/", ".").Replace(err.Error()), want) {
			t.Errorf("%s\nwant %q, got %v", text, want, err)
		}
	}
}

// A release may have any name: what is made of it fits the limits of Kubernetes.
func TestLongNames(t *testing.T) {
	r, err := render(t, strings.Repeat("a", 53), "1.37.0", combinations(t)["minimal"])
	if err != nil {
		t.Fatal(err)
	}
	for name := range r.services {
		if len(name) > 63 {
			t.Errorf("%s has %d characters", name, len(name))
		}
	}
	if name := r.statefulSet.Name; len(name) > 52 || strings.HasSuffix(name, "-") {
		t.Errorf("stateful set %s", name)
	}
}
