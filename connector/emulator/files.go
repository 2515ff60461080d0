package emulator

import (
	"iter"
	"maps"
	"slices"
	"strings"
)

// registerFiles registers the list of files in cloud storage.
func (s *Server) registerFiles() {
	s.route("GET "+prefix+"/files", "who may get the external location that holds url: "+s.types[typeExternalLocation].groundFor(toRead).String(), s.listFiles)
}

type fileInfo struct {
	Path  string `json:"path"`
	Name  string `json:"name"`
	Size  int64  `json:"size"`
	MTime int64  `json:"mtime"` // epoch milliseconds
	IsDir bool   `json:"is_dir"`
}

// listFiles lists the directories directly below a URL, to who may get the external location that holds the URL. There
// is no cloud storage, so they are those of the tables and volumes stored below.
func (s *Server) listFiles(c *call) (any, error) {
	query := c.req.URL.Query()
	if err := checkURL("url", query.Get("url"), true); err != nil {
		return nil, err
	}
	size, err := c.pageSize()
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	metastore, err := s.metastore()
	if err != nil {
		return nil, err
	}
	if name := query.Get("credential_name"); name != "" {
		if _, err := s.find(s.types[typeStorageCredential], name); err != nil {
			return nil, err
		}
	}
	location := locationOf(metastore, query.Get("url"))
	if location == nil {
		return nil, &apiError{status: 404, code: "EXTERNAL_LOCATION_DOES_NOT_EXIST", message: "No external location holds '" + query.Get("url") + "'."}
	}
	if err := c.check(toRead, location); err != nil {
		return nil, err
	}
	files := directoriesBelow(metastore, canonicalURL(query.Get("url")))
	page, next, err := takePage(c, size, func(after string) iter.Seq2[string, fileInfo] {
		return func(yield func(string, fileInfo) bool) {
			for _, name := range slices.Sorted(maps.Keys(files)) {
				if name > after && !yield(name, files[name]) {
					return
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return pageOf("files", page, next), nil
}

// locationOf returns the external location that holds the URL, or nil.
func locationOf(metastore *object, url string) *object {
	for location := range metastore.list(typeExternalLocation).after("") {
		if urlWithin(url, location.detail.(*locationDetail).URL) {
			return location
		}
	}
	return nil
}

// directoriesBelow returns the directories directly below a canonical URL, by name.
func directoriesBelow(metastore *object, url string) map[string]fileInfo {
	found := make(map[string]fileInfo)
	for catalog := range metastore.list(typeCatalog).after("") {
		for schema := range catalog.list(typeSchema).after("") {
			for table := range schema.list(typeTable).after("") {
				addDirectory(found, url, table, table.detail.(*tableDetail).location(table))
			}
			for volume := range schema.list(typeVolume).after("") {
				addDirectory(found, url, volume, volume.detail.(*volumeDetail).StorageLocation)
			}
		}
	}
	return found
}

func addDirectory(found map[string]fileInfo, url string, o *object, location string) {
	below, ok := strings.CutPrefix(canonicalURL(location), url+"/")
	if !ok {
		return
	}
	name, _, _ := strings.Cut(below, "/")
	found[name] = fileInfo{Path: url + "/" + name, Name: name, MTime: max(found[name].MTime, o.updatedAt), IsDir: true}
}
