package policy

import (
	"iter"
	"math/bits"
)

// privSet is a set of privileges, one bit for each of privilegeList.
type privSet uint64

var (
	privilegeList  = allPrivileges()
	privilegeIndex = indexPrivileges(privilegeList)
	allPrivSet     = newPrivSet(privilegeList...)
	// impliedByAll holds what ALL_PRIVILEGES confers besides itself.
	impliedByAll = allPrivSet.filter(func(p Privilege) bool { return p != AllPrivileges && AllPrivileges.Implies(p) })
)

func allPrivileges() []Privilege {
	lists := make([][]Privilege, 0, len(privilegesOf))
	for _, list := range privilegesOf {
		lists = append(lists, list)
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

func newPrivSet(list ...Privilege) privSet {
	var s privSet
	for _, p := range list {
		s |= p.bit()
	}
	return s
}

func (p Privilege) bit() privSet {
	if i, ok := privilegeIndex[p]; ok {
		return 1 << i
	}
	return 0
}

func (s privSet) has(p Privilege) bool { return s&p.bit() != 0 }

func (s privSet) all() iter.Seq[Privilege] {
	return func(yield func(Privilege) bool) {
		for ; s != 0; s &= s - 1 {
			if !yield(privilegeList[bits.TrailingZeros64(uint64(s))]) {
				return
			}
		}
	}
}

func (s privSet) filter(keep func(Privilege) bool) privSet {
	var kept privSet
	for p := range s.all() {
		if keep(p) {
			kept |= p.bit()
		}
	}
	return kept
}

// withImplied adds what ALL_PRIVILEGES confers.
func (s privSet) withImplied() privSet {
	if s.has(AllPrivileges) {
		return s | impliedByAll
	}
	return s
}

// class is a set of kinds of object as policies and privileges tell them apart: models are not functions here.
type class uint32

const (
	classCatalog class = 1 << iota
	classSchema
	classTable
	classFunction
	classModel
	classVolume
	classMetastore
	classExternalLocation
	classStorageCredential
	classCredential
	classConnection
	classShare
	classRecipient
	classProvider
)

const (
	classesInSchema  = classTable | classFunction | classModel | classVolume
	classesInCatalog = classSchema | classesInSchema
)

var classOfType = map[SecurableType]class{
	Metastore: classMetastore, Catalog: classCatalog, Schema: classSchema, Table: classTable, Function: classFunction,
	Volume: classVolume, ExternalLocation: classExternalLocation, StorageCredential: classStorageCredential,
	Credential: classCredential, Connection: classConnection, Share: classShare, Recipient: classRecipient, Provider: classProvider,
}

func classOf(o Object) class {
	if o.Kind == KindModel {
		return classModel
	}
	return classOfType[o.Type]
}

// inside gives the classes of c and of everything an object of class c can hold.
func (c class) inside() class {
	switch c {
	case classCatalog:
		return c | classesInCatalog
	case classSchema:
		return c | classesInSchema
	}
	return c
}

func (c class) each() iter.Seq[class] {
	return func(yield func(class) bool) {
		for ; c != 0; c &= c - 1 {
			if !yield(c & -c) {
				return
			}
		}
	}
}

// actsOn maps each privilege to the classes on which it acts itself. A privilege on a container that acts on other
// classes than the container's is there to be inherited.
var actsOn = privilegeClasses()

func privilegeClasses() map[Privilege]class {
	m := make(map[Privilege]class)
	add := func(c class, list []Privilege) {
		for _, p := range list {
			m[p] |= c
		}
	}
	add(classCatalog, catalogPrivileges)
	add(classSchema, schemaPrivileges)
	add(classTable, tablePrivileges)
	add(classFunction, privilegesOf[Function])
	add(classModel, privilegesOfKind[KindModel])
	add(classVolume, volumePrivileges)
	for t, list := range privilegesOf {
		if c := classOfType[t]; c > classVolume {
			add(c, list)
		}
	}
	return m
}
