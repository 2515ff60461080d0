package emulator

import (
	"slices"
)

func shares() *resource {
	return &resource{path: "shares", label: "SHARE", typ: typeShare, parent: typeMetastore,
		fields: fields{"name": "R/O", "new_name": "-/O", "comment": "O/O", "owner": "I/O", "objects": "I/O", "updates": "I/O",
			"storage_root": "O/O"},
		view:      shareParts,
		newDetail: func() detail { return &shareDetail{} }}
}

// shareDetail is a share.
type shareDetail struct {
	Objects     *[]sharedInput `json:"objects"` // input: all that the share is to have
	Updates     []shareUpdate  `json:"updates"` // input: changes of what it has
	StorageRoot string         `json:"storage_root"`
	objects     []sharedObject // immutable once stored
}

type shareUpdate struct {
	Action     string       `json:"action"`
	DataObject *sharedInput `json:"data_object"`
}

func (d *shareDetail) clone() detail {
	return &shareDetail{StorageRoot: d.StorageRoot, objects: d.objects}
}

func (d *shareDetail) prepare(c *call, o *object, _ detail) error {
	if err := checkURL("storage_root", d.StorageRoot, false); err != nil {
		return err
	}
	list := sharedList{c: c, share: o, objects: slices.Clone(d.objects)}
	if d.Objects != nil {
		if err := list.replace(*d.Objects); err != nil {
			return err
		}
	}
	for _, update := range d.Updates {
		if err := list.apply(update); err != nil {
			return err
		}
	}
	d.Objects, d.Updates, d.objects = nil, nil, list.objects
	return list.check()
}

func (d *shareDetail) render(h commonFields) any {
	objects := make([]sharedOutput, len(d.objects))
	for i, object := range d.objects {
		objects[i] = object.output()
	}
	return d.renderWith(h, objects)
}

func (d *shareDetail) renderWith(h commonFields, objects []sharedOutput) any {
	return struct {
		commonFields
		Objects     []sharedOutput `json:"objects,omitempty"`
		StorageRoot string         `json:"storage_root,omitempty"`
	}{h, objects, d.StorageRoot}
}

// shareParts renders shares without their objects, if the query says so. The specification shows them; the client
// library's include_shared_data leaves that to the caller.
func shareParts(c *call) (func(o *object) any, error) {
	include, err := c.flag("include_shared_data")
	if err != nil {
		return nil, err
	}
	if include || c.req.URL.Query().Get("include_shared_data") == "" {
		return c.srv.render, nil
	}
	return func(o *object) any { return o.detail.(*shareDetail).renderWith(c.srv.commonFields(o), nil) }, nil
}

// sharedBy returns the name of a share that holds an object or what it lies in, "" if none does.
func (o *object) sharedBy() string {
	for share := range o.top().list(typeShare).after("") {
		for _, shared := range share.detail.(*shareDetail).objects {
			for in := o; in != nil; in = in.parent {
				if shared.target == in {
					return share.name
				}
			}
		}
	}
	return ""
}

// registerSharing registers the calls that only shares, recipients and providers have.
func (s *Server) registerSharing() {
	recipient, provider := s.types[typeRecipient], s.types[typeProvider]
	managers := s.types[typeShare].groundFor(toRead).String()
	s.route("GET "+prefix+"/shares/{name}/permissions", managers, s.getPermissions)
	s.route("PATCH "+prefix+"/shares/{name}/permissions",
		managers+"; a grant: besides, "+recipient.groundFor(toGrantTo).in("the recipient"), s.patchPermissions)
	s.route("GET "+prefix+"/recipients/{name}/share-permissions", recipient.groundFor(toRead).String(), s.recipientPermissions)
	s.route("POST "+prefix+"/recipients/{name}/rotate-token", recipient.groundFor(toRotate).String(), s.rotateToken)
	s.route("GET "+prefix+"/providers/{name}/shares", provider.groundFor(toRead).String(), s.providerShares)
}
