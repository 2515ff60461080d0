package emulator

func volumes() *resource {
	return &resource{path: "volumes", label: "VOLUME", typ: typeVolume, parent: typeSchema,
		fields: fields{"name": "R/O", "new_name": "-/O", "catalog_name": "R/I", "schema_name": "R/I", "comment": "O/O",
			"owner": "I/O", "volume_type": "O/I", "storage_location": "O/I"},
		newDetail: func() detail { return &volumeDetail{} }}
}

type volumeDetail struct {
	VolumeType      string `json:"volume_type,omitempty"`
	StorageLocation string `json:"storage_location,omitempty"`
}

func (d *volumeDetail) clone() detail { c := *d; return &c }

func (d *volumeDetail) prepare(*call, *object, detail) error {
	if err := oneOf("volume_type", &d.VolumeType, "MANAGED", "MANAGED", "EXTERNAL"); err != nil {
		return err
	}
	return checkURL("storage_location", d.StorageLocation, d.VolumeType == "EXTERNAL")
}

func (d *volumeDetail) render(h commonFields) any {
	return struct {
		commonFields
		volumeDetail
		VolumeID string `json:"volume_id"`
	}{h, *d, h.o.uuid()}
}
