package policy

import (
	"iter"
	"math/bits"
)

// PrivilegeSet is a set of privileges, one bit for each of privilegeList.
type PrivilegeSet uint64

var (
	privilegeList   = allPrivileges()
	privilegeIndex  = indexPrivileges(privilegeList)
	AllPrivilegeSet = NewPrivilegeSet(privilegeList...)
	// DefaultPrivilegeSet holds the privileges that are managed unless the scope says otherwise.
	DefaultPrivilegeSet = AllPrivilegeSet.filter(IsPrivilege)
	// ImpliedByAll holds what ALL_PRIVILEGES confers besides itself.
	ImpliedByAll = AllPrivilegeSet.filter(func(p Privilege) bool { return p != AllPrivileges && AllPrivileges.Implies(p) })
)

func allPrivileges() []Privilege {
	lists := make([][]Privilege, 0, 2*len(privilegesOf))
	for t, list := range privilegesOf {
		lists = append(lists, list, privilegesNotManaged[t])
	}
	all := union(lists...)
	if len(all) > 64 {
		panic("more privileges than a privSet holds")
	}
	return all
}

func indexPrivileges(list []Privilege) map[Privilege]uint {
	index := make(map[Privilege]uint, len(list))
	for i, p := range list {
		index[p] = uint(i)
	}
	return index
}

func NewPrivilegeSet(list ...Privilege) PrivilegeSet {
	var s PrivilegeSet
	for _, p := range list {
		s |= p.Set()
	}
	return s
}

func (p Privilege) Set() PrivilegeSet {
	if i, ok := privilegeIndex[p]; ok {
		return 1 << i
	}
	return 0
}

func (s PrivilegeSet) Has(p Privilege) bool { return s&p.Set() != 0 }

func (s PrivilegeSet) All() iter.Seq[Privilege] {
	return func(yield func(Privilege) bool) {
		for ; s != 0; s &= s - 1 {
			if !yield(privilegeList[bits.TrailingZeros64(uint64(s))]) {
				return
			}
		}
	}
}

func (s PrivilegeSet) filter(keep func(Privilege) bool) PrivilegeSet {
	var kept PrivilegeSet
	for p := range s.All() {
		if keep(p) {
			kept |= p.Set()
		}
	}
	return kept
}

// WithImplied adds what ALL_PRIVILEGES confers.
func (s PrivilegeSet) WithImplied() PrivilegeSet {
	if s.Has(AllPrivileges) {
		return s | ImpliedByAll
	}
	return s
}

// ObjectClass is a set of kinds of object as policies and privileges tell them apart: models are not functions here.
type ObjectClass uint32

const (
	ClassCatalog ObjectClass = 1 << iota
	ClassSchema
	ClassTable
	ClassFunction
	ClassModel
	ClassVolume
	ClassMetastore
	ClassExternalLocation
	ClassStorageCredential
	ClassCredential
	ClassConnection
	ClassShare
	ClassRecipient
	ClassProvider
)

const (
	ClassesInSchema  = ClassTable | ClassFunction | ClassModel | ClassVolume
	ClassesInCatalog = ClassSchema | ClassesInSchema
	ClassesOfRoots   = ClassMetastore | ClassExternalLocation | ClassStorageCredential | ClassCredential | ClassConnection |
		ClassShare | ClassRecipient | ClassProvider
)

var ClassOfType = map[SecurableType]ObjectClass{
	Metastore: ClassMetastore, Catalog: ClassCatalog, Schema: ClassSchema, Table: ClassTable, Function: ClassFunction,
	Volume: ClassVolume, ExternalLocation: ClassExternalLocation, StorageCredential: ClassStorageCredential,
	Credential: ClassCredential, Connection: ClassConnection, Share: ClassShare, Recipient: ClassRecipient, Provider: ClassProvider,
}

var typeOfClass = func() map[ObjectClass]SecurableType {
	types := map[ObjectClass]SecurableType{ClassModel: Function}
	for t, class := range ClassOfType {
		types[class] = t
	}
	return types
}()

// TypeOfClass returns the type of securable of the objects of one class, "" where c is not one class. A registered model is a function.
func TypeOfClass(c ObjectClass) SecurableType { return typeOfClass[c] }

func ClassOf(o Object) ObjectClass {
	if o.Kind == KindModel {
		return ClassModel
	}
	return ClassOfType[o.Type]
}

// Inside returns the classes of c and of everything an object of class c can hold.
func (c ObjectClass) Inside() ObjectClass {
	switch c {
	case ClassCatalog:
		return c | ClassesInCatalog
	case ClassSchema:
		return c | ClassesInSchema
	}
	return c
}

func (c ObjectClass) Each() iter.Seq[ObjectClass] {
	return func(yield func(ObjectClass) bool) {
		for ; c != 0; c &= c - 1 {
			if !yield(c & -c) {
				return
			}
		}
	}
}

// ActsOn maps each privilege to the classes on which it acts itself. A privilege on a container that acts on other
// classes than the container's is there to be inherited.
var ActsOn = privilegeClasses()

func privilegeClasses() map[Privilege]ObjectClass {
	m := make(map[Privilege]ObjectClass)
	add := func(c ObjectClass, list []Privilege) {
		for _, p := range list {
			m[p] |= c
		}
	}
	add(ClassCatalog, catalogPrivileges)
	add(ClassSchema, schemaPrivileges)
	add(ClassTable, tablePrivileges)
	add(ClassFunction, privilegesOf[Function])
	add(ClassModel, privilegesOfKind[KindModel])
	add(ClassVolume, volumePrivileges)
	for t, list := range privilegesNotManaged {
		add(ClassOfType[t], list)
	}
	m["CREATE_MODEL_VERSION"] = ClassModel
	m[readMetadata] |= ClassModel
	for t, list := range privilegesOf {
		if c := ClassOfType[t]; c > ClassVolume {
			add(c, list)
		}
	}
	return m
}
