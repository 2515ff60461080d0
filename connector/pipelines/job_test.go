package pipelines_test

import (
	"slices"
	"strings"
	"testing"

	"ucwarden/connector/pipelines"
)

func withSpec(spec map[string]string) pipelines.Pipeline {
	p := pipelines.Pipeline{ID: strings.ToUpper(one), Name: "nightly", Spec: make(map[string]json)}
	for name, raw := range spec {
		p.Spec[name] = json(raw)
	}
	return p
}

func TestParametersAreTyped(t *testing.T) {
	job := pipelines.NewJob(withSpec(map[string]string{"continuous": "true", "photon": `"odd"`, "catalog": `"main"`, "target": `"gold"`, "configuration": `{
		"spark.a": "1", "spark.b": " 2.50 ", "spark.c": "TRUE", "spark.d": "0x10", "spark.e": "NaN", "spark.f": "", "spark.g": "9223372036854775808",
		"custom.h": "1e3", "custom.i": 7, "other": "1", "sparky": "1"}`}))
	var got []string
	for _, p := range job.Parameters {
		got = append(got, p.Name+" "+p.Type)
	}
	want := []string{"continuous boolean", "custom.h double", "custom.i integer", "full_refresh boolean", "spark.a integer", "spark.b double",
		"spark.c boolean", "spark.d string", "spark.e string", "spark.f string", "spark.g double"}
	if !slices.Equal(got, want) || job.Target != "schema:main.gold" || job.ExternalID != one {
		t.Errorf("%q of %s to %q, want %q", got, job.ExternalID, job.Target, want)
	}
	data, err := pipelines.Jobs{Jobs: []pipelines.Job{job}}.Format()
	if err != nil {
		t.Fatal(err)
	}
	read, err := pipelines.ParseJobs(data)
	if err != nil {
		t.Fatal(err)
	}
	if d := pipelines.Differences(read.Jobs[0], job); len(d) > 0 {
		t.Errorf("what was written and read differs: %q", d)
	}
	for target, spec := range map[string]map[string]string{
		"":                 {"schema": `"gold"`},
		"schema:other.s":   {"catalog": `"main"`, "target": `"other.s"`},
		"schema:main.gold": {"catalog": `"main"`, "schema": `"gold"`, "target": `"older"`},
	} {
		if got := pipelines.NewJob(withSpec(spec)).Target; got != target {
			t.Errorf("the target of %q is %q, want %q", spec, got, target)
		}
	}
}

func TestJobsAreParsedStrictly(t *testing.T) {
	job := func(fields string) string {
		return `{"externalId": "` + one + `", "type": "DATABRICKS_PIPELINE", "name": "n", "parameters": []` + fields + `}`
	}
	for text, want := range map[string]string{
		`{"jobs": [` + job("") + `]}`:                               "",
		`{"jobs": [` + job(`, "refreshOn": ["table:a.b.c"]`) + `]}`: "",
		`{"jobs": [` + job(`, "refreshOn": ["table:a.b"]`) + `]}`:   "needs 3 name",
		`{"jobs": [` + job(`, "refresh": ["table:a.b.c"]`) + `]}`:   `unknown field "refresh"`,
		`{"jobs": [` + job("") + `,` + job("") + `]}`:               "twice",
		`{"jobs": [{"externalId": "nightly", "name": "n"}]}`:        "not the id of a pipeline",
		`[]`: "not a file of ucwarden pipeline import",
	} {
		_, err := pipelines.ParseJobs([]byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestMergeKeepsWhatAPersonWrote(t *testing.T) {
	jobs := pipelines.Jobs{Jobs: []pipelines.Job{{ExternalID: one, Name: "z", RefreshOn: []string{"table:a.b.c"}}}}
	jobs.Merge([]pipelines.Job{{ExternalID: one, Name: "y"}, {ExternalID: two, Name: "x"}})
	if j := jobs.Jobs; len(j) != 2 || j[0].Name != "x" || j[1].Name != "y" || !slices.Equal(j[1].RefreshOn, []string{"table:a.b.c"}) {
		t.Errorf("%+v", j)
	}
}
