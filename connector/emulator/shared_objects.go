package emulator

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// partitionValue is a condition on a partition column. A value that is absent is null, and stays absent.
type partitionValue struct {
	Name                 string  `json:"name"`
	Value                *string `json:"value,omitempty"`
	Op                   string  `json:"op"`
	RecipientPropertyKey string  `json:"recipient_property_key,omitempty"`
}

// partition holds if all its values do; a table is shared where one of its partitions holds.
type partition struct {
	Values []partitionValue `json:"values"`
}

type partitionSpecification struct {
	Partitions []partition `json:"partitions"`
}

// sharedInput is the API's ShareDataObject as callers write it. What the server sets is not among its fields.
type sharedInput struct {
	Name                   string                  `json:"name"`
	Comment                string                  `json:"comment"`
	SharedAs               string                  `json:"shared_as"`
	StringSharedAs         string                  `json:"string_shared_as"` // of volumes and models
	PartitionSpecification *partitionSpecification `json:"partition_specification"`
	Partitions             []partition             `json:"partitions"` // the client library's form of the same
	CDFEnabled             bool                    `json:"cdf_enabled"`
	StartVersion           int64                   `json:"start_version"`
	DataObjectType         string                  `json:"data_object_type"`
	HistorySharing         string                  `json:"history_data_sharing_status"`
}

func (in *sharedInput) partitions() []partition {
	if in.PartitionSpecification != nil {
		return in.PartitionSpecification.Partitions
	}
	return in.Partitions
}

// sharedOutput is the API's ShareDataObject as it is answered.
type sharedOutput struct {
	Name                   string                  `json:"name"`
	Comment                string                  `json:"comment,omitempty"`
	SharedAs               string                  `json:"shared_as,omitempty"`
	StringSharedAs         string                  `json:"string_shared_as,omitempty"`
	PartitionSpecification *partitionSpecification `json:"partition_specification,omitempty"`
	Partitions             []partition             `json:"partitions,omitempty"`
	CDFEnabled             bool                    `json:"cdf_enabled"`
	StartVersion           int64                   `json:"start_version"`
	DataObjectType         string                  `json:"data_object_type"`
	HistorySharing         string                  `json:"history_data_sharing_status,omitempty"`
	AddedAt                int64                   `json:"added_at"`
	AddedBy                string                  `json:"added_by"`
}

// sharedObject is an object in a share. It refers to the object itself, so its name follows renames.
type sharedObject struct {
	target         *object
	comment        string
	sharedAs       string
	partitions     []partition
	cdfEnabled     bool
	startVersion   int64
	historySharing string
	addedAt        int64
	addedBy        string
}

func (o sharedObject) output() sharedOutput {
	out := sharedOutput{
		Name: o.target.fullName(), Comment: o.comment, SharedAs: o.sharedAs, Partitions: o.partitions, CDFEnabled: o.cdfEnabled,
		StartVersion: o.startVersion, DataObjectType: sharedType(o.target), HistorySharing: o.historySharing,
		AddedAt: o.addedAt, AddedBy: o.addedBy,
	}
	if len(o.partitions) > 0 {
		out.PartitionSpecification = &partitionSpecification{o.partitions}
	}
	if out.DataObjectType == "VOLUME" || out.DataObjectType == "MODEL" {
		out.SharedAs, out.StringSharedAs = "", o.sharedAs
	}
	return out
}

// sharedType returns the data_object_type of an object.
func sharedType(o *object) string {
	switch o.kind {
	case kindView, kindMaterializedView, kindStreamingTable:
		return string(o.kind)
	case kindForeignTable:
		return "FOREIGN_TABLE"
	case kindModel:
		return "MODEL"
	}
	return string(o.res.typ)
}

// sharedResource returns the path of the collection that objects of a data_object_type are in.
func sharedResource(dataObjectType string) (string, error) {
	switch dataObjectType {
	case "", "TABLE", "VIEW", "MATERIALIZED_VIEW", "STREAMING_TABLE", "FOREIGN_TABLE":
		return "tables", nil
	case "SCHEMA":
		return "schemas", nil
	case "VOLUME":
		return "volumes", nil
	case "FUNCTION":
		return "functions", nil
	case "MODEL":
		return "models", nil
	}
	return "", invalid("data_object_type '%s' cannot be shared.", dataObjectType)
}

// sharedList is what a share has, while an update changes it.
type sharedList struct {
	c       *call
	share   *object
	objects []sharedObject
}

// find returns the index of the object that is shared under its full name, and -1 if there is none.
func (l *sharedList) find(name string) int {
	name = canonicalName(name)
	return slices.IndexFunc(l.objects, func(o sharedObject) bool { return o.target.fullName() == name })
}

// replace makes the list what is given: what is new is added, what is missing is removed.
func (l *sharedList) replace(given []sharedInput) error {
	had := sharedList{l.c, l.share, l.objects}
	l.objects = nil
	for _, in := range given {
		if l.find(in.Name) >= 0 {
			return invalid("objects holds '%s' twice.", in.Name)
		}
		if at := had.find(in.Name); at >= 0 && !detached(had.objects[at].target) {
			l.objects = append(l.objects, had.objects[at])
			if err := l.set(len(l.objects)-1, &in); err != nil {
				return err
			}
			continue
		}
		if err := l.add(&in); err != nil {
			return err
		}
	}
	return nil
}

func (l *sharedList) apply(update shareUpdate) error {
	if update.DataObject == nil {
		return invalid("data_object is required.")
	}
	at := l.find(update.DataObject.Name)
	if at >= 0 && update.Action == "ADD" && detached(l.objects[at].target) { // the name has another object now
		l.objects = slices.Delete(l.objects, at, at+1)
		at = -1
	}
	switch {
	case update.Action != "ADD" && update.Action != "REMOVE" && update.Action != "UPDATE":
		return invalid("action '%s' is not one of ADD, REMOVE, UPDATE.", update.Action)
	case update.Action == "ADD" && at < 0:
		return l.add(update.DataObject)
	case update.Action == "ADD":
		return alreadyExists("RESOURCE", update.DataObject.Name)
	case at < 0:
		return notFound("RESOURCE", update.DataObject.Name)
	case update.Action == "REMOVE":
		l.objects = slices.Delete(l.objects, at, at+1)
		return nil
	}
	return l.set(at, update.DataObject)
}

// add adds an object, which the share's owner must be able to read.
func (l *sharedList) add(in *sharedInput) error {
	path, err := sharedResource(in.DataObjectType)
	if err != nil {
		return err
	}
	target, err := l.c.srv.find(l.c.srv.resources[path], in.Name)
	if err != nil {
		return err
	}
	owner := &call{srv: l.c.srv, who: l.c.srv.callerOf(l.share.owner)}
	if !owner.may(toShare, target) {
		return denied("The owner of Share '%s' may not share %s '%s': this takes %s.", l.share.name, displayLabel(target.res.label),
			target.fullName(), target.res.groundFor(toShare))
	}
	if d, ok := target.detail.(*tableDetail); ok && d.isProtected() {
		return invalidState("Table '%s' has a row filter or column masks, and cannot be shared.", target.fullName())
	}
	l.objects = append(l.objects, sharedObject{target: target, sharedAs: defaultSharedAs(target), addedAt: l.c.srv.nowMillis(), addedBy: l.c.who.name})
	return l.set(len(l.objects)-1, in)
}

// defaultSharedAs returns the object's own schema.table, or the name of a schema.
func defaultSharedAs(o *object) string {
	if o.res.typ == typeSchema {
		return o.name
	}
	return o.parent.name + "." + o.name
}

// set sets the fields of the object at an index that callers write.
func (l *sharedList) set(at int, in *sharedInput) error {
	o := l.objects[at]
	if as := cmp.Or(in.SharedAs, in.StringSharedAs); as != "" {
		o.sharedAs = canonicalName(as)
	}
	parts := strings.Split(o.sharedAs, ".")
	if want := min(o.target.res.typ.depth()-1, 2); len(parts) != want || slices.Contains(parts, "") {
		return invalid("shared_as '%s' must be %s.", o.sharedAs, [...]string{"", "a name", "schema.table"}[want])
	}
	o.partitions = in.partitions()
	if err := checkPartitions(o.partitions); err != nil {
		return err
	}
	if version := versionOf(o.target); in.StartVersion < 0 || in.StartVersion > version {
		return invalid("start_version %d is not between 0 and %d, the version of '%s'.", in.StartVersion, version, o.target.fullName())
	}
	o.comment, o.cdfEnabled, o.startVersion = in.Comment, in.CDFEnabled, in.StartVersion
	if o.historySharing = in.HistorySharing; o.historySharing != "" {
		if err := oneOf("history_data_sharing_status", &o.historySharing, "", "DISABLED", "ENABLED"); err != nil {
			return err
		}
	}
	l.objects[at] = o
	return nil
}

// check returns an error if two objects of a kind are shared under one name.
func (l *sharedList) check() error {
	type key struct {
		typ  securableType
		name string
	}
	seen := make(map[key]bool, len(l.objects))
	for _, o := range l.objects {
		k := key{o.target.res.typ, o.sharedAs}
		if seen[k] {
			return invalid("shared_as '%s' is used twice in the share.", o.sharedAs)
		}
		seen[k] = true
	}
	return nil
}

// versionProperty is the table property from which the emulator, which holds no data, takes the version of a Delta table.
const versionProperty = "delta.lastUpdateVersion"

func versionOf(o *object) int64 {
	if d, ok := o.detail.(*tableDetail); ok {
		if n, err := strconv.ParseInt(d.Properties[versionProperty], 10, 64); err == nil {
			return n
		}
	}
	return 0
}

func checkPartitions(partitions []partition) error {
	for _, p := range partitions {
		seen := make(map[string]bool, len(p.Values))
		for _, v := range p.Values {
			folded := strings.ToLower(v.Name)
			switch {
			case v.Name == "":
				return invalid("every value of a partition needs a name.")
			case seen[folded]:
				return invalid("a partition names the column '%s' twice.", v.Name)
			case v.Op != "EQUAL" && v.Op != "LIKE":
				return invalid("op '%s' is not one of EQUAL, LIKE.", v.Op)
			}
			seen[folded] = true
		}
	}
	return nil
}
