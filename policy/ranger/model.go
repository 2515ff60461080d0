package ranger

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"ucwarden/policy"
)

// The types below are Apache Ranger's policy model as its download API and its test suites write it in JSON. Field

// ServicePolicies is the document that Ranger Admin's policy download answers with.
type ServicePolicies struct {
	ServiceName      string                   `json:"serviceName"`
	ServiceID        int64                    `json:"serviceId,omitempty"`
	PolicyVersion    int64                    `json:"policyVersion,omitempty"`
	PolicyUpdateTime any                      `json:"policyUpdateTime,omitempty"` // epoch milliseconds or text
	Policies         []Policy                 `json:"policies,omitempty"`
	PolicyDeltas     []PolicyDelta            `json:"policyDeltas,omitempty"`
	ServiceDef       *ServiceDef              `json:"serviceDef,omitempty"`
	TagPolicies      *TagPolicies             `json:"tagPolicies,omitempty"`
	SecurityZones    map[string]*SecurityZone `json:"securityZones,omitempty"`
	ServiceConfig    map[string]string        `json:"serviceConfig,omitempty"`

	Unknown []UnknownField `json:"-"` // fields that Ranger's model does not have, in the order of the document
}

// Deltas returns the path of what in the document are changes of policies, the service's own or a zone's; "" where there are none.
func (s *ServicePolicies) Deltas() string {
	if len(s.PolicyDeltas) > 0 {
		return "policyDeltas"
	}
	for _, name := range slices.Sorted(maps.Keys(s.SecurityZones)) {
		if zone := s.SecurityZones[name]; zone != nil && len(zone.PolicyDeltas) > 0 {
			return "securityZones." + name + ".policyDeltas"
		}
	}
	return ""
}

// TagPolicies is the tag service linked to a resource service.
type TagPolicies struct {
	ServiceName   string            `json:"serviceName"`
	PolicyVersion int64             `json:"policyVersion,omitempty"`
	Policies      []Policy          `json:"policies,omitempty"`
	ServiceDef    *ServiceDef       `json:"serviceDef,omitempty"`
	ServiceConfig map[string]string `json:"serviceConfig,omitempty"`
}

// PolicyDelta is one change of a policy: 0 create, 1 update, 2 delete.
type PolicyDelta struct {
	ID         int64   `json:"id,omitempty"`
	ChangeType int     `json:"changeType"`
	Policy     *Policy `json:"policy"`
}

// PolicyType tells access policies from masking and filtering ones.
type PolicyType int

// The policy types.
const (
	PolicyTypeAccess    PolicyType = 0
	PolicyTypeDataMask  PolicyType = 1
	PolicyTypeRowFilter PolicyType = 2
)

// PolicyPriorityOverride is the priority of policies that are evaluated before, and win over, normal ones (0).
const PolicyPriorityOverride = 1

// Policy grants, denies, masks or filters access to resources.
type Policy struct {
	ID                   int64                       `json:"id,omitempty"`
	GUID                 string                      `json:"guid,omitempty"`
	Name                 string                      `json:"name,omitempty"`
	Service              string                      `json:"service,omitempty"`
	ServiceType          string                      `json:"serviceType,omitempty"`
	Description          string                      `json:"description,omitempty"`
	Version              int64                       `json:"version,omitempty"`
	IsEnabled            *bool                       `json:"isEnabled,omitempty"` // absent means enabled
	IsAuditEnabled       *bool                       `json:"isAuditEnabled,omitempty"`
	PolicyType           PolicyType                  `json:"policyType,omitempty"`
	PolicyPriority       int                         `json:"policyPriority,omitempty"`
	Resources            map[string]PolicyResource   `json:"resources,omitempty"`
	AdditionalResources  []map[string]PolicyResource `json:"additionalResources,omitempty"`
	PolicyItems          []PolicyItem                `json:"policyItems,omitempty"`
	DenyPolicyItems      []PolicyItem                `json:"denyPolicyItems,omitempty"`
	AllowExceptions      []PolicyItem                `json:"allowExceptions,omitempty"`
	DenyExceptions       []PolicyItem                `json:"denyExceptions,omitempty"`
	DataMaskPolicyItems  []DataMaskPolicyItem        `json:"dataMaskPolicyItems,omitempty"`
	RowFilterPolicyItems []RowFilterPolicyItem       `json:"rowFilterPolicyItems,omitempty"`
	ValiditySchedules    []ValiditySchedule          `json:"validitySchedules,omitempty"`
	Conditions           []Condition                 `json:"conditions,omitempty"`
	IsDenyAllElse        bool                        `json:"isDenyAllElse,omitempty"`
	ZoneName             string                      `json:"zoneName,omitempty"`
	PolicyLabels         []string                    `json:"policyLabels,omitempty"`
	Options              map[string]any              `json:"options,omitempty"`

	Origin string `json:"-"` // the file or URL the policy was read from, for messages
	// Faults are what of the policy cannot be understood; the rest holds.
	Faults []Fault `json:"-"`
}

// UsesRoles reports whether an item of the policy names a role.
func (p *Policy) UsesRoles() bool {
	for item := range p.AllItems() {
		if len(item.Roles) > 0 {
			return true
		}
	}
	return false
}

// Enabled reports whether the policy takes part: it is enabled, as it is without isEnabled, or may be, since what says so
// cannot be understood.
func (p *Policy) Enabled() bool {
	return p.IsEnabled == nil || *p.IsEnabled || slices.ContainsFunc(p.Faults, func(f Fault) bool {
		name, index, _ := f.Step()
		return name == "isEnabled" || index < 0 && f.Known == "isEnabled"
	})
}

// PolicyResource is the set of values a policy names for one resource level.
type PolicyResource struct {
	Values      []string `json:"values"`
	IsExcludes  bool     `json:"isExcludes,omitempty"`
	IsRecursive bool     `json:"isRecursive,omitempty"`
}

// PolicyItem allows (or denies) accesses to users, groups and roles under conditions.
type PolicyItem struct {
	Accesses      []ItemAccess `json:"accesses,omitempty"`
	Users         []string     `json:"users,omitempty"`
	Groups        []string     `json:"groups,omitempty"`
	Roles         []string     `json:"roles,omitempty"`
	Conditions    []Condition  `json:"conditions,omitempty"`
	DelegateAdmin bool         `json:"delegateAdmin,omitempty"`
}

// ItemAccess names an access type; an absent isAllowed means true.
type ItemAccess struct {
	Type      string `json:"type"`
	IsAllowed *bool  `json:"isAllowed,omitempty"`
}

// Allowed reports whether the access is switched on in its item.
func (a ItemAccess) Allowed() bool { return a.IsAllowed == nil || *a.IsAllowed }

// Condition is a named condition with its values.
type Condition struct {
	Type   string   `json:"type"`
	Values []string `json:"values,omitempty"`
}

// DataMaskPolicyItem is an item that masks a column.
type DataMaskPolicyItem struct {
	PolicyItem
	DataMaskInfo DataMaskInfo `json:"dataMaskInfo"`
}

// DataMaskInfo says how a value is masked.
type DataMaskInfo struct {
	DataMaskType  string `json:"dataMaskType,omitempty"`
	ConditionExpr string `json:"conditionExpr,omitempty"`
	ValueExpr     string `json:"valueExpr,omitempty"`
}

// RowFilterPolicyItem is an item that filters rows.
type RowFilterPolicyItem struct {
	PolicyItem
	RowFilterInfo RowFilterInfo `json:"rowFilterInfo"`
}

// RowFilterInfo is the SQL predicate of a row filter.
type RowFilterInfo struct {
	FilterExpr string `json:"filterExpr,omitempty"`
}

// ValiditySchedule limits a policy to a span of time, with optional recurrences.
type ValiditySchedule struct {
	StartTime   string               `json:"startTime,omitempty"` // "yyyy/MM/dd HH:mm:ss"
	EndTime     string               `json:"endTime,omitempty"`
	TimeZone    string               `json:"timeZone,omitempty"`
	Recurrences []ValidityRecurrence `json:"recurrences,omitempty"`
}

// ValidityRecurrence opens a policy for an interval at each time its schedule names.
type ValidityRecurrence struct {
	Schedule RecurrenceSchedule `json:"schedule"`
	Interval ValidityInterval   `json:"interval"`
}

// RecurrenceSchedule is cron-like: comma-separated values, ranges or '*'.
type RecurrenceSchedule struct {
	Minute     string `json:"minute,omitempty"`
	Hour       string `json:"hour,omitempty"`
	DayOfMonth string `json:"dayOfMonth,omitempty"`
	DayOfWeek  string `json:"dayOfWeek,omitempty"`
	Month      string `json:"month,omitempty"`
	Year       string `json:"year,omitempty"`
}

// ValidityInterval is how long a recurrence stays open.
type ValidityInterval struct {
	Days    int `json:"days,omitempty"`
	Hours   int `json:"hours,omitempty"`
	Minutes int `json:"minutes,omitempty"`
}

// ServiceDef describes a service type: its resource trees and access types.
type ServiceDef struct {
	ID                int64           `json:"id,omitempty"`
	Name              string          `json:"name"`
	DisplayName       string          `json:"displayName,omitempty"`
	Label             string          `json:"label,omitempty"`
	Description       string          `json:"description,omitempty"`
	IsEnabled         *bool           `json:"isEnabled,omitempty"` // has no effect, as in Ranger's engine
	Options           OptionMap       `json:"options,omitempty"`
	Resources         []ResourceDef   `json:"resources"`
	AccessTypes       []AccessTypeDef `json:"accessTypes"`
	MarkerAccessTypes []AccessTypeDef `json:"markerAccessTypes,omitempty"`
	PolicyConditions  []ConditionDef  `json:"policyConditions,omitempty"`
	ContextEnrichers  []EnricherDef   `json:"contextEnrichers,omitempty"`
	DataMaskDef       *DataMaskDef    `json:"dataMaskDef,omitempty"`
	RowFilterDef      *RowFilterDef   `json:"rowFilterDef,omitempty"`

	Unknown []UnknownField `json:"-"` // fields that Ranger's model does not have, in the order of the document
}

// ResourceDef is one level of a resource tree.
type ResourceDef struct {
	ItemID                 int64     `json:"itemId,omitempty"`
	Name                   string    `json:"name"`
	Type                   string    `json:"type,omitempty"`
	Level                  int       `json:"level,omitempty"`
	Parent                 string    `json:"parent,omitempty"`
	Mandatory              bool      `json:"mandatory,omitempty"`
	LookupSupported        bool      `json:"lookupSupported,omitempty"`
	RecursiveSupported     bool      `json:"recursiveSupported,omitempty"`
	ExcludesSupported      bool      `json:"excludesSupported,omitempty"`
	Matcher                string    `json:"matcher,omitempty"`
	MatcherOptions         OptionMap `json:"matcherOptions,omitempty"`
	Label                  string    `json:"label,omitempty"`
	Description            string    `json:"description,omitempty"`
	AccessTypeRestrictions []string  `json:"accessTypeRestrictions,omitempty"`
	IsValidLeaf            *bool     `json:"isValidLeaf,omitempty"`
}

// AccessTypeDef is an access type and those it implies.
type AccessTypeDef struct {
	ItemID        int64    `json:"itemId,omitempty"`
	Name          string   `json:"name"`
	Label         string   `json:"label,omitempty"`
	ImpliedGrants []string `json:"impliedGrants,omitempty"`
	Category      string   `json:"category,omitempty"`
}

// ConditionDef is a kind of condition and what evaluates it.
type ConditionDef struct {
	ItemID           int64     `json:"itemId,omitempty"`
	Name             string    `json:"name"`
	Evaluator        string    `json:"evaluator,omitempty"`
	EvaluatorOptions OptionMap `json:"evaluatorOptions,omitempty"`
	Label            string    `json:"label,omitempty"`
	Description      string    `json:"description,omitempty"`
}

// EnricherDef adds context, such as tags, to a request.
type EnricherDef struct {
	ItemID          int64     `json:"itemId,omitempty"`
	Name            string    `json:"name,omitempty"`
	Enricher        string    `json:"enricher,omitempty"`
	EnricherOptions OptionMap `json:"enricherOptions,omitempty"`
}

// DataMaskDef says which masks a service has and where they apply.
type DataMaskDef struct {
	MaskTypes   []DataMaskTypeDef `json:"maskTypes,omitempty"`
	AccessTypes []AccessTypeDef   `json:"accessTypes,omitempty"`
	Resources   []ResourceDef     `json:"resources,omitempty"`
}

// DataMaskTypeDef is one mask; Transformer is an expression with {col} for the column.
type DataMaskTypeDef struct {
	ItemID      int64     `json:"itemId,omitempty"`
	Name        string    `json:"name"`
	Label       string    `json:"label,omitempty"`
	Description string    `json:"description,omitempty"`
	Transformer string    `json:"transformer,omitempty"`
	Options     OptionMap `json:"dataMaskOptions,omitempty"`
}

// RowFilterDef says where row filters apply.
type RowFilterDef struct {
	AccessTypes []AccessTypeDef `json:"accessTypes,omitempty"`
	Resources   []ResourceDef   `json:"resources,omitempty"`
}

// SecurityZone is a part of a service's resources with policies of its own.
type SecurityZone struct {
	ZoneName                     string                `json:"zoneName"`
	Resources                    []map[string][]string `json:"resources,omitempty"`
	Policies                     []Policy              `json:"policies,omitempty"`
	PolicyDeltas                 []PolicyDelta         `json:"policyDeltas,omitempty"`
	ContainsAssociatedTagService bool                  `json:"containsAssociatedTagService,omitempty"`
}

// Role is a named set of users, groups and other roles.
type Role struct {
	ID          int64        `json:"id,omitempty"`
	Name        string       `json:"name"`
	Description string       `json:"description,omitempty"`
	Users       []RoleMember `json:"users,omitempty"`
	Groups      []RoleMember `json:"groups,omitempty"`
	Roles       []RoleMember `json:"roles,omitempty"`
	IsEnabled   *bool        `json:"isEnabled,omitempty"` // has no effect, as in Ranger
}

// RoleMember is a member of a role.
type RoleMember struct {
	Name    string `json:"name"`
	IsAdmin bool   `json:"isAdmin,omitempty"`
}

// ServiceRoles is the document of the roles download.
type ServiceRoles struct {
	ServiceName string `json:"serviceName,omitempty"`
	RoleVersion int64  `json:"roleVersion,omitempty"`
	RangerRoles []Role `json:"rangerRoles,omitempty"`

	Unknown []UnknownField `json:"-"` // fields that Ranger's model does not have, in the order of the document
}

// UserStore is the document of the user store download: who is in which group, and attributes of both.
type UserStore struct {
	UserStoreVersion    int64                        `json:"userStoreVersion,omitempty"`
	UserAttrMapping     map[string]map[string]string `json:"userAttrMapping,omitempty"`
	GroupAttrMapping    map[string]map[string]string `json:"groupAttrMapping,omitempty"`
	UserGroupMapping    map[string][]string          `json:"userGroupMapping,omitempty"`
	UserCloudIDMapping  map[string]string            `json:"userCloudIdMapping,omitempty"`
	GroupCloudIDMapping map[string]string            `json:"groupCloudIdMapping,omitempty"`

	Unknown []UnknownField `json:"-"` // fields that Ranger's model does not have, in the order of the document
}

// ServiceTags is the document of the tags download: which resources carry which tags.
type ServiceTags struct {
	Op               string                   `json:"op,omitempty"`
	ServiceName      string                   `json:"serviceName,omitempty"`
	TagVersion       int64                    `json:"tagVersion,omitempty"`
	TagDefinitions   map[string]TagDefinition `json:"tagDefinitions,omitempty"`
	Tags             map[string]Tag           `json:"tags,omitempty"`
	ServiceResources []ServiceResource        `json:"serviceResources,omitempty"`
	ResourceToTagIDs map[string][]int64       `json:"resourceToTagIds,omitempty"`
	IsDelta          bool                     `json:"isDelta,omitempty"`

	Unknown []UnknownField `json:"-"` // fields that Ranger's model does not have, in the order of the document
	// Faults are what of the resources and tags cannot be understood, by their paths in the document: whether a resource carries a
	// tag is then not known.
	Faults []Fault `json:"-"`
}

// TagDefinition names a tag and its attributes.
type TagDefinition struct {
	ID            int64     `json:"id,omitempty"`
	Name          string    `json:"name"`
	AttributeDefs []AttrDef `json:"attributeDefs,omitempty"`
}

// AttrDef is an attribute of a tag.
type AttrDef struct {
	Name string `json:"name"`
	Type string `json:"type,omitempty"`
}

// Tag is one tag with its attribute values.
type Tag struct {
	ID         int64              `json:"id,omitempty"`
	Type       string             `json:"type"`
	Owner      int                `json:"owner,omitempty"`
	Attributes map[string]string  `json:"attributes,omitempty"`
	Validity   []ValiditySchedule `json:"validityPeriods,omitempty"`
	Options    map[string]any     `json:"options,omitempty"`
	IsEnabled  *bool              `json:"isEnabled,omitempty"` // Ranger disregards it
}

// TagPeriodsOption is the option of a tag in which older Ranger versions keep, as JSON text, when it is in force.
const TagPeriodsOption = "TAG_VALIDITY_PERIODS"

// Periods returns when the tag is in force, by its field or its option.
func (t Tag) Periods() ([]ValiditySchedule, error) {
	option, ok := t.Options[TagPeriodsOption]
	if len(t.Validity) > 0 || !ok || option == nil || option == "" {
		return t.Validity, nil
	}
	text, ok := option.(string)
	if !ok {
		return nil, policy.Errorf(policy.CodeInvalid, "want validity periods, a list written as text")
	}
	var list []ValiditySchedule
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "want validity periods, a list written as text: %w", err)
	}
	return list, nil
}

// ServiceResource is a resource that can carry tags.
type ServiceResource struct {
	ID               int64                     `json:"id,omitempty"`
	ServiceName      string                    `json:"serviceName,omitempty"`
	ResourceElements map[string]PolicyResource `json:"resourceElements,omitempty"`
	IsEnabled        *bool                     `json:"isEnabled,omitempty"` // Ranger disregards it
}

// Snapshot is one verified version of everything that decides access. It is never changed once made, and never
// half a version.
type Snapshot struct {
	Service     string
	Version     int64     // grows with each version of a source
	FetchedAt   time.Time // when a source last confirmed that this version is current
	ServiceDef  *ServiceDef
	Policies    []Policy
	TagPolicies *TagPolicies
	Zones       map[string]*SecurityZone
	Roles       []Role
	Users       *UserStore // nil: membership is unknown
	Tags        *ServiceTags
	Origins     map[int64]string // policy id to the file or URL it was read from, for messages
	Problems    []Problem        // what is accepted in its documents and does not mean what its author may expect

	ServiceConfig map[string]string // of the service; super users are in it
	Digest        string            // what a source knows the content by: the same content has the same digest, whatever the version
}

// AllItems ranges over the items of all lists.
func (p *Policy) AllItems() func(yield func(*PolicyItem) bool) {
	return func(yield func(*PolicyItem) bool) {
		for _, list := range [][]PolicyItem{p.PolicyItems, p.DenyPolicyItems, p.AllowExceptions, p.DenyExceptions} {
			for i := range list {
				if !yield(&list[i]) {
					return
				}
			}
		}
		for i := range p.DataMaskPolicyItems {
			if !yield(&p.DataMaskPolicyItems[i].PolicyItem) {
				return
			}
		}
		for i := range p.RowFilterPolicyItems {
			if !yield(&p.RowFilterPolicyItems[i].PolicyItem) {
				return
			}
		}
	}
}
