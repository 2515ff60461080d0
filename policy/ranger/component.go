package ranger

import (
	"cmp"
	"slices"
	"strings"

	"ucwarden/input"
)

// Component is whose an access type or mask of a tag service is.
type Component uint8

// The components.
const (
	ComponentOwn    Component = iota // the service that the tags are read for
	ComponentNearly                  // written nearly as that one, and so a slip of writing
	ComponentOther                   // one that Ranger has
	ComponentUnknown
)

// otherComponents are the service types of Ranger (source: agents-common/src/main/resources/service-defs), and of programs that bring their own.
var otherComponents = []string{"hdfs", "hbase", "hive", "yarn", "knox", "storm", "solr", "kafka", "kms", "atlas", "nifi", "nifi-registry", "sqoop", "kylin",
	"elasticsearch", "presto", "trino", "ozone", "kudu", "schema-registry", "nestedstructure", "wasb", "abfs", "s3", "gds", "polaris", "tag",
	"starrocks", "dremio", "snowflake", "impala", "doris", "spark", "flink", "redshift", "bigquery", "synapse", "postgres", "postgresql", "mysql", "oracle", "mssql",
	"clickhouse", "druid", "pinot", "cassandra", "mongodb", "athena", "glue", "lakeformation", "adls", "gcs", "powerbi", "vertica", "teradata", "greenplum"}

var separators = strings.NewReplacer("-", "", "_", "")

// ComponentNamed tells whose what stands before the colon of "hive:select" is, given the name of the service definition that the
// tags are read for. Names differ neither by case nor by how their words are parted.
func ComponentNamed(name, own string) Component {
	if name == own {
		return ComponentOwn
	}
	a, b := separators.Replace(strings.ToLower(name)), separators.Replace(strings.ToLower(own))
	switch {
	case a == b:
		return ComponentOwn
	case slices.Contains(otherComponents, strings.ToLower(name)):
		return ComponentOther
	case input.Distance(a, b) <= len(b)/4, strings.Contains(strings.TrimSpace(a), "unitycatalog"):
		return ComponentNearly
	}
	return ComponentUnknown
}

// OfOthers returns the indexes of the resources that are of another service than the tags are read for: in a document that has
// resources of this one, those that name another, unless the name is nearly this one's.
func (t *ServiceTags) OfOthers(service string) map[int]bool {
	own, hasOwn := cmp.Or(t.ServiceName, service), false
	others := make(map[int]bool)
	for i := range t.ServiceResources {
		switch of := t.ServiceResources[i].ServiceName; {
		case of == "" || own == "" || of == own:
			hasOwn = true
		case ComponentNamed(of, own) > ComponentNearly:
			others[i] = true
		}
	}
	if !hasOwn {
		return nil
	}
	return others
}

// NamesOther reports whether the name of a service says that it is of another type than Unity Catalog, as "cl1_trino" does.
func NamesOther(service string) bool {
	lower := strings.ToLower(service)
	return slices.ContainsFunc(otherComponents, func(of string) bool {
		return len(of) >= 4 && strings.Contains(lower, of) || slices.Contains(strings.FieldsFunc(lower, func(r rune) bool { return r == '_' || r == '-' || r == '.' || r == ' ' }), of)
	})
}
