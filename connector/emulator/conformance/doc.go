// Package conformance holds the emulator to the Unity Catalog REST API 2.1, and any other server that is named: the rules
// of every endpoint, written down from the specification and apart from the emulator. It has tests only.
//
// By default they run against the emulator, in the process. `make conformance URL= TOKENS=` runs them against another
// server; they make objects of their own there, whose names begin with "conf_", and delete them. TOKENS holds pairs
// ROLE=TOKEN, separated by spaces. The roles are metastore_admin, account_admin, workspace_admin, alice and bob; nobody is
// to have two of them, and alice and bob nothing but what account users have. A test that needs a role without a token is
// skipped, and so is one that needs what the server does not serve; the output says so. What changes metastores and their
// assignment runs only where WORKSPACE= names the workspace that may lose its metastore meanwhile.
package conformance
