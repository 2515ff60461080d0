package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/databricks/databricks-sdk-go/apierr"
	"github.com/databricks/databricks-sdk-go/client"
	"github.com/databricks/databricks-sdk-go/config"
	"github.com/databricks/databricks-sdk-go/service/catalog"
	"github.com/databricks/databricks-sdk-go/service/pipelines"
	"github.com/databricks/databricks-sdk-go/service/sharing"
	"github.com/databricks/databricks-sdk-go/service/sql"
	"github.com/databricks/databricks-sdk-go/service/tags"
)

// libraryServices returns every service of the client library's packages that are about data and access to it.
func libraryServices(c *client.DatabricksClient) []any {
	return []any{
		catalog.NewAccountMetastoreAssignments(c), catalog.NewAccountMetastores(c), catalog.NewAccountStorageCredentials(c),
		catalog.NewAiGateway(c), catalog.NewArtifactAllowlists(c), catalog.NewCatalogs(c), catalog.NewConnections(c),
		catalog.NewCredentials(c), catalog.NewEntityTagAssignments(c), catalog.NewExternalLineage(c), catalog.NewExternalLocations(c),
		catalog.NewExternalMetadata(c), catalog.NewFunctions(c), catalog.NewGrants(c), catalog.NewMetastores(c),
		catalog.NewModelVersions(c), catalog.NewOnlineTables(c), catalog.NewPolicies(c), catalog.NewQualityMonitors(c),
		catalog.NewRegisteredModels(c), catalog.NewResourceQuotas(c), catalog.NewRfa(c), catalog.NewSchemas(c),
		catalog.NewSecretsUc(c), catalog.NewStorageCredentials(c), catalog.NewSystemSchemas(c), catalog.NewTableConstraints(c),
		catalog.NewTables(c), catalog.NewTemporaryPathCredentials(c), catalog.NewTemporaryTableCredentials(c),
		catalog.NewTemporaryVolumeCredentials(c), catalog.NewVolumes(c), catalog.NewWorkspaceBindings(c),
		sharing.NewProviders(c), sharing.NewRecipientActivation(c), sharing.NewRecipientFederationPolicies(c),
		sharing.NewRecipients(c), sharing.NewShares(c),
		sql.NewAlerts(c), sql.NewAlertsLegacy(c), sql.NewAlertsV2(c), sql.NewDashboardWidgets(c), sql.NewDashboards(c),
		sql.NewDataSources(c), sql.NewDbsqlPermissions(c), sql.NewQueries(c), sql.NewQueriesLegacy(c), sql.NewQueryHistory(c),
		sql.NewQueryVisualizations(c), sql.NewQueryVisualizationsLegacy(c), sql.NewRedashConfig(c), sql.NewStatementExecution(c),
		sql.NewWarehouses(c),
		tags.NewTagPolicies(c), tags.NewWorkspaceEntityTagAssignments(c),
		pipelines.NewPipelines(c),
	}
}

// TestClientLibraryReach calls every method of the client library, with something in every parameter, and compares which of
// them reach a route with what API.md says.
func TestClientLibraryReach(t *testing.T) {
	w := newWorld(t)
	if w.emulator == nil {
		t.Skip("skipped: API.md is about the emulator")
	}
	c, err := client.New(&config.Config{Host: w.url, Token: w.tokens[alice], AuthType: "pat", AccountID: "a", HTTPTransport: w.transport, RateLimitPerSecond: 1 << 20,
		Loaders: []config.Loader{config.ConfigAttributes}})
	if err != nil {
		t.Fatal(err)
	}
	all, reached := 0, 0
	var missing []string
	for _, service := range libraryServices(c) {
		name := strings.TrimSuffix(reflect.TypeOf(service).Elem().Name(), "API")
		var none []string
		methods := libraryMethods(service)
		for _, method := range methods {
			if reaches(t, service, method) {
				reached++
			} else {
				none = append(none, method.Name)
			}
		}
		all += len(methods)
		switch {
		case len(none) == len(methods):
			missing = append(missing, name)
		case len(none) > 0:
			missing = append(missing, fmt.Sprintf("%s (%s)", name, strings.Join(none, ", ")))
		}
	}
	slices.Sort(missing)
	want := fmt.Sprintf("Of the %d methods of its packages catalog, sharing, sql, tags and pipelines, %d reach a call. Those that do not, by service: %s.",
		all, reached, strings.Join(missing, ", "))
	page, err := os.ReadFile("../API.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(strings.Fields(string(page)), " "), want) {
		t.Errorf("API.md does not say, and it is so:\n%s", want)
	}
}

// libraryMethods returns the methods of a service that make one call each: those of a request, or of nothing but a context.
// The others, which call these, take names or wait.
func libraryMethods(service any) []reflect.Method {
	var list []reflect.Method
	for i := range reflect.TypeOf(service).NumMethod() {
		method := reflect.TypeOf(service).Method(i)
		in := method.Type.NumIn()
		request := in == 3 && method.Type.In(2).Kind() == reflect.Struct || in == 2
		if request && in >= 2 && method.Type.In(1) == reflect.TypeFor[context.Context]() && !strings.HasSuffix(method.Name, "All") && !strings.HasSuffix(method.Name, "AndWait") &&
			!strings.HasSuffix(method.Name, "NameToIdMap") && !method.Type.IsVariadic() {
			list = append(list, method)
		}
	}
	return list
}

// reaches calls a method and reports whether a route served it.
func reaches(t *testing.T, service any, method reflect.Method) bool {
	t.Helper()
	in := []reflect.Value{reflect.ValueOf(service), reflect.ValueOf(t.Context())}
	if method.Type.NumIn() == 3 {
		request := reflect.New(method.Type.In(2)).Elem()
		fill(request)
		in = append(in, request)
	}
	out := method.Func.Call(in)
	if pages := out[0].MethodByName("Next"); pages.IsValid() { // an iterator, which calls when it is asked
		out = pages.Call(in[1:2])
	}
	err, _ := out[len(out)-1].Interface().(error)
	var api *apierr.APIError
	if err != nil && !errors.As(err, &api) {
		t.Errorf("%s: %v", method.Name, err)
	}
	return api == nil || api.ErrorCode != "ENDPOINT_NOT_FOUND" && api.StatusCode != 405
}

// fill puts something into every field that makes part of a path.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		switch field := v.Field(i); {
		case !field.CanSet():
		case field.Kind() == reflect.String:
			field.SetString("x")
		case field.CanInt():
			field.SetInt(1)
		case field.Kind() == reflect.Struct:
			fill(field)
		}
	}
}
