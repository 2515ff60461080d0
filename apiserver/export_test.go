package apiserver

import (
	"net"

	"github.com/labstack/echo/v4"
)

// Routes lists what both servers answer, for the comparison with the OpenAPI document.
func (s *Server) Routes() []*echo.Route {
	list := s.api.Routes()
	if s.admin != nil {
		list = append(list, s.admin.Routes()...)
	}
	return list
}

// OpenAPI returns the document that /openapi.json serves.
func OpenAPI() []byte {
	s, err := parsed()
	if err != nil {
		panic(err)
	}
	return s.json
}

// ListenOn lets Run serve what a listener accepts.
func (s *Server) ListenOn(l net.Listener) { s.listener = l }

// HoldChecks has large bodies wait before they are checked, until release is called.
func (s *Server) HoldChecks() (release func()) {
	for range cap(s.checks) {
		s.checks <- struct{}{}
	}
	return func() {
		for range cap(s.checks) {
			<-s.checks
		}
	}
}
