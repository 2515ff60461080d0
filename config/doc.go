// Package config loads ucwarden's configuration. In: defaults, one YAML file, the environment and the command line, the
// later ones overriding the earlier. Out: a typed and checked [Config] from [Load], or an [Error] with every problem;
// unknown keys are problems. Only cmd/ucwarden calls it.
//
// Every value has a [Key]: a structured name (databricks.host), an environment name derived from it
// (UCWARDEN_DATABRICKS_HOST), and for some of them the property names that Privacera-style managers write
// (CONNECTOR_DATABRICKS_UNITY_CATALOG_DATABRICKS_BASE_URL), which work both in the file and in the environment.
// [Keys] lists them all; the loader, the checks and the printed reference use that one table.
//
// A [Secret] is masked wherever it is printed. The package imports nothing that it configures: cmd copies values into
// each package's Options.
package config
