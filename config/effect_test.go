package config_test

import (
	"slices"
	"testing"
)

// Keys that nothing reads are accepted by each of their names, and named only when somebody set them.
func TestWithoutEffect(t *testing.T) {
	for _, test := range []struct {
		file    string
		environ []string
		want    []string
	}{
		{file: "store: {path: d}"},
		{file: "databricks: {warehouse: abc123}\nstore: {path: d}"},
		{file: "apiserver: {nginx_ingress: false}", want: []string{"apiserver.nginx_ingress"}},
		{
			file: "CONNECTOR_DATABRICKS_UNITY_CATALOG_EXTERNAL_ACCESS_ENABLED: true",
			environ: []string{
				"CONNECTOR_DATABRICKS_UNITY_CATALOG_K8S_NGINX_INGRESS_ENABLE=true",
			},
			want: []string{
				"apiserver.external_access", "apiserver.nginx_ingress",
			},
		},
	} {
		if got := load(t, test.file, test.environ...).WithoutEffect(); !slices.Equal(got, test.want) {
			t.Errorf("%s %q: got %q, want %q", test.file, test.environ, got, test.want)
		}
	}
}
