// Package config loads ucwarden's configuration. [Load] merges, from weakest to strongest, the defaults, one YAML
// file, the environment and the command line into a typed [Config], and refuses what it does not understand.
//
// Every value has a [Key]: a structured name (databricks.host), an environment name derived from it
// (UCWARDEN_DATABRICKS_HOST), and for some of them the property names that Privacera-style managers write
// (CONNECTOR_DATABRICKS_UNITY_CATALOG_DATABRICKS_BASE_URL), which work in the file and in the environment alike.
// [Keys] lists them all; the loader, the checks and the printed reference are made from that one table.
//
// A [Secret] never prints itself. The package imports nothing of ours: cmd copies values into each package's Options.
package config
