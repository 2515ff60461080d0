package emulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// allowance is what a token allows: everything under a path, until it expires.
type allowance struct {
	path  string
	until time.Time
}

// may reports whether a token for the entity was put. A client that names $management without a hub needs any token.
func (c *connection) may(entity string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	entity = strings.ToLower(entity)
	for _, a := range c.allowed {
		if time.Now().Before(a.until) && (a.path == "" || entity == "$management" || entity == a.path || strings.HasPrefix(entity, a.path+"/")) {
			return true
		}
	}
	return c.allowsAll
}

// answer replies to a request to $cbs or $management.
func (c *connection) answer(l *link, request []section) *amqpError {
	application, _ := find(request, sectionApplication).(amqpMap)
	var status int32
	var description string
	var body any
	if l.address == "$cbs" {
		c.s.mu.Lock()
		mute, reject := c.s.muteCBS, c.s.rejectCBS
		c.s.mu.Unlock()
		if mute {
			return nil
		}
		status, description = c.putToken(application, text(find(request, sectionValue)))
		if reject {
			status, description = 401, "InvalidSignature: the token was refused by the emulator's fault"
		}
	} else {
		status, description, body = c.s.read(application)
	}
	id := property(request, propMessageID)
	properties := make([]any, propCorrelationID+1)
	properties[propCorrelationID] = id
	var reply []byte
	for _, s := range []described{
		{uint64(sectionProperties), properties},
		{uint64(sectionApplication), amqpMap{{"status-code", status}, {"status-description", description}}},
		{uint64(sectionValue), body},
	} {
		reply = appendValue(reply, s)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if to := c.replies(l, text(property(request, propReplyTo))); to != nil {
		to.outbox = append(to.outbox, reply)
		to.notify()
	}
	return nil
}

// replies returns the link for replies to a request: the one whose target has the address, else one of the same
// session, else one of the connection; mu is held. Some clients leave the address empty.
func (c *connection) replies(request *link, address string) *link {
	var same, other *link
	for _, n := range c.sessions {
		for _, l := range n.links {
			switch {
			case l.kind != replies || l.address != request.address:
			case address != "" && l.replyTo == address:
				return l
			case n == request.n:
				same = l
			default:
				other = l
			}
		}
	}
	if same != nil {
		return same
	}
	return other
}

// putToken checks a shared access signature and notes what it allows.
func (c *connection) putToken(application amqpMap, token string) (int32, string) {
	if text(application.get("operation")) != "put-token" {
		return 400, "the operation of $cbs is put-token"
	}
	if c.s.o.EntraID && text(application.get("type")) == "jwt" {
		return c.putEntraToken(application, token)
	}
	parts := make(map[string]string)
	list, ok := strings.CutPrefix(token, "SharedAccessSignature ")
	for _, part := range strings.Split(list, "&") {
		key, value, _ := strings.Cut(part, "=")
		parts[key] = value
	}
	resource, err := url.QueryUnescape(parts["sr"])
	if !ok || err != nil || resource == "" {
		return 401, "MalformedToken: want a shared access signature"
	}
	if name, _ := url.QueryUnescape(parts["skn"]); name != c.s.o.KeyName {
		return 401, "InvalidSignature: there is no policy '" + name + "'"
	}
	mac := hmac.New(sha256.New, []byte(c.s.o.Key))
	mac.Write([]byte(parts["sr"] + "\n" + parts["se"]))
	got, _ := url.QueryUnescape(parts["sig"])
	if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
		return 401, "InvalidSignature: The token has an invalid signature."
	}
	seconds, err := strconv.ParseInt(parts["se"], 10, 64)
	until := time.Unix(seconds, 0)
	if err != nil || !until.After(time.Now()) {
		return 401, "ExpiredToken: The token is expired."
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.allowed = append(c.allowed, allowance{strings.ToLower(path(resource)), until})
	return 202, "Accepted"
}

// putEntraToken checks what a token of Entra ID says, but not who signed it, and notes what it allows.
func (c *connection) putEntraToken(application amqpMap, token string) (int32, string) {
	parts := strings.Split(token, ".")
	var claims struct {
		Audience string  `json:"aud"`
		Expires  float64 `json:"exp"`
	}
	if len(parts) == 3 {
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil || json.Unmarshal(payload, &claims) != nil {
			return 401, "InvalidToken: the token cannot be read"
		}
	}
	until := time.Unix(int64(claims.Expires), 0)
	switch {
	case claims.Audience != "https://eventhubs.azure.net" && claims.Audience != "https://eventhubs.azure.net/":
		return 401, "InvalidAudience: the audience is https://eventhubs.azure.net"
	case !until.After(time.Now()):
		return 401, "ExpiredToken: The token is expired."
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.allowed = append(c.allowed, allowance{strings.ToLower(path(text(application.get("name")))), until})
	return 202, "Accepted"
}

// read answers READ of the hub or of a partition.
func (s *Server) read(application amqpMap) (int32, string, any) {
	if text(application.get("operation")) != "READ" {
		return 400, "the operation is READ", nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if name := text(application.get("name")); !strings.EqualFold(name, s.o.Hub) {
		return 404, "The messaging entity '" + name + "' could not be found.", nil
	}
	switch text(application.get("type")) {
	case "com.microsoft:eventhub":
		return 200, "OK", s.hub.properties(s.o.Hub, s.o.GeoReplicated)
	case "com.microsoft:partition":
		id := text(application.get("partition"))
		p := s.hub.partition(id)
		if p == nil {
			return 404, noPartition(id, len(s.hub.partitions)).description, nil
		}
		return 200, "OK", p.properties(s.o.Hub)
	}
	return 400, "the type is com.microsoft:eventhub or com.microsoft:partition", nil
}
