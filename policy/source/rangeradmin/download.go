package rangeradmin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ucwarden/endpoint"
	"ucwarden/policy"
	"ucwarden/policy/delta"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
)

// download is one of Ranger Admin's downloads.
type download struct {
	name         string
	path         []string // path below the base URL, before the service name
	securePath   []string // the path where a login is required
	versionParam string   // query parameter for the last known version
}

var (
	endpointPolicies = download{"policies", []string{"service", "plugins", "policies", "download"}, []string{"service", "plugins", "secure", "policies", "download"}, "lastKnownVersion"}
	endpointRoles    = download{"roles", []string{"service", "roles", "download"}, []string{"service", "roles", "secure", "download"}, "lastKnownRoleVersion"}
	endpointUsers    = download{"user store", []string{"service", "xusers", "download"}, []string{"service", "xusers", "secure", "download"}, "lastKnownUserStoreVersion"}
	endpointTags     = download{"tags", []string{"service", "tags", "download"}, []string{"service", "tags", "secure", "download"}, "lastKnownVersion"}
)

// pluginCapabilities declares to Ranger Admin, one bit each, that we support tag policies, masks and filters, macros,
// leaf resources, validity, priority, zones, policy conditions, deny-all-else, roles, user stores, attributes in
// policies and additional resources; see RangerPluginCapability in Apache Ranger.
const pluginCapabilities = "687f7"

// noVersion, sent as the last known version, requests everything.
const noVersion = -1

// downloadPart downloads roles, user store or tags, and reports whether they changed. known is the part in force if it
// came from the server, old the part in force whether from the server or the cache. A server without the part answers
// 404, or 304 to a client that has nothing yet.
func downloadPart[T any](ctx context.Context, r *Client, e download, known, old *T, parse func([]byte, string) (*T, error), version func(*T) int64) (*T, bool, error) {
	last := int64(noVersion)
	if known != nil {
		last = version(known)
	}
	body, err := r.get(ctx, e, last, nil)
	switch {
	case err == nil && body == nil && known != nil:
		return known, false, nil
	case err == nil && body == nil, policy.CodeOf(err) == policy.CodeNotFound:
		if old != nil && !r.options.AllowMissing {
			return nil, false, policy.Errorf(policy.CodeUnavailable, "ranger: the download of the %s is no longer available", e.name)
		}
		if !r.missing[e.name] {
			r.missing[e.name] = true
			r.options.Logger.Warn("Ranger Admin does not offer this download; its data counts as unknown", "download", e.name)
		}
		return nil, old != nil, nil
	case err != nil:
		return nil, false, err
	}
	doc, err := parse(body, r.downloadURL(e).String())
	if err != nil {
		return nil, false, err
	}
	if err := checkPart(any(doc), body, r.options.Service); err != nil {
		return nil, false, policy.Errorf(policy.CodeInvalid, "ranger: %s: %w", e.name, err)
	}
	return doc, true, nil
}

// checkPart returns an error for JSON that parses but is not the expected document: a message, or another service's
// document.
func checkPart(doc any, body []byte, service string) error {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(body, &keys); err != nil {
		return err
	}
	has := func(names ...string) error {
		for _, name := range names {
			if _, found := keys[name]; found {
				return nil
			}
		}
		return fmt.Errorf("the answer has none of %s", strings.Join(names, ", "))
	}
	named := ""
	var err error
	switch d := doc.(type) {
	case *ranger.ServiceRoles:
		named, err = d.ServiceName, has("rangerRoles", "roleVersion")
	case *ranger.UserStore:
		err = has("userGroupMapping", "userStoreVersion")
	case *ranger.ServiceTags:
		named, err = d.ServiceName, has("serviceResources", "tagVersion")
		if d.IsDelta {
			err = errors.New("the answer holds changes of tags, which were not asked for")
		}
	}
	if err == nil && named != "" && named != service {
		err = fmt.Errorf("the answer is about service %q, not %q", named, service)
	}
	return err
}

// policies downloads the policies, and reports whether they changed. known are those in force if they came from the
// server. Deltas are applied to known; when they do not fit, everything is downloaded.
func (r *Client) policies(ctx context.Context, known *ranger.ServicePolicies) (*ranger.ServicePolicies, bool, error) {
	last := int64(noVersion)
	if known != nil {
		last = known.PolicyVersion
	}
	deltas := known != nil && !r.options.DisableDeltas
	doc, err := r.policyDocument(ctx, last, deltas)
	if err != nil {
		return nil, false, err
	}
	switch {
	case doc == nil && known == nil:
		return nil, false, policy.Errorf(policy.CodeInvalid, "ranger: the server says that policies did not change, although none were downloaded before")
	case doc == nil:
		return known, false, nil
	case !isDelta(doc):
		return doc, true, nil
	case known != nil:
		if next, err := applyDelta(known, doc); err == nil {
			return next, true, nil
		} else {
			r.options.Logger.Info("policy deltas do not fit the policies in force; downloading all policies", "error", err)
		}
	}
	if doc, err = r.policyDocument(ctx, noVersion, false); err != nil {
		return nil, false, err
	}
	if doc == nil || isDelta(doc) {
		return nil, false, policy.Errorf(policy.CodeInvalid, "ranger: the server sent policy deltas, although all policies were requested")
	}
	return doc, true, nil
}

// policyDocument downloads one policy document; nil when nothing is newer than version last.
func (r *Client) policyDocument(ctx context.Context, last int64, deltas bool) (*ranger.ServicePolicies, error) {
	query := url.Values{"supportsPolicyDeltas": {strconv.FormatBool(deltas)}, "zoneName": {""}}
	body, err := r.get(ctx, endpointPolicies, last, query)
	if err != nil || body == nil {
		return nil, err
	}
	doc, err := parse.ServicePolicies(body, r.downloadURL(endpointPolicies).String())
	if err != nil {
		return nil, err
	}
	switch {
	case doc.ServiceName != r.options.Service:
		return nil, policy.Errorf(policy.CodeInvalid, "ranger: the answer is about service %q, not %q", doc.ServiceName, r.options.Service)
	case doc.Policies == nil && !isDelta(doc):
		return nil, policy.Errorf(policy.CodeInvalid, "ranger: the answer has neither policies nor policyDeltas")
	case len(doc.Policies) > 0 && isDelta(doc):
		return nil, policy.Errorf(policy.CodeInvalid, "ranger: the answer has both policies and policyDeltas")
	}
	return doc, nil
}

// isDelta reports whether doc holds deltas, of its own policies or of a zone's.
func isDelta(doc *ranger.ServicePolicies) bool {
	if len(doc.PolicyDeltas) > 0 || doc.PolicyDeltas != nil && doc.Policies == nil {
		return true
	}
	for _, zone := range doc.SecurityZones {
		if zone != nil && len(zone.PolicyDeltas) > 0 {
			return true
		}
	}
	return false
}

// applyDelta returns base with the deltas of update applied. A delta that does not fit (a new policy that exists
// already, an updated or deleted one that does not) is an error: base is then not the version that the server assumes.
func applyDelta(base, update *ranger.ServicePolicies) (*ranger.ServicePolicies, error) {
	if update.PolicyVersion <= base.PolicyVersion {
		return nil, fmt.Errorf("they lead to version %d from %d", update.PolicyVersion, base.PolicyVersion)
	}
	tags := base.TagPolicies
	if t := update.TagPolicies; t != nil && (len(t.Policies) > 0 || tags == nil || tags.ServiceName != t.ServiceName) {
		return nil, errors.New("the tag service is another one")
	}
	if len(update.SecurityZones) == 0 && len(base.SecurityZones) > 0 {
		return nil, errors.New("the security zones are missing")
	}
	var own, tagged []ranger.PolicyDelta
	for _, d := range update.PolicyDeltas {
		if d.Policy != nil && d.Policy.ServiceType == ranger.TagServiceType {
			tagged = append(tagged, d)
		} else {
			own = append(own, d)
		}
	}
	if len(tagged) > 0 && (tags == nil || tags.ServiceDef == nil || tags.ServiceDef.Name != ranger.TagServiceType) {
		return nil, errors.New("there is no tag service")
	}
	if err := checkDeltas(base.Policies, own); err != nil {
		return nil, err
	}
	if tags != nil {
		if err := checkDeltas(tags.Policies, tagged); err != nil {
			return nil, err
		}
	}
	for name, zone := range update.SecurityZones {
		if zone == nil {
			return nil, fmt.Errorf("zone %q is null", name)
		}
		var old []ranger.Policy
		if z := base.SecurityZones[name]; z != nil {
			old = z.Policies
		}
		if err := checkDeltas(old, zone.PolicyDeltas); err != nil {
			return nil, fmt.Errorf("zone %q: %w", name, err)
		}
	}
	next, err := delta.Apply(base, update)
	if err != nil {
		return nil, err
	}
	if t := update.TagPolicies; t != nil {
		merged := *next.TagPolicies
		merged.PolicyVersion = max(merged.PolicyVersion, t.PolicyVersion)
		next.TagPolicies = &merged
	}
	return next, nil
}

func checkDeltas(policies []ranger.Policy, deltas []ranger.PolicyDelta) error {
	if len(deltas) == 0 {
		return nil
	}
	exists := make(map[int64]bool, len(policies))
	for i := range policies {
		exists[policies[i].ID] = true
	}
	for i, d := range deltas {
		if d.Policy == nil || d.Policy.ID == 0 {
			return fmt.Errorf("change %d names no policy", i)
		}
		if d.ChangeType < delta.Create || d.ChangeType > delta.Delete {
			return fmt.Errorf("change %d is of the unknown type %d", i, d.ChangeType)
		}
		id := d.Policy.ID
		if create := d.ChangeType == delta.Create; create == exists[id] {
			return fmt.Errorf("change %d (type %d) of policy %d does not fit", i, d.ChangeType, id)
		}
		exists[id] = d.ChangeType != delta.Delete
	}
	return nil
}

// downloadURL returns the URL of a download without its parameters, for requests and messages.
func (r *Client) downloadURL(e download) *url.URL {
	path := e.path
	if r.options.Username != "" || r.options.CertFile != "" {
		path = e.securePath
	}
	return r.base.JoinPath(append(append([]string(nil), path...), url.PathEscape(r.options.Service))...)
}

// get downloads one document. It returns a nil body without error when nothing is newer than version last. Errors are
// of class invalid, unauthenticated, forbidden, not found, too large, rate limited or unavailable.
func (r *Client) get(ctx context.Context, e download, last int64, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	address := r.downloadURL(e)
	all := url.Values{
		e.versionParam: {strconv.FormatInt(last, 10)}, "lastActivationTime": {strconv.FormatInt(r.activationMillis(), 10)},
		"pluginId": {r.options.PluginID}, "clusterName": {r.options.ClusterName}, "pluginCapabilities": {pluginCapabilities},
	}
	if e.name == endpointTags.name {
		all.Set("supportsTagDeltas", "false")
	}
	for key, values := range query {
		all[key] = values
	}
	target := *address
	target.RawQuery = all.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "ranger: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if r.options.Username != "" {
		req.SetBasicAuth(r.options.Username, r.options.Password)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, r.connectionError(e, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, r.options.MaxBytes+1))
	switch {
	case resp.StatusCode == http.StatusNotModified || resp.StatusCode == http.StatusNoContent:
		return nil, nil
	case resp.StatusCode != http.StatusOK:
		return nil, r.statusError(e, resp, body)
	case err != nil:
		return nil, r.connectionError(e, err)
	case int64(len(body)) > r.options.MaxBytes:
		return nil, policy.Errorf(policy.CodeTooLarge, "ranger: the download of the %s is larger than %d bytes", e.name, r.options.MaxBytes)
	case len(bytes.TrimSpace(body)) == 0:
		return nil, policy.Errorf(policy.CodeInvalid, "ranger: the download of the %s is empty", e.name)
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch first := bytes.TrimSpace(body)[0]; {
	case first == '{' && !strings.Contains(media, "html") && !strings.Contains(media, "xml"):
	case strings.Contains(media, "json") && first != '<':
		return nil, policy.Errorf(policy.CodeInvalid, "ranger: %s answers with %s, want an object; check that the url is that of Ranger Admin", address, jsonWord(first))
	default:
		return nil, policy.Errorf(policy.CodeInvalid, "ranger: %s answers with %s instead of JSON, as a login page does; check url, username and password",
			address, mediaName(media))
	}
	return body, nil
}

// jsonWord says what a JSON document is by its first character.
func jsonWord(first byte) string {
	switch {
	case first == '[':
		return "a JSON array"
	case first == 'n':
		return "JSON null"
	case first == '"':
		return "a JSON string"
	case first == 't' || first == 'f':
		return "a JSON boolean"
	case first == '-' || first >= '0' && first <= '9':
		return "a JSON number"
	}
	return fmt.Sprintf("what is no JSON (it begins with %q)", first)
}

func mediaName(media string) string {
	if media == "" {
		return "something else"
	}
	return oneLine(media)
}

func (r *Client) activationMillis() int64 {
	if r.activatedAt.IsZero() {
		return 0
	}
	return r.activatedAt.UnixMilli()
}

// connectionError classifies an error of the connection, without the parameters of the URL.
func (r *Client) connectionError(e download, err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	if errors.As(err, new(*endpoint.RedirectError)) {
		return policy.Errorf(policy.CodeUnauthenticated, "ranger: download of the %s: %w; check policies.ranger.username and password", e.name, err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return policy.Errorf(policy.CodeUnavailable, "ranger: the download of the %s broke off: %w", e.name, err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return policy.Errorf(policy.CodeUnavailable, "ranger: %s did not answer within %v: %w", r.base.Host, r.options.Timeout, err)
	}
	return policy.Errorf(policy.CodeUnavailable, "ranger: download the %s from %s: %w", e.name, r.base.Host, err)
}

// statusError classifies an answer that is neither a document nor "not modified".
func (r *Client) statusError(e download, resp *http.Response, body []byte) error {
	r.noteRetryAfter(resp)
	var detail struct {
		Message string `json:"msgDesc"`
	}
	message := ""
	if json.Unmarshal(body, &detail) == nil && detail.Message != "" {
		message = ": " + oneLine(detail.Message)
	}
	code, hint := policy.CodeUnavailable, "trying again later"
	switch status := resp.StatusCode; {
	case status == http.StatusUnauthorized:
		code, hint = policy.CodeUnauthenticated, "check policies.ranger.username and password, or the client certificate"
	case status == http.StatusForbidden:
		code, hint = policy.CodeForbidden, "let the user download policies: Ranger's service config policy.download.auth.users (and tag., userstore.)"
	case status == http.StatusNotFound:
		code, hint = policy.CodeNotFound, fmt.Sprintf("there is no service %q, or no such download", r.options.Service)
	case status == http.StatusBadRequest:
		code, hint = policy.CodeInvalid, fmt.Sprintf("the service %q is disabled, or the server did not understand the request", r.options.Service)
	case status == http.StatusTooManyRequests:
		code = policy.CodeRateLimited
	case status < 500:
		code, hint = policy.CodeInvalid, "check policies.ranger.url"
	}
	return policy.Errorf(code, "ranger: download of the %s: %s answers %d %s%s (%s)", e.name, r.base.Host, resp.StatusCode, http.StatusText(resp.StatusCode), message, hint)
}

func (r *Client) noteRetryAfter(resp *http.Response) {
	now := time.Now()
	if wait, asked := endpoint.RetryAfter(resp.Header, now); asked {
		r.retryAfter = now.Add(wait)
	}
}
