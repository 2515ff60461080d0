package conformance_test

import (
	"slices"

	"github.com/databricks/databricks-sdk-go/service/catalog"
	"github.com/databricks/databricks-sdk-go/service/sql"
	"github.com/databricks/databricks-sdk-go/service/tags"
)

// seededModel is a model of the seed, with three versions, the second of which is called champion.
const seededModel = "seeded.models.m"

// today walks through the services that are about more than one type of object.
func (k *walk) today() {
	ctx := k.Context()
	c := k.client(metastoreAdmin)
	f := k.fixture()

	bindings := catalog.NewWorkspaceBindings(c)
	name := f.name("catalog")
	bound, err := bindings.UpdateBindings(ctx, catalog.UpdateWorkspaceBindingsParameters{SecurableType: "catalog", SecurableName: name,
		Add: []catalog.WorkspaceBinding{{WorkspaceId: 7, BindingType: catalog.WorkspaceBindingBindingTypeBindingTypeReadOnly}}})
	k.step("WorkspaceBindings.UpdateBindings", err)
	listed, err := bindings.GetBindingsAll(ctx, catalog.GetBindingsRequest{SecurableType: "catalog", SecurableName: name})
	k.step("WorkspaceBindings.GetBindings", err)
	k.equals("the bindings", listed, bound.Bindings)
	_, err = bindings.Update(ctx, catalog.UpdateWorkspaceBindings{Name: name, AssignWorkspaces: []int64{8}})
	k.step("WorkspaceBindings.Update", err)
	workspaces, err := bindings.Get(ctx, catalog.GetWorkspaceBindingRequest{Name: name})
	k.step("WorkspaceBindings.Get", err)
	k.equals("the workspaces", len(workspaces.Workspaces), 3)

	metastore := f.name("metastore")
	system := catalog.NewSystemSchemas(c)
	k.step("SystemSchemas.Enable", system.Enable(ctx, catalog.EnableRequest{MetastoreId: metastore, SchemaName: "billing"}))
	schemas, err := system.ListAll(ctx, catalog.ListSystemSchemasRequest{MetastoreId: metastore})
	k.step("SystemSchemas.List", err)
	for _, s := range schemas {
		if want := map[string]string{"billing": "ENABLE_COMPLETED", "query": "AVAILABLE"}[s.Schema]; want != "" {
			k.equals("the state of "+s.Schema, s.State, want)
		}
	}
	k.step("SystemSchemas.Disable", system.Disable(ctx, catalog.DisableRequest{MetastoreId: metastore, SchemaName: "billing"}))

	allowed := catalog.NewArtifactAllowlists(c)
	_, err = allowed.Update(ctx, catalog.SetArtifactAllowlist{ArtifactType: catalog.ArtifactTypeInitScript,
		ArtifactMatchers: []catalog.ArtifactMatcher{{Artifact: "/Volumes/a", MatchType: catalog.MatchTypePrefixMatch}}})
	k.step("ArtifactAllowlists.Update", err)
	list, err := allowed.Get(ctx, catalog.GetArtifactAllowlistRequest{ArtifactType: catalog.ArtifactTypeInitScript})
	k.step("ArtifactAllowlists.Get", err)
	k.equals("what is allowed", []any{list.ArtifactMatchers[0].Artifact, list.CreatedBy, list.MetastoreId}, []any{"/Volumes/a", k.user(metastoreAdmin), metastore})

	quotas := catalog.NewResourceQuotas(c)
	all, err := quotas.ListQuotasAll(ctx, catalog.ListQuotasRequest{MaxResults: 2})
	k.step("ResourceQuotas.ListQuotas", err)
	quota, err := quotas.GetQuota(ctx, catalog.GetQuotaRequest{ParentSecurableType: "catalog", ParentFullName: name, QuotaName: "schema-quota"})
	k.step("ResourceQuotas.GetQuota", err)
	k.equals("the quota", []any{len(all) > 10, quota.QuotaInfo.ParentFullName, quota.QuotaInfo.QuotaLimit > 0}, []any{true, name, true})

	k.warehouses()
	k.pipelines()
	k.tagPolicies()
	k.storageAccess()
	k.accessRequests()
	if k.emulator == nil {
		return // whose models have no versions that a test knows
	}
	models, versions := catalog.NewRegisteredModels(c), catalog.NewModelVersions(c)
	found, err := versions.ListAll(ctx, catalog.ListModelVersionsRequest{FullName: seededModel})
	k.step("ModelVersions.List", err)
	k.equals("versions", []any{len(found), found[0].RunId, found[1].Comment, found[2].Status}, []any{3, "r1", "second", "FAILED_REGISTRATION"})
	version, err := versions.Get(ctx, catalog.GetModelVersionRequest{FullName: seededModel, Version: 2, IncludeAliases: true})
	k.step("ModelVersions.Get", err)
	k.equals("the alias", []any{version.ModelName, version.Aliases[0].AliasName}, []any{"m", "champion"})
	alias, err := models.SetAlias(ctx, catalog.SetRegisteredModelAliasRequest{FullName: seededModel, Alias: "champion", VersionNum: 1})
	k.step("RegisteredModels.SetAlias", err)
	k.equals("the alias", []any{alias.AliasName, alias.VersionNum}, []any{"champion", 1})
	version, err = versions.GetByAlias(ctx, catalog.GetByAliasRequest{FullName: seededModel, Alias: "champion"})
	k.step("ModelVersions.GetByAlias", err)
	k.equals("the version", version.Version, 1)
	version, err = versions.Update(ctx, catalog.UpdateModelVersionRequest{FullName: seededModel, Version: 1, Comment: "first"})
	k.step("ModelVersions.Update", err)
	k.equals("its comment", version.Comment, "first")
	k.step("RegisteredModels.DeleteAlias", models.DeleteAlias(ctx, catalog.DeleteAliasRequest{FullName: seededModel, Alias: "champion"}))
	k.step("ModelVersions.Delete", versions.Delete(ctx, catalog.DeleteModelVersionRequest{FullName: seededModel, Version: 1}))
}

// warehouses walks through SQL warehouses, and executes a statement.
func (k *walk) warehouses() {
	ctx := k.Context()
	c := k.client(workspaceAdmin)
	warehouses, statements := sql.NewWarehouses(c), sql.NewStatementExecution(c)
	name := k.unique("walk")
	made, err := warehouses.Create(ctx, sql.CreateWarehouseRequest{Name: name, ClusterSize: "2X-Small", MaxNumClusters: 1, AutoStopMins: 10})
	k.step("Warehouses.Create", err)
	id := made.Id
	_, err = warehouses.Edit(ctx, sql.EditWarehouseRequest{Id: id, Name: name, AutoStopMins: 20, MaxNumClusters: 1})
	k.step("Warehouses.Edit", err)
	got, err := warehouses.Get(ctx, sql.GetWarehouseRequest{Id: id})
	k.step("Warehouses.Get", err)
	k.equals("the warehouse", []any{got.Name, got.AutoStopMins, got.ClusterSize}, []any{name, 20, "2X-Small"})
	all, err := warehouses.ListAll(ctx, sql.ListWarehousesRequest{})
	k.step("Warehouses.List", err)
	k.equals("the warehouse is listed", slices.ContainsFunc(all, func(w sql.EndpointInfo) bool { return w.Id == id }), true)
	_, err = warehouses.Stop(ctx, sql.StopRequest{Id: id})
	k.step("Warehouses.Stop", err)
	_, err = warehouses.Start(ctx, sql.StartRequest{Id: id})
	k.step("Warehouses.Start", err)
	request := sql.WarehousePermissionsRequest{WarehouseId: id, AccessControlList: []sql.WarehouseAccessControlRequest{{UserName: k.user(alice), PermissionLevel: sql.WarehousePermissionLevelCanUse}}}
	_, err = warehouses.UpdatePermissions(ctx, request)
	k.step("Warehouses.UpdatePermissions", err)
	_, err = warehouses.SetPermissions(ctx, request)
	k.step("Warehouses.SetPermissions", err)
	permissions, err := warehouses.GetPermissions(ctx, sql.GetWarehousePermissionsRequest{WarehouseId: id})
	k.step("Warehouses.GetPermissions", err)
	k.equals("alice may use it", slices.ContainsFunc(permissions.AccessControlList, func(a sql.WarehouseAccessControlResponse) bool {
		return a.UserName == k.user(alice) && a.AllPermissions[0].PermissionLevel == sql.WarehousePermissionLevelCanUse
	}), true)

	levels, err := warehouses.GetPermissionLevels(ctx, sql.GetWarehousePermissionLevelsRequest{WarehouseId: id})
	k.step("Warehouses.GetPermissionLevels", err)
	k.equals("levels", len(levels.PermissionLevels) > 2, true)
	if k.emulator != nil { // another server's configuration is not for tests
		k.step("Warehouses.SetWorkspaceWarehouseConfig", warehouses.SetWorkspaceWarehouseConfig(ctx, sql.SetWorkspaceWarehouseConfigRequest{GoogleServiceAccount: "g"}))
		config, err := warehouses.GetWorkspaceWarehouseConfig(ctx)
		k.step("Warehouses.GetWorkspaceWarehouseConfig", err)
		k.equals("the configuration", config.GoogleServiceAccount, "g")
	}

	answer, err := statements.ExecuteStatement(ctx, sql.ExecuteStatementRequest{WarehouseId: id, Statement: "SELECT session_user()", WaitTimeout: "30s"})
	k.step("StatementExecution.ExecuteStatement", err)
	again, err := statements.GetStatement(ctx, sql.GetStatementRequest{StatementId: answer.StatementId})
	k.step("StatementExecution.GetStatement", err)
	k.equals("the state", again.Status.State, sql.StatementStateSucceeded)
	chunk, err := statements.GetStatementResultChunkN(ctx, sql.GetStatementResultChunkNRequest{StatementId: answer.StatementId, ChunkIndex: 0})
	k.step("StatementExecution.GetStatementResultChunkN", err)
	k.equals("the result", chunk.DataArray, [][]string{{k.user(workspaceAdmin)}})
	k.step("StatementExecution.CancelExecution", statements.CancelExecution(ctx, sql.CancelExecutionRequest{StatementId: answer.StatementId}))
	k.step("Warehouses.Delete", warehouses.Delete(ctx, sql.DeleteWarehouseRequest{Id: id}))
}

// tagPolicies walks through the policies of governed tags.
func (k *walk) tagPolicies() {
	ctx := k.Context()
	policies := tags.NewTagPolicies(k.client(accountAdmin))
	key := k.unique("walk")
	made, err := policies.CreateTagPolicy(ctx, tags.CreateTagPolicyRequest{TagPolicy: tags.TagPolicy{TagKey: key, Description: "x", Values: []tags.Value{{Name: "a"}}}})
	k.step("TagPolicies.CreateTagPolicy", err)
	got, err := policies.GetTagPolicy(ctx, tags.GetTagPolicyRequest{TagKey: key})
	k.step("TagPolicies.GetTagPolicy", err)
	k.equals("the tag policy", got, made)
	got, err = policies.UpdateTagPolicy(ctx, tags.UpdateTagPolicyRequest{TagKey: key, UpdateMask: "values", TagPolicy: tags.TagPolicy{TagKey: key, Values: []tags.Value{{Name: "b"}}}})
	k.step("TagPolicies.UpdateTagPolicy", err)
	k.equals("changed", []any{got.Description, got.Values[0].Name}, []any{"x", "b"})
	all, err := policies.ListTagPoliciesAll(ctx, tags.ListTagPoliciesRequest{PageSize: 1})
	k.step("TagPolicies.ListTagPolicies", err)
	k.equals("it is listed", slices.ContainsFunc(all, func(p tags.TagPolicy) bool { return p.TagKey == key }), true)
	k.step("TagPolicies.DeleteTagPolicy", policies.DeleteTagPolicy(ctx, tags.DeleteTagPolicyRequest{TagKey: key}))
}

// storageAccess walks through the calls about credentials for storage and services, and through constraints.
func (k *walk) storageAccess() {
	ctx := k.Context()
	c := k.client(metastoreAdmin)
	f := k.fixture()
	where := "s3://" + bucket(k.world)
	valid, err := catalog.NewStorageCredentials(c).Validate(ctx, catalog.ValidateStorageCredential{StorageCredentialName: f.name("credential"), Url: where})
	k.step("StorageCredentials.Validate", err)
	k.equals("the results", len(valid.Results) > 0, true)
	credentials := catalog.NewCredentials(c)
	_, err = credentials.ValidateCredential(ctx, catalog.ValidateCredentialRequest{CredentialName: f.name("service"), Purpose: catalog.CredentialPurposeService})
	k.step("Credentials.ValidateCredential", err)
	temporary, err := credentials.GenerateTemporaryServiceCredential(ctx, catalog.GenerateTemporaryServiceCredentialRequest{CredentialName: f.name("service")})
	k.step("Credentials.GenerateTemporaryServiceCredential", err)
	k.equals("credentials", temporary.AwsTempCredentials != nil, true)

	for _, kind := range []string{"catalog", "schema", "table", "volume", "location"} {
		f.name(kind)
		f.own(kind, metastoreAdmin)
	}
	f.grant("schema", metastoreAdmin, "EXTERNAL_USE_SCHEMA")
	table, err := catalog.NewTables(c).Get(ctx, catalog.GetTableRequest{FullName: f.name("table")})
	if err != nil {
		k.Fatal(err)
	}
	volume, err := catalog.NewVolumes(c).Read(ctx, catalog.ReadVolumeRequest{Name: f.name("volume")})
	if err != nil {
		k.Fatal(err)
	}
	if k.workspace != "" {
		k.openToOutside(f)
		ofTable, err := catalog.NewTemporaryTableCredentials(c).GenerateTemporaryTableCredentials(ctx, catalog.GenerateTemporaryTableCredentialRequest{TableId: table.TableId, Operation: catalog.TableOperationRead})
		k.step("TemporaryTableCredentials.GenerateTemporaryTableCredentials", err)
		k.equals("where the table is", ofTable.Url, table.StorageLocation)
		_, err = catalog.NewTemporaryVolumeCredentials(c).GenerateTemporaryVolumeCredentials(ctx, catalog.GenerateTemporaryVolumeCredentialRequest{VolumeId: volume.VolumeId, Operation: catalog.VolumeOperationReadVolume})
		k.step("TemporaryVolumeCredentials.GenerateTemporaryVolumeCredentials", err)
		_, err = catalog.NewTemporaryPathCredentials(c).GenerateTemporaryPathCredentials(ctx, catalog.GenerateTemporaryPathCredentialRequest{Url: k.must(metastoreAdmin, "GET", f.path("location"), nil).str("url"),
			Operation: catalog.PathOperationPathRead})
		k.step("TemporaryPathCredentials.GenerateTemporaryPathCredentials", err)
	}

	constraints := catalog.NewTableConstraints(c)
	made, err := constraints.Create(ctx, catalog.CreateTableConstraint{FullNameArg: f.name("table"), Constraint: catalog.TableConstraint{PrimaryKeyConstraint: &catalog.PrimaryKeyConstraint{Name: "pk", ChildColumns: []string{"Id"}}}})
	k.step("TableConstraints.Create", err)
	k.equals("the constraint", made.PrimaryKeyConstraint.Name, "pk")
	k.step("TableConstraints.Delete", constraints.Delete(ctx, catalog.DeleteTableConstraintRequest{FullName: f.name("table"), ConstraintName: "pk", Cascade: true}))
}

// accessRequests walks through requests for access.
func (k *walk) accessRequests() {
	ctx := k.Context()
	f := k.fixture()
	rfa := catalog.NewRfa(k.client(metastoreAdmin))
	securable := catalog.Securable{Type: "catalog", FullName: f.name("catalog")}
	set, err := rfa.UpdateAccessRequestDestinations(ctx, catalog.UpdateAccessRequestDestinationsRequest{UpdateMask: "destinations", AccessRequestDestinations: catalog.AccessRequestDestinations{
		Securable: securable, Destinations: []catalog.NotificationDestination{{DestinationId: "a@example.com", DestinationType: catalog.DestinationTypeEmail}}}})
	k.step("Rfa.UpdateAccessRequestDestinations", err)
	got, err := rfa.GetAccessRequestDestinations(ctx, catalog.GetAccessRequestDestinationsRequest{SecurableType: "catalog", FullName: f.name("catalog")})
	k.step("Rfa.GetAccessRequestDestinations", err)
	k.equals("destinations", got.Destinations, set.Destinations)
	answer, err := rfa.BatchCreateAccessRequests(ctx, catalog.BatchCreateAccessRequestsRequest{Requests: []catalog.CreateAccessRequest{{Comment: "please",
		SecurablePermissions: []catalog.SecurablePermissions{{Securable: &securable, Permissions: []string{"USE_CATALOG"}}}}}})
	k.step("Rfa.BatchCreateAccessRequests", err)
	k.equals("where the request goes", answer.Responses[0].RequestDestinations[0].Destinations, set.Destinations)
}

// accounts walks through the metastores of the account.
func (k *walk) accounts() {
	if k.emulator == nil {
		return // a test must not change the metastores of an account
	}
	ctx := k.Context()
	c := k.client(accountAdmin)
	metastores, credentials, assignments := catalog.NewAccountMetastores(c), catalog.NewAccountStorageCredentials(c), catalog.NewAccountMetastoreAssignments(c)
	made, err := metastores.Create(ctx, catalog.AccountsCreateMetastore{MetastoreInfo: &catalog.CreateAccountsMetastore{Name: k.unique("walk"), StorageRoot: "s3://walk"}})
	k.step("AccountMetastores.Create", err)
	id := made.MetastoreInfo.MetastoreId
	got, err := metastores.Get(ctx, catalog.GetAccountMetastoreRequest{MetastoreId: id})
	k.step("AccountMetastores.Get", err)
	k.equals("the metastore", got.MetastoreInfo.Name, made.MetastoreInfo.Name)
	changed, err := metastores.Update(ctx, catalog.AccountsUpdateMetastore{MetastoreId: id, MetastoreInfo: &catalog.UpdateAccountsMetastore{DeltaSharingOrganizationName: "acme"}})
	k.step("AccountMetastores.Update", err)
	k.equals("changed", changed.MetastoreInfo.DeltaSharingOrganizationName, "acme")
	all, err := metastores.ListAll(ctx)
	k.step("AccountMetastores.List", err)
	k.equals("metastores", len(all), 2)

	_, err = credentials.Create(ctx, catalog.AccountsCreateStorageCredential{MetastoreId: id, CredentialInfo: &catalog.CreateAccountsStorageCredential{Name: "c", AwsIamRole: &catalog.AwsIamRoleRequest{RoleArn: "arn:1"}}})
	k.step("AccountStorageCredentials.Create", err)
	_, err = credentials.Update(ctx, catalog.AccountsUpdateStorageCredential{MetastoreId: id, StorageCredentialName: "c", CredentialInfo: &catalog.UpdateAccountsStorageCredential{Comment: "x"}})
	k.step("AccountStorageCredentials.Update", err)
	credential, err := credentials.Get(ctx, catalog.GetAccountStorageCredentialRequest{MetastoreId: id, StorageCredentialName: "c"})
	k.step("AccountStorageCredentials.Get", err)
	k.equals("its comment", credential.CredentialInfo.Comment, "x")
	list, err := credentials.ListAll(ctx, catalog.ListAccountStorageCredentialsRequest{MetastoreId: id})
	k.step("AccountStorageCredentials.List", err)
	k.equals("credentials", len(list), 1)
	_, err = credentials.Delete(ctx, catalog.DeleteAccountStorageCredentialRequest{MetastoreId: id, StorageCredentialName: "c", Force: true})
	k.step("AccountStorageCredentials.Delete", err)

	assigned, err := assignments.Get(ctx, catalog.GetAccountMetastoreAssignmentRequest{WorkspaceId: 4711})
	k.step("AccountMetastoreAssignments.Get", err)
	first := assigned.MetastoreAssignment.MetastoreId
	_, err = assignments.Update(ctx, catalog.AccountsUpdateMetastoreAssignment{WorkspaceId: 4711, MetastoreId: id})
	k.step("AccountMetastoreAssignments.Update", err)
	workspaces, err := assignments.ListAll(ctx, catalog.ListAccountMetastoreAssignmentsRequest{MetastoreId: id})
	k.step("AccountMetastoreAssignments.List", err)
	k.equals("workspaces", workspaces, []int64{4711})
	_, err = assignments.Delete(ctx, catalog.DeleteAccountMetastoreAssignmentRequest{WorkspaceId: 4711, MetastoreId: id})
	k.step("AccountMetastoreAssignments.Delete", err)
	_, err = assignments.Create(ctx, catalog.AccountsCreateMetastoreAssignment{WorkspaceId: 4711, MetastoreId: first, MetastoreAssignment: &catalog.CreateMetastoreAssignment{MetastoreId: first}})
	k.step("AccountMetastoreAssignments.Create", err)
	_, err = metastores.Delete(ctx, catalog.DeleteAccountMetastoreRequest{MetastoreId: id, Force: true})
	k.step("AccountMetastores.Delete", err)
}
