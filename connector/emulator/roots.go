package emulator

// locationDetail is an external location.
type locationDetail struct {
	URL            string `json:"url,omitempty"`
	CredentialName string `json:"credential_name,omitempty"`
	ReadOnly       bool   `json:"read_only,omitempty"`
	IsolationMode  string `json:"isolation_mode,omitempty"`
	credentialID   string
}

func (d *locationDetail) clone() detail { c := *d; return &c }

// prepare implements detail. A location's URL must not overlap another location's, and must not be an external table's
// or be inside one.
func (d *locationDetail) prepare(c *call, o *object, old detail) error {
	if err := checkURL("url", d.URL, true); err != nil {
		return err
	}
	if d.CredentialName == "" {
		return invalid("credential_name is required.")
	}
	d.CredentialName = canonicalName(d.CredentialName)
	credential := o.parent.list(typeStorageCredential).get(d.CredentialName)
	if credential == nil {
		return notFound("STORAGE_CREDENTIAL", d.CredentialName)
	}
	d.credentialID = credential.uuid()
	if err := oneOf("isolation_mode", &d.IsolationMode, "ISOLATION_MODE_OPEN", "ISOLATION_MODE_OPEN", "ISOLATION_MODE_ISOLATED"); err != nil {
		return err
	}
	if was, ok := old.(*locationDetail); ok && was.URL == d.URL {
		return nil
	}
	for other := range o.parent.list(typeExternalLocation).after("") {
		if other.id != o.id && urlsOverlap(d.URL, other.detail.(*locationDetail).URL) {
			return invalid("url '%s' overlaps external location '%s'.", d.URL, other.name)
		}
	}
	if table := c.srv.externalTableAbove(o.parent, d.URL); table != nil {
		return invalid("url '%s' is inside external table '%s'.", d.URL, table.fullName())
	}
	return nil
}

// externalTableAbove returns an external table whose storage location is, or contains, the URL; nil when there is none.
func (s *Server) externalTableAbove(metastore *object, url string) *object {
	for catalog := range metastore.list(typeCatalog).after("") {
		for schema := range catalog.list(typeSchema).after("") {
			for table := range schema.list(typeTable).after("") {
				if d := table.detail.(*tableDetail); d.TableType == tableExternal && urlWithin(url, d.StorageLocation) {
					return table
				}
			}
		}
	}
	return nil
}

func (d *locationDetail) render(h commonFields) any {
	return struct {
		commonFields
		locationDetail
		CredentialID string `json:"credential_id,omitempty"`
	}{h, *d, d.credentialID}
}

type awsRole struct {
	RoleARN            string `json:"role_arn"`
	UnityCatalogIAMARN string `json:"unity_catalog_iam_arn,omitempty"` // output
	ExternalID         string `json:"external_id,omitempty"`           // output
}

type azureServicePrincipal struct {
	DirectoryID   string `json:"directory_id"`
	ApplicationID string `json:"application_id"`
	ClientSecret  string `json:"client_secret,omitempty"`
}

type azureManagedIdentity struct {
	AccessConnectorID string `json:"access_connector_id"`
	ManagedIdentityID string `json:"managed_identity_id,omitempty"`
}

type gcpKey struct {
	Email        string `json:"email"`
	PrivateKeyID string `json:"private_key_id"`
	PrivateKey   string `json:"private_key,omitempty"`
}

type gcpAccount struct {
	Email string `json:"email,omitempty"`
}

// credentialDetail is a storage credential or a service credential. Secrets are checked and not stored.
type credentialDetail struct {
	AWSRole               *awsRole               `json:"aws_iam_role,omitempty"`
	AzureServicePrincipal *azureServicePrincipal `json:"azure_service_principal,omitempty"`
	AzureManagedIdentity  *azureManagedIdentity  `json:"azure_managed_identity,omitempty"`
	GCPKey                *gcpKey                `json:"gcp_service_account_key,omitempty"`
	GCPAccount            *gcpAccount            `json:"databricks_gcp_service_account,omitempty"`
	ReadOnly              bool                   `json:"read_only,omitempty"`
	Purpose               string                 `json:"purpose,omitempty"`
	IsolationMode         string                 `json:"isolation_mode,omitempty"`
}

// clone leaves out the credentials: an update that has some replaces them, otherwise prepare restores them.
func (d *credentialDetail) clone() detail {
	return &credentialDetail{ReadOnly: d.ReadOnly, Purpose: d.Purpose, IsolationMode: d.IsolationMode}
}

func (d *credentialDetail) prepare(_ *call, o *object, old detail) error {
	given := 0
	for _, set := range []bool{d.AWSRole != nil, d.AzureServicePrincipal != nil, d.AzureManagedIdentity != nil, d.GCPKey != nil, d.GCPAccount != nil} {
		if set {
			given++
		}
	}
	was, isUpdate := old.(*credentialDetail)
	switch {
	case given > 1, given == 0 && !isUpdate:
		return invalid("exactly one of aws_iam_role, azure_service_principal, azure_managed_identity, gcp_service_account_key is required.")
	case given == 0:
		d.AWSRole, d.AzureServicePrincipal, d.AzureManagedIdentity = was.AWSRole, was.AzureServicePrincipal, was.AzureManagedIdentity
		d.GCPKey, d.GCPAccount = was.GCPKey, was.GCPAccount
	}
	switch {
	case d.AWSRole != nil:
		if d.AWSRole.RoleARN == "" {
			return invalid("role_arn is required.")
		}
		d.AWSRole = &awsRole{d.AWSRole.RoleARN, "arn:aws:iam::414351767826:role/unity-catalog-emulator", o.uuid()}
	case d.AzureServicePrincipal != nil:
		sp := *d.AzureServicePrincipal
		if sp.DirectoryID == "" || sp.ApplicationID == "" || (sp.ClientSecret == "" && given > 0) {
			return invalid("directory_id, application_id and client_secret are required.")
		}
		sp.ClientSecret = ""
		d.AzureServicePrincipal = &sp
	case d.GCPKey != nil:
		key := *d.GCPKey
		if key.Email == "" || key.PrivateKeyID == "" || (key.PrivateKey == "" && given > 0) {
			return invalid("email, private_key_id and private_key are required.")
		}
		key.PrivateKey = ""
		d.GCPKey = &key
	}
	other := typeCredential // names are unique among storage and service credentials
	if d.Purpose = "STORAGE"; o.res.typ == typeCredential {
		d.Purpose, other = "SERVICE", typeStorageCredential
	}
	if !isUpdate && o.parent.list(other).get(o.name) != nil {
		return alreadyExists(o.res.label, o.name)
	}
	return oneOf("isolation_mode", &d.IsolationMode, "ISOLATION_MODE_OPEN", "ISOLATION_MODE_OPEN", "ISOLATION_MODE_ISOLATED")
}

func (d *credentialDetail) render(h commonFields) any {
	return struct {
		commonFields
		credentialDetail
		ID string `json:"id"`
	}{h, *d, h.uuid}
}

// connectionDetail is a connection to a foreign system. Options that are secret are not stored.
type connectionDetail struct {
	ConnectionType string    `json:"connection_type,omitempty"`
	Options        stringMap `json:"options,omitempty"`
	Properties     stringMap `json:"properties,omitempty"`
	ReadOnly       bool      `json:"read_only,omitempty"`
}

func (d *connectionDetail) clone() detail { c := *d; return &c }

func (d *connectionDetail) prepare(_ *call, _ *object, old detail) error {
	if was, ok := old.(*connectionDetail); ok {
		d.ConnectionType = was.ConnectionType
	}
	if err := oneOf("connection_type", &d.ConnectionType, "", "BIGQUERY", "DATABRICKS", "GLUE", "HIVE_METASTORE", "HTTP", "MYSQL",
		"ORACLE", "POSTGRESQL", "POWER_BI", "REDSHIFT", "SALESFORCE", "SALESFORCE_DATA_CLOUD", "SERVICENOW", "SNOWFLAKE",
		"SQLDW", "SQLSERVER", "TERADATA", "WORKDAY_RAAS"); err != nil {
		return err
	}
	kept := make(stringMap, len(d.Options))
	for key, value := range d.Options {
		if !isSecret(key) {
			kept[key] = value
		}
	}
	d.Options = kept
	return nil
}

func (d *connectionDetail) render(h commonFields) any {
	return struct {
		commonFields
		connectionDetail
		ConnectionID string `json:"connection_id"`
	}{h, *d, h.uuid}
}
