package conformance_test

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/databricks/databricks-sdk-go/apierr"
	"github.com/databricks/databricks-sdk-go/service/catalog"
	"github.com/databricks/databricks-sdk-go/service/sharing"
)

// walk calls methods of the client library one by one.
type walk struct {
	*world
	made map[string]string // the route that each method reached
}

// step is given what a method returned. The answers that count are compared by the caller.
func (k *walk) step(method string, err error) {
	k.Helper()
	if err != nil {
		var api *apierr.APIError
		if k.emulator == nil && errors.As(err, &api) && api.ErrorCode == "ENDPOINT_NOT_FOUND" {
			k.Logf("skipped: the server does not serve %s", method)
			return
		}
		k.Fatalf("%s: %v", method, err)
	}
	if k.emulator != nil {
		trace := k.emulator.Trace()
		k.made[method] = strings.Replace(trace[len(trace)-1].Route, api, "P", 1)
	}
}

// equals compares one field of an answer.
func (k *walk) equals(what string, got, want any) {
	k.Helper()
	if !same(got, want) {
		k.Errorf("%s is %v, want %v", what, got, want)
	}
}

// TestClientLibrary reaches every call of the table in API.md by the method of the client library that stands beside it.
func TestClientLibrary(t *testing.T) {
	k := &walk{newWorld(t), make(map[string]string)}
	k.needs(accountAdmin, workspaceAdmin)
	k.catalogs()
	k.storage()
	k.grants()
	k.sharing()
	k.others()
	k.today()
	if k.workspace == "" {
		return
	}
	k.metastores()
	k.accounts()
	if k.emulator == nil {
		return
	}
	want := clientMethods(t)
	for _, method := range slices.Sorted(maps.Keys(want)) {
		if k.made[method] != want[method] {
			t.Errorf("API.md says that %s reaches %s; here it reached %q", method, want[method], k.made[method])
		}
	}
	for method, route := range k.made {
		if want[method] == "" {
			t.Errorf("%s reaches %s, which API.md does not say", method, route)
		}
	}
}

// clientMethods returns the calls of API.md by the method of the client library.
func clientMethods(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../API.md")
	if err != nil {
		t.Fatal(err)
	}
	methods := make(map[string]string)
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, " | ")
		if len(cells) != 3 || !strings.HasPrefix(line, "| `") {
			continue
		}
		for method := range strings.FieldsSeq(strings.NewReplacer("`", "", ",", "", "|", "").Replace(cells[2])) {
			methods[method] = strings.Trim(cells[0], "|` ")
		}
	}
	if len(methods) == 0 {
		t.Fatal("API.md names no method of the client library")
	}
	return methods
}

func (k *walk) catalogs() {
	ctx := k.Context()
	c := k.client(metastoreAdmin)
	catalogs, schemas, tables := catalog.NewCatalogs(c), catalog.NewSchemas(c), catalog.NewTables(c)
	name := k.unique("walk")
	made, err := catalogs.Create(ctx, catalog.CreateCatalog{Name: name, Comment: "by the client library", Properties: map[string]string{"a": "1"}})
	k.step("Catalogs.Create", err)
	k.equals("the catalog", []any{made.Name, made.Owner, made.Comment, made.Properties["a"]}, []any{name, k.user(metastoreAdmin), "by the client library", "1"})
	got, err := catalogs.Get(ctx, catalog.GetCatalogRequest{Name: name})
	k.step("Catalogs.Get", err)
	k.equals("its creation", got.CreatedAt, made.CreatedAt)
	all, err := catalogs.ListAll(ctx, catalog.ListCatalogsRequest{})
	k.step("Catalogs.List", err)
	k.equals("the catalog is listed", slices.ContainsFunc(all, func(c catalog.CatalogInfo) bool { return c.Name == name }), true)
	got, err = catalogs.Update(ctx, catalog.UpdateCatalog{Name: name, NewName: name + "_2", Comment: "renamed"})
	k.step("Catalogs.Update", err)
	name += "_2"
	k.equals("renamed", []any{got.Name, got.Comment}, []any{name, "renamed"})

	schema, err := schemas.Create(ctx, catalog.CreateSchema{CatalogName: name, Name: "s"})
	k.step("Schemas.Create", err)
	k.equals("the schema", []any{schema.FullName, schema.CatalogName}, []any{name + ".s", name})
	_, err = schemas.Get(ctx, catalog.GetSchemaRequest{FullName: name + ".s"})
	k.step("Schemas.Get", err)
	listed, err := schemas.ListAll(ctx, catalog.ListSchemasRequest{CatalogName: name})
	k.step("Schemas.List", err)
	k.equals("schemas", len(listed), 1)
	schema, err = schemas.Update(ctx, catalog.UpdateSchema{FullName: name + ".s", NewName: "S2", Comment: "x"})
	k.step("Schemas.Update", err)
	k.equals("renamed", schema.FullName, name+".s2")

	columns := []catalog.ColumnInfo{
		{Name: "Id", TypeName: catalog.ColumnTypeNameLong, TypeText: "bigint", TypeJson: `"long"`, Position: 0},
		{Name: "region", TypeName: catalog.ColumnTypeNameString, TypeText: "string", TypeJson: `"string"`, Position: 1},
	}
	table, err := tables.Create(ctx, catalog.CreateTableRequest{CatalogName: name, SchemaName: "s2", Name: "t", TableType: catalog.TableTypeManaged,
		DataSourceFormat: catalog.DataSourceFormatDelta, Columns: columns})
	k.step("Tables.Create", err)
	k.equals("the table", []any{table.FullName, table.TableType, len(table.Columns), table.Columns[0].Name, table.Columns[1].Position, table.Columns[0].Nullable},
		[]any{name + ".s2.t", "MANAGED", 2, "Id", 1, true})
	full := table.FullName
	_, err = tables.Get(ctx, catalog.GetTableRequest{FullName: full})
	k.step("Tables.Get", err)
	exists, err := tables.Exists(ctx, catalog.ExistsRequest{FullName: full})
	k.step("Tables.Exists", err)
	k.equals("the table exists", exists.TableExists, true)
	found, err := tables.ListAll(ctx, catalog.ListTablesRequest{CatalogName: name, SchemaName: "s2", OmitColumns: true})
	k.step("Tables.List", err)
	k.equals("tables, without columns", []any{len(found), len(found[0].Columns)}, []any{1, 0})
	summaries, err := tables.ListSummariesAll(ctx, catalog.ListSummariesRequest{CatalogName: name, TableNamePattern: "%"})
	k.step("Tables.ListSummaries", err)
	k.equals("summaries", summaries, []any{map[string]any{"full_name": full, "table_type": "MANAGED"}})
	k.step("Tables.Update", tables.Update(ctx, catalog.UpdateTableRequest{FullName: full, Owner: k.user(metastoreAdmin)}))
	k.step("Tables.Delete", tables.Delete(ctx, catalog.DeleteTableRequest{FullName: full}))
	k.step("Schemas.Delete", schemas.Delete(ctx, catalog.DeleteSchemaRequest{FullName: name + ".s2"}))
	k.step("Catalogs.Delete", catalogs.Delete(ctx, catalog.DeleteCatalogRequest{Name: name, Force: true}))
}

func (k *walk) storage() {
	ctx := k.Context()
	credentials := catalog.NewStorageCredentials(k.client(accountAdmin))
	locations := catalog.NewExternalLocations(k.client(metastoreAdmin))
	name := k.unique("walk")
	made, err := credentials.Create(ctx, catalog.CreateStorageCredential{Name: name, AwsIamRole: &catalog.AwsIamRoleRequest{RoleArn: "arn:aws:iam::1:role/a"}, SkipValidation: true})
	k.step("StorageCredentials.Create", err)
	k.equals("the credential", []any{made.Name, made.AwsIamRole.RoleArn}, []any{name, "arn:aws:iam::1:role/a"})
	_, err = credentials.Get(ctx, catalog.GetStorageCredentialRequest{Name: name})
	k.step("StorageCredentials.Get", err)
	all, err := credentials.ListAll(ctx, catalog.ListStorageCredentialsRequest{})
	k.step("StorageCredentials.List", err)
	k.equals("the credential is listed", slices.ContainsFunc(all, func(c catalog.StorageCredentialInfo) bool { return c.Name == name }), true)
	made, err = credentials.Update(ctx, catalog.UpdateStorageCredential{Name: name, NewName: name + "_2", Comment: "x"})
	k.step("StorageCredentials.Update", err)
	k.equals("renamed", []any{made.Name, made.Comment, made.AwsIamRole.RoleArn}, []any{name + "_2", "x", "arn:aws:iam::1:role/a"})
	name += "_2"

	url := "s3://" + bucket(k.world)
	location, err := locations.Create(ctx, catalog.CreateExternalLocation{Name: name, Url: url, CredentialName: name, SkipValidation: true, Fallback: true})
	k.step("ExternalLocations.Create", err)
	k.equals("the location", []any{location.Name, location.Url, location.CredentialName, location.CredentialId, location.Fallback}, []any{name, url, name, made.Id, true})
	_, err = locations.Get(ctx, catalog.GetExternalLocationRequest{Name: name})
	k.step("ExternalLocations.Get", err)
	listed, err := locations.ListAll(ctx, catalog.ListExternalLocationsRequest{})
	k.step("ExternalLocations.List", err)
	k.equals("the location is listed", slices.ContainsFunc(listed, func(l catalog.ExternalLocationInfo) bool { return l.Name == name }), true)
	location, err = locations.Update(ctx, catalog.UpdateExternalLocation{Name: name, NewName: name + "_3", Url: url + "/deeper", Force: true, SkipValidation: true})
	k.step("ExternalLocations.Update", err)
	k.equals("moved", []any{location.Name, location.Url}, []any{name + "_3", url + "/deeper"})
	k.step("ExternalLocations.Delete", locations.Delete(ctx, catalog.DeleteExternalLocationRequest{Name: name + "_3", Force: true}))
	k.step("StorageCredentials.Delete", credentials.Delete(ctx, catalog.DeleteStorageCredentialRequest{Name: name, Force: true}))
}

func (k *walk) grants() {
	ctx := k.Context()
	f := k.fixture()
	grants := catalog.NewGrants(k.client(metastoreAdmin))
	who := k.user(alice)
	changed, err := grants.Update(ctx, catalog.UpdatePermissions{SecurableType: "schema", FullName: f.name("schema"),
		Changes: []catalog.PermissionsChange{{Principal: who, Add: []catalog.Privilege{catalog.PrivilegeSelect, catalog.PrivilegeUseSchema}}}})
	k.step("Grants.Update", err)
	want := []any{map[string]any{"principal": who, "privileges": []string{"SELECT", "USE_SCHEMA"}}}
	k.equals("the answer of a change", changed.PrivilegeAssignments, want)
	got, err := grants.Get(ctx, catalog.GetGrantRequest{SecurableType: "SCHEMA", FullName: f.name("schema"), Principal: who})
	k.step("Grants.Get", err)
	k.equals("grants", got.PrivilegeAssignments, want)
	list, err := grants.ListAll(ctx, catalog.ListPrivilegeAssignmentsRequest{SecurableType: "schema", FullName: f.name("schema"), PageSize: 150})
	k.step("Grants.List", err)
	k.equals("grants in the new form", list, want)
	effective, err := grants.GetEffective(ctx, catalog.GetEffectiveRequest{SecurableType: "table", FullName: f.name("table")})
	k.step("Grants.GetEffective", err)
	first := effective.PrivilegeAssignments[0].Privileges[0]
	k.equals("effective", []any{first.Privilege, first.InheritedFromType, first.InheritedFromName}, []any{"SELECT", "SCHEMA", f.name("schema")})
	effectives, err := grants.ListEffectiveAll(ctx, catalog.ListEffectivePrivilegeAssignmentsRequest{SecurableType: "table", FullName: f.name("table")})
	k.step("Grants.ListEffective", err)
	k.equals("effective in the new form", effectives, effective.PrivilegeAssignments)
}

func (k *walk) sharing() {
	ctx := k.Context()
	f := k.fixture()
	f.own("table", metastoreAdmin)
	c := k.client(metastoreAdmin)
	shares, recipients, providers := sharing.NewShares(c), sharing.NewRecipients(c), sharing.NewProviders(c)
	name, table := k.unique("walk"), f.name("table")
	share, err := shares.Create(ctx, sharing.CreateShare{Name: name, Comment: "x"})
	k.step("Shares.Create", err)
	k.equals("the share", []any{share.Name, share.Comment, share.Owner}, []any{name, "x", k.user(metastoreAdmin)})
	share, err = shares.Update(ctx, sharing.UpdateShare{Name: name, NewName: name + "_2", Updates: []sharing.SharedDataObjectUpdate{{
		Action: sharing.SharedDataObjectUpdateActionAdd, DataObject: &sharing.SharedDataObject{Name: table, DataObjectType: "TABLE", SharedAs: "s.t", CdfEnabled: true,
			Partitions: []sharing.Partition{{Values: []sharing.PartitionValue{{Name: "region", Op: sharing.PartitionValueOpEqual, Value: "eu"}}}}}}}})
	k.step("Shares.Update", err)
	name += "_2"
	k.equals("the shared table", []any{share.Name, share.Objects[0].Name, share.Objects[0].SharedAs, share.Objects[0].Partitions[0].Values[0].Value, share.Objects[0].CdfEnabled},
		[]any{name, table, "s.t", "eu", true})
	share, err = shares.Get(ctx, sharing.GetShareRequest{Name: name, IncludeSharedData: true})
	k.step("Shares.Get", err)
	k.equals("objects", len(share.Objects), 1)
	all, err := shares.ListSharesAll(ctx, sharing.SharesListRequest{})
	k.step("Shares.ListShares", err)
	k.equals("the share is listed", slices.ContainsFunc(all, func(s sharing.ShareInfo) bool { return s.Name == name }), true)

	to := k.unique("walk")
	recipient, err := recipients.Create(ctx, sharing.CreateRecipient{Name: to, AuthenticationType: sharing.AuthenticationTypeToken,
		IpAccessList: &sharing.IpAccessList{AllowedIpAddresses: []string{"10.0.0.0/8"}}, PropertiesKvpairs: &sharing.SecurablePropertiesKvPairs{Properties: map[string]string{"team": "x"}}})
	k.step("Recipients.Create", err)
	k.equals("the recipient", []any{recipient.Name, len(recipient.Tokens), recipient.IpAccessList.AllowedIpAddresses, recipient.PropertiesKvpairs.Properties["team"], recipient.MetastoreId},
		[]any{to, 1, []string{"10.0.0.0/8"}, "x", ""})
	_, err = recipients.Get(ctx, sharing.GetRecipientRequest{Name: to})
	k.step("Recipients.Get", err)
	_, err = recipients.ListAll(ctx, sharing.ListRecipientsRequest{})
	k.step("Recipients.List", err)
	recipient, err = recipients.Update(ctx, sharing.UpdateRecipient{Name: to, NewName: to + "_2"})
	k.step("Recipients.Update", err)
	to += "_2"
	k.equals("renamed", recipient.Name, to)
	recipient, err = recipients.RotateToken(ctx, sharing.RotateRecipientToken{Name: to, ExistingTokenExpireInSeconds: 60})
	k.step("Recipients.RotateToken", err)
	k.equals("tokens", len(recipient.Tokens), 2)

	want := []any{map[string]any{"principal": to, "privileges": []string{"SELECT"}}}
	changed, err := shares.UpdatePermissions(ctx, sharing.UpdateSharePermissions{Name: name, Changes: []sharing.PermissionsChange{{Principal: to, Add: []string{"SELECT"}}}})
	k.step("Shares.UpdatePermissions", err)
	k.equals("the answer of a grant", changed.PrivilegeAssignments, want)
	granted, err := shares.SharePermissions(ctx, sharing.SharePermissionsRequest{Name: name})
	k.step("Shares.SharePermissions", err)
	k.equals("grants on the share", granted.PrivilegeAssignments, want)
	of, err := recipients.SharePermissions(ctx, sharing.SharePermissionsRequest{Name: to})
	k.step("Recipients.SharePermissions", err)
	k.equals("shares of the recipient", of.PermissionsOut, []any{map[string]any{"share_name": name, "privilege_assignments": want}})

	from := k.unique("walk")
	provider, err := providers.Create(ctx, sharing.CreateProvider{Name: from, AuthenticationType: sharing.AuthenticationTypeToken, RecipientProfileStr: profile("https://one.example.com")})
	k.step("Providers.Create", err)
	k.equals("the provider", []any{provider.Name, provider.RecipientProfile.Endpoint, provider.RecipientProfile.ShareCredentialsVersion, provider.RecipientProfile.BearerToken},
		[]any{from, "https://one.example.com", 1, ""})
	_, err = providers.Get(ctx, sharing.GetProviderRequest{Name: from})
	k.step("Providers.Get", err)
	_, err = providers.ListAll(ctx, sharing.ListProvidersRequest{})
	k.step("Providers.List", err)
	provider, err = providers.Update(ctx, sharing.UpdateProvider{Name: from, NewName: from + "_2", Comment: "x"})
	k.step("Providers.Update", err)
	k.equals("renamed", []any{provider.Name, provider.Comment}, []any{from + "_2", "x"})
	_, err = providers.ListSharesAll(ctx, sharing.ListSharesRequest{Name: from + "_2"})
	k.step("Providers.ListShares", err)
	k.step("Providers.Delete", providers.Delete(ctx, sharing.DeleteProviderRequest{Name: from + "_2"}))
	k.step("Recipients.Delete", recipients.Delete(ctx, sharing.DeleteRecipientRequest{Name: to}))
	k.step("Shares.Delete", shares.Delete(ctx, sharing.DeleteShareRequest{Name: name}))
}
