package content

import (
	"bytes"
	"encoding/json"
	"errors"

	"ucwarden/policy"
)

// errPage is why a document is refused that may be one page of many: what is missing may be denies.
var errPage = errors.New("one page of a longer list")

// checkWhole returns an error for a listing of Ranger Admin, as of its lists of policies and roles, that says that it is a part of
// what there is: it begins behind the first, or holds fewer than it counts. Ranger Admin's exports count nothing, or all that they
// hold. Source: org.apache.ranger.view.VList.
func (d *document) checkWhole(held int) error {
	if !bytes.Contains(d.data, []byte("startIndex")) && !bytes.Contains(d.data, []byte("totalCount")) && !bytes.Contains(d.data, []byte("resultSize")) {
		return nil
	}
	var page struct {
		StartIndex, TotalCount, ResultSize json.RawMessage
	}
	if json.Unmarshal(d.data, &page) != nil {
		return nil // a list
	}
	for _, field := range []struct {
		name  string
		value json.RawMessage
		most  int
	}{{"startIndex", page.StartIndex, 0}, {"totalCount", page.TotalCount, held}, {"resultSize", page.ResultSize, held}} {
		var n int
		if err := json.Unmarshal(bytes.Trim(field.value, `"`), &n); field.value != nil && err != nil {
			return policy.Errorf(policy.CodeInvalid, "%s: %s: %s is no number, so this may be %w; correct or remove it", d.file.path, field.name, field.value, errPage)
		}
		if n > field.most {
			return policy.Errorf(policy.CodeInvalid, "%s: %s is %d and there are %d entries, so this is %w; export all of it, "+
				"as with a greater pageSize, or put all pages into one list without startIndex, totalCount and resultSize", d.file.path, field.name, n, held, errPage)
		}
	}
	return nil
}
