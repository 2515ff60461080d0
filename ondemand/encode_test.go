package ondemand

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// What is written field by field is what encoding/json writes by the tags of the fields, whichever of them are set.
func TestEncodingFollowsTags(t *testing.T) {
	type plainTask Task
	type plainInfo RequestInfo
	type plainResource Resource
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var task Task
		fill(random, reflect.ValueOf(&task).Elem())
		same(t, task, plainTask(task))
		same(t, task.RequestInfo, plainInfo(task.RequestInfo))
		for _, r := range task.RequestInfo.Resources {
			same(t, r, plainResource(r))
		}
	}
}

func same(t *testing.T, v json.Marshaler, plain any) {
	t.Helper()
	got, err := v.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(plain); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%s\n", got) != want.String() {
		t.Fatalf("written as\n%s\nwant\n%s", got, &want)
	}
}

// fill sets about half of what v holds, but for unknown fields.
func fill(random *rand.Rand, v reflect.Value) {
	texts := []string{"a", "<b&>", "quo\"te\\", "tab\tnew\nline", "ü\u2028\x7f", "\xff", ""}
	switch {
	case random.IntN(2) == 0 && v.Kind() != reflect.Struct:
		return
	case v.Type() == reflect.TypeFor[time.Time]():
		if random.IntN(2) == 0 {
			v.Set(reflect.ValueOf(time.Unix(random.Int64N(1e10), random.Int64N(1e9)).UTC()))
		}
		return
	case v.Type() == reflect.TypeFor[map[string]json.RawMessage]():
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(texts[random.IntN(len(texts))])
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(random.Int64N(1000) - 500)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), random.IntN(3), 3))
		for i := range v.Len() {
			fill(random, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range random.IntN(12) {
			v.SetMapIndex(reflect.ValueOf(texts[random.IntN(5)]+fmt.Sprint(random.IntN(12))), reflect.ValueOf(texts[random.IntN(len(texts))]))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(random, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(random, v.Field(i))
		}
	default:
		panic("a field of an unknown kind: " + v.Type().String())
	}
}

// A time that RFC 3339 cannot express is an error, and no half of a document.
func TestEncodingRefusesImpossibleTimes(t *testing.T) {
	if data, err := json.Marshal(Task{ID: "a", ReceivedTime: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}); err == nil {
		t.Errorf("written as %s", data)
	}
}
