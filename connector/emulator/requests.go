package emulator

import (
	"slices"
	"strings"
)

// destination is where requests for access to an object go.
type destination struct {
	ID      string `json:"destination_id,omitempty"`
	Type    string `json:"destination_type,omitempty"`
	Special string `json:"special_destination,omitempty"`
}

type namedSecurable struct {
	Type     string `json:"type"`
	FullName string `json:"full_name"`
}

// destinations are those of an object, as answers show them.
type destinations struct {
	Securable     namedSecurable  `json:"securable"`
	FullName      string          `json:"full_name"`
	SecurableType string          `json:"securable_type"`
	Destinations  []destination   `json:"destinations,omitempty"`
	Source        *namedSecurable `json:"destination_source_securable,omitempty"`
	AnyHidden     bool            `json:"are_any_destinations_hidden"`
}

// maxDestinations is how many e-mail addresses an object has, and how many others.
const maxDestinations = 5

// requestable are the types of objects to which access may be requested.
var requestable = map[string]securableType{"metastore": typeMetastore, "catalog": typeCatalog, "schema": typeSchema, "table": typeTable,
	"external_location": typeExternalLocation, "connection": typeConnection, "credential": typeCredential, "function": typeFunction,
	"registered_model": typeFunction, "volume": typeVolume}

// registerRequests registers the calls by which people ask for access. Nobody answers: requests are kept nowhere.
func (s *Server) registerRequests() {
	const base = "/api/3.0/rfa"
	s.route("POST "+base+"/requests", anyUser.String(), s.requestAccess)
	s.route("GET "+base+"/destinations/{type}/{name}", "any user; others than URLs and those of the metastore are hidden from who may not browse it", s.getDestinations)
	s.route("PATCH "+base+"/destinations", managesBindings.in("the object"), s.updateDestinations)
}

func (s *Server) findRequestable(typ, name string) (*object, error) {
	t, ok := requestable[strings.ToLower(typ)]
	if !ok {
		return nil, invalid("access to '%s' cannot be requested: it is not a type of securable for that.", typ)
	}
	return s.find(s.types[t], name)
}

// destinationsOf returns where requests for o go: what is set on it, or on what it is in, or its owner, if that is a user.
func (s *Server) destinationsOf(c *call, o *object) destinations {
	self := namedSecurable{string(o.res.typ), o.fullName()}
	out := destinations{Securable: self, FullName: self.FullName, SecurableType: self.Type}
	var list []destination
	for at := o; at != nil && list == nil; at = at.parent {
		if list = s.destinations[at.id]; list != nil {
			out.Source = &namedSecurable{string(at.res.typ), at.fullName()}
			if at.parent == nil || browses.is(c, o) {
				out.Destinations = list
				return out
			}
		}
	}
	for _, d := range list {
		if d.Type == "URL" {
			out.Destinations = append(out.Destinations, d)
		} else {
			out.AnyHidden = true
		}
	}
	return out
}

func (s *Server) getDestinations(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, err := s.findRequestable(c.req.PathValue("type"), c.req.PathValue("name"))
	if err != nil {
		return nil, err
	}
	return s.destinationsOf(c, o), nil
}

// updateDestinations replaces the destinations of an object.
func (s *Server) updateDestinations(c *call) (any, error) {
	var in destinations
	if err := c.decodeBody(&in); err != nil {
		return nil, err
	}
	if mask := c.req.URL.Query().Get("update_mask"); mask != "destinations" && mask != "*" {
		return nil, invalid("update_mask must be destinations, not '%s'.", mask)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.findRequestable(in.Securable.Type, in.Securable.FullName)
	if err != nil {
		return nil, err
	}
	if !managesBindings.is(c, o) {
		return nil, denied("User may not change the destinations of %s '%s': this takes %s.", displayLabel(o.res.label), o.fullName(), managesBindings)
	}
	if err := checkDestinations(in.Destinations); err != nil {
		return nil, err
	}
	s.destinations[o.id] = slices.Clone(in.Destinations)
	return s.destinationsOf(c, o), nil
}

func checkDestinations(list []destination) error {
	emails, others := 0, 0
	for _, d := range list {
		switch {
		case d.ID == "" && d.Special == "":
			return invalid("every one of destinations needs a destination_id.")
		case d.Special == "":
			if err := oneOf("destination_type", &d.Type, "", "EMAIL", "SLACK", "MICROSOFT_TEAMS", "GENERIC_WEBHOOK", "URL"); err != nil {
				return err
			}
		}
		switch d.Type {
		case "EMAIL":
			emails++
		case "URL":
			if len(list) > 1 {
				return invalid("a destination of type URL is the only one.")
			}
		default:
			others++
		}
	}
	if emails > maxDestinations || others > maxDestinations {
		return invalid("there may be %d e-mail addresses and %d others, not %d and %d.", maxDestinations, maxDestinations, emails, others)
	}
	return nil
}

// requestAccess answers where the requests go. Each principal asks once.
func (s *Server) requestAccess(c *call) (any, error) {
	type principalOf struct {
		ID   string `json:"id"`
		Type string `json:"principal_type"`
	}
	var in struct {
		Requests []struct {
			BehalfOf             *principalOf `json:"behalf_of"`
			Comment              string       `json:"comment"`
			SecurablePermissions []struct {
				Securable   namedSecurable `json:"securable"`
				Permissions []string       `json:"permissions"`
			} `json:"securable_permissions"`
		} `json:"requests"`
	}
	if err := c.decodeBody(&in); err != nil {
		return nil, err
	}
	type response struct {
		BehalfOf     *principalOf   `json:"behalf_of"`
		Destinations []destinations `json:"request_destinations"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(in.Requests) == 0 {
		return nil, invalid("requests is required.")
	}
	responses := []response{}
	seen := make(map[string]bool)
	for _, request := range in.Requests {
		who := request.BehalfOf
		if who == nil {
			p := s.directory.byName[c.who.name]
			who = &principalOf{jsonNumber(p.id), "USER_PRINCIPAL"}
		}
		if err := oneOf("principal_type", &who.Type, "", "USER_PRINCIPAL", "GROUP_PRINCIPAL", "SERVICE_PRINCIPAL"); err != nil {
			return nil, err
		}
		if seen[who.ID] || who.ID == "" {
			return nil, invalid("principal '%s' is there twice, or has no id.", who.ID)
		}
		seen[who.ID] = true
		answer := response{BehalfOf: who}
		for _, wanted := range request.SecurablePermissions {
			o, err := s.findRequestable(wanted.Securable.Type, wanted.Securable.FullName)
			if err == nil {
				_, err = s.parsePrivileges(o, wanted.Permissions, true)
			}
			if err != nil {
				return nil, err
			}
			answer.Destinations = append(answer.Destinations, s.destinationsOf(c, o))
		}
		responses = append(responses, answer)
	}
	return map[string]any{"responses": responses}, nil
}
