package conformance_test

import (
	"strconv"
	"strings"

	"github.com/databricks/databricks-sdk-go/service/catalog"
)

func (k *walk) metastores() {
	ctx := k.Context()
	admin, account := catalog.NewMetastores(k.client(metastoreAdmin)), catalog.NewMetastores(k.client(accountAdmin))
	summary, err := admin.Summary(ctx)
	k.step("Metastores.Summary", err)
	current, err := admin.Current(ctx)
	k.step("Metastores.Current", err)
	k.equals("the assigned metastore", []any{current.MetastoreId, strconv.FormatInt(current.WorkspaceId, 10)}, []any{summary.MetastoreId, k.workspace})
	all, err := admin.ListAll(ctx, catalog.ListMetastoresRequest{})
	k.step("Metastores.List", err)
	k.equals("metastores", len(all), 1)

	made, err := account.Create(ctx, catalog.CreateMetastore{Name: k.unique("walk"), StorageRoot: "s3://" + bucket(k.world), Region: "eu-west-1", ExternalAccessEnabled: true})
	k.step("Metastores.Create", err)
	k.equals("the metastore", []any{made.Cloud, made.Region, made.ExternalAccessEnabled, made.GlobalMetastoreId}, []any{"aws", "eu-west-1", true, "aws:eu-west-1:" + made.MetastoreId})
	_, err = account.Get(ctx, catalog.GetMetastoreRequest{Id: made.MetastoreId})
	k.step("Metastores.Get", err)
	made, err = account.Update(ctx, catalog.UpdateMetastore{Id: made.MetastoreId, NewName: made.Name + "_2", DeltaSharingScope: catalog.DeltaSharingScopeEnumInternalAndExternal,
		DeltaSharingRecipientTokenLifetimeInSeconds: 3600})
	k.step("Metastores.Update", err)
	k.equals("its scope", []any{made.DeltaSharingScope, made.DeltaSharingRecipientTokenLifetimeInSeconds}, []any{"INTERNAL_AND_EXTERNAL", 3600})

	workspace := current.WorkspaceId
	k.step("Metastores.Assign", account.Assign(ctx, catalog.CreateMetastoreAssignment{WorkspaceId: workspace, MetastoreId: made.MetastoreId, DefaultCatalogName: "main"}))
	k.step("Metastores.UpdateAssignment", account.UpdateAssignment(ctx, catalog.UpdateMetastoreAssignment{WorkspaceId: workspace, MetastoreId: summary.MetastoreId}))
	k.step("Metastores.Unassign", account.Unassign(ctx, catalog.UnassignRequest{WorkspaceId: workspace, MetastoreId: summary.MetastoreId}))
	if err := account.Assign(ctx, catalog.CreateMetastoreAssignment{WorkspaceId: workspace, MetastoreId: summary.MetastoreId}); err != nil {
		k.Fatal(err)
	}
	k.step("Metastores.Delete", account.Delete(ctx, catalog.DeleteMetastoreRequest{Id: made.MetastoreId, Force: true}))
}

// others walks through what the specification does not have.
func (k *walk) others() {
	ctx := k.Context()
	c := k.client(metastoreAdmin)
	f := k.fixture()
	f.own("catalog", metastoreAdmin)
	f.own("schema", metastoreAdmin)
	schema := f.name("schema")
	parent, short, _ := strings.Cut(schema, ".")

	functions := catalog.NewFunctions(c)
	function, err := functions.Create(ctx, catalog.CreateFunctionRequest{FunctionInfo: catalog.CreateFunction{CatalogName: parent, SchemaName: short, Name: "f",
		RoutineBody: catalog.CreateFunctionRoutineBodySql, RoutineDefinition: "1", DataType: catalog.ColumnTypeNameInt, FullDataType: "INT"}})
	k.step("Functions.Create", err)
	k.equals("the function", function.FullName, schema+".f")
	_, err = functions.Get(ctx, catalog.GetFunctionRequest{Name: schema + ".f"})
	k.step("Functions.Get", err)
	_, err = functions.ListAll(ctx, catalog.ListFunctionsRequest{CatalogName: parent, SchemaName: short})
	k.step("Functions.List", err)
	_, err = functions.Update(ctx, catalog.UpdateFunction{Name: schema + ".f", Owner: k.user(metastoreAdmin)})
	k.step("Functions.Update", err)
	k.step("Functions.Delete", functions.Delete(ctx, catalog.DeleteFunctionRequest{Name: schema + ".f"}))

	volumes := catalog.NewVolumes(c)
	volume, err := volumes.Create(ctx, catalog.CreateVolumeRequestContent{CatalogName: parent, SchemaName: short, Name: "v", VolumeType: catalog.VolumeTypeManaged})
	k.step("Volumes.Create", err)
	k.equals("the volume", volume.FullName, schema+".v")
	_, err = volumes.Read(ctx, catalog.ReadVolumeRequest{Name: schema + ".v"})
	k.step("Volumes.Read", err)
	_, err = volumes.ListAll(ctx, catalog.ListVolumesRequest{CatalogName: parent, SchemaName: short})
	k.step("Volumes.List", err)
	_, err = volumes.Update(ctx, catalog.UpdateVolumeRequestContent{Name: schema + ".v", Comment: "x"})
	k.step("Volumes.Update", err)
	k.step("Volumes.Delete", volumes.Delete(ctx, catalog.DeleteVolumeRequest{Name: schema + ".v"}))

	tags := catalog.NewEntityTagAssignments(c)
	tagged, err := tags.Create(ctx, catalog.CreateEntityTagAssignmentRequest{TagAssignment: catalog.EntityTagAssignment{EntityType: "schemas", EntityName: schema, TagKey: "pii", TagValue: "high"}})
	k.step("EntityTagAssignments.Create", err)
	k.equals("the tag", []any{tagged.EntityName, tagged.TagKey, tagged.TagValue}, []any{schema, "pii", "high"})
	_, err = tags.Get(ctx, catalog.GetEntityTagAssignmentRequest{EntityType: "schemas", EntityName: schema, TagKey: "pii"})
	k.step("EntityTagAssignments.Get", err)
	tagged, err = tags.Update(ctx, catalog.UpdateEntityTagAssignmentRequest{EntityType: "schemas", EntityName: schema, TagKey: "pii", UpdateMask: "tag_value",
		TagAssignment: catalog.EntityTagAssignment{TagValue: "low"}})
	k.step("EntityTagAssignments.Update", err)
	k.equals("its value", tagged.TagValue, "low")
	tagList, err := tags.ListAll(ctx, catalog.ListEntityTagAssignmentsRequest{EntityType: "schemas", EntityName: schema})
	k.step("EntityTagAssignments.List", err)
	k.equals("tags", len(tagList), 1)
	k.step("EntityTagAssignments.Delete", tags.Delete(ctx, catalog.DeleteEntityTagAssignmentRequest{EntityType: "schemas", EntityName: schema, TagKey: "pii"}))

	policies := catalog.NewPolicies(c)
	policy, err := policies.CreatePolicy(ctx, catalog.CreatePolicyRequest{PolicyInfo: catalog.PolicyInfo{Name: "p", PolicyType: catalog.PolicyTypePolicyTypeGrant,
		OnSecurableType: catalog.SecurableTypeSchema, OnSecurableFullname: schema, ForSecurableType: catalog.SecurableTypeFunction,
		ToPrincipals: []string{k.user(alice)}, Grant: &catalog.GrantOptions{Privileges: []string{"EXECUTE"}}}})
	k.step("Policies.CreatePolicy", err)
	k.equals("the policy", []any{policy.Name, policy.OnSecurableFullname, policy.Grant.Privileges}, []any{"p", schema, []string{"EXECUTE"}})
	_, err = policies.GetPolicy(ctx, catalog.GetPolicyRequest{OnSecurableType: "SCHEMA", OnSecurableFullname: schema, Name: "p"})
	k.step("Policies.GetPolicy", err)
	policy, err = policies.UpdatePolicy(ctx, catalog.UpdatePolicyRequest{OnSecurableType: "SCHEMA", OnSecurableFullname: schema, Name: "p", UpdateMask: "comment",
		PolicyInfo: catalog.PolicyInfo{Comment: "x"}})
	k.step("Policies.UpdatePolicy", err)
	k.equals("its comment and principals", []any{policy.Comment, policy.ToPrincipals}, []any{"x", []string{k.user(alice)}})
	policyList, err := policies.ListPoliciesAll(ctx, catalog.ListPoliciesRequest{OnSecurableType: "SCHEMA", OnSecurableFullname: schema, IncludeInherited: true})
	k.step("Policies.ListPolicies", err)
	k.equals("policies", len(policyList), 1)
	_, err = policies.DeletePolicy(ctx, catalog.DeletePolicyRequest{OnSecurableType: "SCHEMA", OnSecurableFullname: schema, Name: "p"})
	k.step("Policies.DeletePolicy", err)

	models := catalog.NewRegisteredModels(c)
	_, err = models.Create(ctx, catalog.CreateRegisteredModelRequest{CatalogName: parent, SchemaName: short, Name: "m"})
	k.step("RegisteredModels.Create", err)
	_, err = models.Get(ctx, catalog.GetRegisteredModelRequest{FullName: schema + ".m"})
	k.step("RegisteredModels.Get", err)
	_, err = models.ListAll(ctx, catalog.ListRegisteredModelsRequest{CatalogName: parent, SchemaName: short})
	k.step("RegisteredModels.List", err)
	_, err = models.Update(ctx, catalog.UpdateRegisteredModelRequest{FullName: schema + ".m", Comment: "x"})
	k.step("RegisteredModels.Update", err)
	k.step("RegisteredModels.Delete", models.Delete(ctx, catalog.DeleteRegisteredModelRequest{FullName: schema + ".m"}))

	connections := catalog.NewConnections(c)
	name := k.unique("walk")
	_, err = connections.Create(ctx, catalog.CreateConnection{Name: name, ConnectionType: catalog.ConnectionTypeMysql, Options: map[string]string{"host": "h"}})
	k.step("Connections.Create", err)
	_, err = connections.Get(ctx, catalog.GetConnectionRequest{Name: name})
	k.step("Connections.Get", err)
	_, err = connections.ListAll(ctx, catalog.ListConnectionsRequest{})
	k.step("Connections.List", err)
	_, err = connections.Update(ctx, catalog.UpdateConnection{Name: name, Options: map[string]string{"host": "i"}})
	k.step("Connections.Update", err)
	k.step("Connections.Delete", connections.Delete(ctx, catalog.DeleteConnectionRequest{Name: name}))

	credentials := catalog.NewCredentials(c)
	_, err = credentials.CreateCredential(ctx, catalog.CreateCredentialRequest{Name: name, Purpose: catalog.CredentialPurposeService, AwsIamRole: &catalog.AwsIamRole{RoleArn: "arn:1"}})
	k.step("Credentials.CreateCredential", err)
	_, err = credentials.GetCredential(ctx, catalog.GetCredentialRequest{NameArg: name})
	k.step("Credentials.GetCredential", err)
	_, err = credentials.ListCredentialsAll(ctx, catalog.ListCredentialsRequest{})
	k.step("Credentials.ListCredentials", err)
	_, err = credentials.UpdateCredential(ctx, catalog.UpdateCredentialRequest{NameArg: name, Comment: "x"})
	k.step("Credentials.UpdateCredential", err)
	k.step("Credentials.DeleteCredential", credentials.DeleteCredential(ctx, catalog.DeleteCredentialRequest{NameArg: name}))
}
