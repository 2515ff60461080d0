package emulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// registerControl registers the admin calls, which need no token and are not traced.
func (s *Server) registerControl() {
	s.mux.HandleFunc("GET /_emulator/trace", s.traceOverHTTP)
	s.mux.HandleFunc("DELETE /_emulator/trace", func(w http.ResponseWriter, _ *http.Request) {
		s.ResetTrace()
		w.WriteHeader(http.StatusNoContent)
	})
	s.control("GET /_emulator/stats", func(*http.Request) (any, error) { return s.Stats(), nil })
	s.control("GET /_emulator/state", func(*http.Request) (any, error) { return s.State(), nil })
	s.control("GET /_emulator/faults", func(*http.Request) (any, error) {
		return map[string][]FaultState{"faults": s.Faults()}, nil
	})
	s.control("POST /_emulator/faults", s.postFaults)
	s.control("DELETE /_emulator/faults", func(r *http.Request) (any, error) {
		s.ClearFaults(r.URL.Query()["id"]...)
		return nil, nil
	})
	s.control("POST /_emulator/principals", s.postPrincipal)
	s.control("DELETE /_emulator/principals", func(r *http.Request) (any, error) {
		name := r.URL.Query().Get("name")
		if !s.DeletePrincipal(name) {
			return nil, principalNotFound(name)
		}
		return nil, nil
	})
}

// control registers a handler; its errors are answered with 400.
func (s *Server) control(pattern string, h func(*http.Request) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		payload, err := h(r)
		var api *apiError
		if err != nil && !errors.As(err, &api) {
			err = invalid("%v", err)
		}
		s.writeAnswer(w, payload, err, faultEffect{})
	})
}

func (s *Server) traceOverHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/jsonl")
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	for _, entry := range s.Trace() {
		if err := encoder.Encode(entry); err != nil {
			s.log.Debug("writing the trace failed", "error", err) // the client went away
			return
		}
	}
}

// postFaults adds one fault, or an array of them.
func (s *Server) postFaults(r *http.Request) (any, error) {
	body, err := readControl(r)
	if err != nil {
		return nil, err
	}
	faults, err := ParseFaults(body)
	if err != nil {
		return nil, malformed("could not %v", err)
	}
	ids, err := s.AddFaults(faults...)
	if err != nil {
		return nil, err
	}
	s.log.Info("faults injected", "ids", ids)
	return map[string][]string{"ids": ids}, nil
}

func (s *Server) postPrincipal(r *http.Request) (any, error) {
	body, err := readControl(r)
	if err != nil {
		return nil, err
	}
	var in struct {
		Kind    PrincipalKind `json:"kind"`
		Name    string        `json:"name"`
		Members []string      `json:"members"`
	}
	if err := strictJSON(body, &in); err != nil {
		return nil, err
	}
	if in.Kind == "" {
		in.Kind = guessKind(in.Name)
	}
	return nil, s.AddPrincipal(in.Kind, in.Name, in.Members...)
}

func readControl(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return nil, malformed("could not read the request body: %v", err)
	}
	return bytes.TrimSpace(body), nil
}

func strictJSON(body []byte, target any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(target); err != nil {
		return malformed("could not parse the request body: %s", jsonProblem(err))
	}
	return nil
}
