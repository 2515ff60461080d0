package config_test

import (
	"errors"
	"strings"
	"testing"

	"ucwarden/config"
)

// What bounds a sync and is misspelt, or names nothing, refuses to start, and says what was probably meant.
func TestLimitsThatAreNotUnderstood(t *testing.T) {
	const u = "CONNECTOR_DATABRICKS_UNITY_CATALOG_"
	for _, test := range []struct{ file, env, want string }{
		{file: u + "MANAGE_CATALOGS_LIST: sales\n", want: "did you mean " + u + "MANAGE_CATALOG_LIST?"},
		{file: u + "MANGE_CATALOG_LIST: sales\n", want: "did you mean " + u + "MANAGE_CATALOG_LIST?"},
		{file: u + "IGNORED_TABLES: a.b.c\n", want: "it looks like a bound"},
		{file: u + "GRANT_UPDATE: 'false'\n", want: "did you mean " + u + "GRANT_UPDATES?"},
		{file: u + "TABLE_CUSTOM_EXCLUDE_PERMISSION_LIST: select\n", want: "it looks like a bound"},
		{file: "CONNECTOR_DATABRICKS_UNITY_MANAGE_CATALOG_LIST: sales\n", want: "did you mean " + u + "MANAGE_CATALOG_LIST?"},
		{env: u + "MANAGE_CATALOGS_LIST=sales", want: "did you mean " + u + "MANAGE_CATALOG_LIST?"},
		{env: "UCWARDEN_SCOPE_CATALOG_INCLUDE=sales", want: "did you mean UCWARDEN_SCOPE_CATALOGS_INCLUDE?"},
		{env: "UCWARDEN_GUARD_MAX_REVOKE=1", want: "did you mean UCWARDEN_GUARD_MAX_REVOKES?"},
		{env: "UCWARDEN_SYNC_MOD=observe", want: "did you mean UCWARDEN_SYNC_MODE?"},
		{file: "scope: {protectd: [a]}\n", want: "did you mean scope.protected?"},
		{file: "scope: {catalogs: {include: ' , '}}\n", want: "holds blanks and separators alone"},
		{file: "scope: {protected: ['']}\n", want: "holds blanks and separators alone"},
		{file: u + "MANAGE_CATALOG_LIST: ' '\n", want: "holds blanks and separators alone"},
		{env: u + "MANAGE_CATALOG_LIST= ,", want: "holds blanks and separators alone"},
		{env: "UCWARDEN_SCOPE_USERS_INCLUDE= ", want: "holds blanks and separators alone"},
		{file: u + "MANAGE_CATALOG_LIST: 'sales;hr'\n", want: "cannot be a name"},
		{file: u + "MANAGE_CATALOG_LIST: '[\"sales\"]'\n", want: "cannot be a name"},
		{file: "scope: {catalogs: {exclude: [sales.emea]}}\n", want: "catalogs have one name"},
		{file: "scope: {catalogs: {exclude: ['sales hr']}}\n", want: "cannot be a name"},
		{file: "scope: {tables: {exclude: [orders]}}\n", want: "tables have 3 names"},
		{file: "scope: {groups: {include: ['analysts;engineers']}}\n", want: "cannot be a name"},
		{file: u + "MANAGE_USERS: 'ann,bob'\n", want: "a list of names goes under " + u + "MANAGE_USER_LIST"},
		{file: u + "MANAGE_ROLES: [uc_a]\n", want: "a list of names goes under " + u + "MANAGE_ROLE_LIST"},
		{env: u + "MANAGE_GROUPS=analysts", want: "a list of names goes under " + u + "MANAGE_GROUP_LIST"},
		{file: "scope:\n  catalogs:\n    include:\n#      - sales\n", want: "has no value, so it would bound nothing"},
		{file: "scope: {catalogs: {include: [null]}}\n", want: "an item of the list has no value"},
		{file: "scope: {protected: [admin@x.com, ~]}\n", want: "an item of the list has no value"},
		{file: "sync: {mode: null}\n", want: "has no value"},
		{file: "guard: {max_revokes: }\n", want: "has no value"},
		{file: "scope: {catalogs: [sales]}\n", want: "is a section"},
		{file: "scope: {catalogs: {include: [\"\u200bsales\"]}}\n", want: "invisible character"},
		{file: "scope: {catalogs: {exclude: ['sales,hr']}}\n", want: "holds a comma"},
		{file: "scope: {privileges: {table: {exclude: ['BROWSE, SELECT']}}}\n", want: "holds a comma"},
		{file: "scope: {protected: ['ops*']}\n", want: "exact names"},
		{file: "scope: {protected: ['group:ops']}\n", want: "write \"ops\""},
		{file: "scope: {groups: {exclude: ['GROUP: ops']}}\n", want: "without their kind"},
		{file: "scope: {metastore: no}\n", want: "is not one of auto, true, false"},
		{env: u + "IGNORE_GROUPS=true", want: "is a switch"},
		{file: "scope: {users: {exclude: false}}\n", want: "is a switch"},
		{env: "UCWARDN_SYNC_MODE=observe", want: "did you mean UCWARDEN_SYNC_MODE?"},
		{env: "ucwarden_scope_protected=a", want: "did you mean UCWARDEN_SCOPE_PROTECTED?"},
		{env: "CONECTOR_DATABRICKS_UNITY_CATALOG_MANAGE_CATALOG_LIST=sales", want: "did you mean " + u + "MANAGE_CATALOG_LIST?"},
		{file: "connector_databricks_unity_catalog_manage_catalog_list: sales\n", want: "did you mean " + u + "MANAGE_CATALOG_LIST?"},
	} {
		var environ []string
		if test.env != "" {
			environ = []string{test.env}
		}
		_, err := config.Load(config.Options{File: write(t, test.file), Environ: environ})
		var problems *config.Error
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s%s: %v, want %q", test.file, test.env, err, test.want)
		}
	}
	for _, fine := range []string{
		"scope: {groups: {include: ['team a', \"o'neil group\"]}, users: {exclude: ['*@x.com']}, tables: {exclude: ['*.*.tmp_*']}}\n",
		u + "MANAGE_SCHEMA_LIST: '*'\n" + u + "MANAGE_TABLE_LIST: '*'\n" + u + "IGNORE_VOLUME_LIST: ['*']\n",
		u + "MANAGE_CATALOGS_LIST: ''\n", "scope: {metastore: true, catalogs: {include: []}, groups: {exclude: ['cn=a, ou=b']}}\nsync:\n", u + "MANAGE_GROUP_MEMBERS: 'true'\n",
	} {
		if _, err := config.Load(config.Options{File: write(t, fine)}); err != nil {
			t.Errorf("%s: %v", fine, err)
		}
	}
}
