package script

import (
	"testing"

	"ucwarden/policy/match"
)

// The table of what Ranger offers scripts. Sources: RangerRequestScriptEvaluator, RangerRequestScriptEvaluatorTest,
// JavaScriptEditsTest.
func TestRangerAPI(t *testing.T) {
	testScripts(t, everything(), map[string]string{
		`USER._name + '/' + USER.dept`: "bob/hr", `USER['level'] > 6.5`: "true", `USER.none`: "", `UGNAMES.join('+')`: "all+staff", `URNAMES`: "boss,reader",
		`UG.all.floor`: "2", `UG['none'] == null`: "true", `UG.staff._name`: "staff", `UGA.sVal.site + UGA.mVal.site.length`: "A2", `J(UGA.mVal['site'])`: `["A","B"]`,
		`TAG._type + TAG.level`: "PIIhigh", `TAGS.OPEN._matchType`: "ANCESTOR", `TAGNAMES.includes('OPEN')`: "true", `Object.keys(TAGS).length`: "2",
		`RES.database`: "Sales", `RES.table.join('+')`: "t1+t2", `RES._ownerUser == REQ.user`: "false", `RES._ownerUser`: "ann", `REQ.accessType + REQ.action`: "selectQUERY",
		`REQ.accessTime`: "1772366400000", `REQ.clientIPAddress`: "10.0.0.1", `REQ.clientType`: "", `REQ.resource.database + REQ.userAttributes.dept + REQ.userGroups[0] + REQ.userRoles[0]`: "Saleshrallboss",
		`REQ.userGroupAttributes.all.floor + REQ.uga.sVal.floor`: "22", `_ctx.request.user + _ctx.tag._type + _ctx.tagNames + _ctx.tags.OPEN._type`: "bobPIIOPEN,PIIOPEN",
		`tagAttr.get('score') < 0.9`: "true", `tagAttr.score`: "0.8", `tag.getAttributes().get('score')`: "0.8", `tag.getType() + tag.type + tag.getMatchType()`: "PIIPIISELF",
		`tagAttr.get('none') === null && tagAttr.containsKey('score') && !tagAttr.containsKey('get')`: "true", `tagAttr.isEmpty() || tagAttr.size()`: "4",

		`ctx.getUser() + ctx.user + ctx.action + ctx.getAction()`: "bobbobQUERYQUERY", `ctx.getUserGroups().contains('staff') && ctx.userRoles.contains('boss')`: "true",
		`ctx.getRequestContextAttribute('country')`: "CH", `ctx.getRequestContextAttribute('level') === '3'`: "true", `ctx.getRequestContextAttribute('none') === null`: "true",
		`ctx.isAccessTypeAny() || ctx.accessTypeAny || ctx.isAccessTypeDelegatedAdmin()`: "false", `ctx.getClientType() === null`: "true", `ctx.none === undefined`: "true",
		`ctx.isAccessedBefore('expiry')`: "true", `ctx.isAccessedAfter('expiry')`: "false", `ctx.isAccessedAfter('OPEN', 'expiry')`: "true", `ctx.isAccessedBefore('PII', 'expiry')`: "true",
		`ctx.getAttributeValue('PII', 'level') + ctx.getAttributeValue('level') + ctx.getAttributeValue('none')`: "highhighnull", `ctx.getTagAttributes('PII').get('level')`: "high",
		`ctx.getCurrentTagType() + ctx.getAllTagTypes() + ctx.getCurrentTag().getType()`: "PIIOPEN,PIIPII", `ctx.getAttributeNames('PII').join()`: "expiry,level,names,score",
		`ctx.getAttributeValueForAllMatchingTags('PII', 'level').join()`: "high", `ctx.logInfo('x'); 1`: "1",
		`ctx.getAccessTime() < ctx.getAsDate('2026/03/02') && ctx.getAccessTime().after(ctx.getAsDate('2026-03-01T11:59:59.999Z'))`: "true", `ctx.getAsDate('x') === null`: "true",
		`ctx.getTagAttributeAsDate('PII', 'expiry').getTime()`: "1780272000000",

		`IS_IN_GROUP('staff') && !IS_IN_GROUP('x') && IS_IN_ROLE('boss') && IS_IN_ANY_GROUP && IS_IN_ANY_ROLE`: "true",
		`HAS_TAG('PII') && !HAS_TAG('X') && HAS_ANY_TAG`:                                                       "true", `HAS_NO_TAG || IS_NOT_IN_ANY_GROUP || IS_NOT_IN_ANY_ROLE`: "false",
		`HAS_USER_ATTR('dept') && HAS_UG_ATTR('site') && HAS_TAG_ATTR('score') && !HAS_USER_ATTR('x') && !HAS_UG_ATTR('x') && !HAS_TAG_ATTR('x')`: "true",
		`UG_NAMES_CSV`: "all,staff", `UG_NAMES_Q_CSV`: `'all','staff'`, `UR_NAMES_CSV + UR_NAMES_Q_CSV`: `boss,reader'boss','reader'`, `TAG_NAMES_CSV`: "OPEN,PII", `TAG_NAMES_Q_CSV`: "'OPEN','PII'",
		`USER_ATTR_NAMES_CSV + USER_ATTR_NAMES_Q_CSV`: "dept,level'dept','level'", `UG_ATTR_NAMES_CSV`: "floor,site", `TAG_ATTR_NAMES_Q_CSV`: "'expiry','level','names','score'",
		`GET_UG_ATTR('site')`: "A,B", `GET_UG_ATTR_CSV('site')`: "A,B", `GET_UG_ATTR_Q_CSV('site')`: "'A','B'", `GET_USER_ATTR('dept')`: "hr", `GET_USER_ATTR_Q('dept')`: "'hr'",
		`GET_TAG_NAMES()`: "OPEN,PII", `GET_TAG_NAMES(null, '|')`: "OPEN|PII", `GET_TAG_NAMES(null, null)`: "OPENPII", `GET_TAG_NAMES_Q(null, '|', null)`: "OPEN|PII",
		`GET_TAG_NAMES_Q(null, ',', '{', '}')`: "{OPEN},{PII}", `GET_UR_NAMES_Q(null, '|', '"')`: `"boss"|"reader"`, `GET_UG_ATTR_Q('none', 'x', ';', '<', '>')`: "<x>",
		`GET_UG_ATTR_Q('none', 'empty', null)`: "'empty'", `GET_USER_ATTR('none', 'empty', '|')`: "empty", `GET_USER_ATTR_Q('none', null)`: "", `GET_TAG_ATTR('level', null, '|')`: "high",
		`ctx.ugNamesCsv() + ctx.tagAttrCsvQ('level') + ctx.ugAttrNames(null, '/')`: "all,staff'high'floor/site",

		`IS_ACCESS_TIME_BETWEEN('2026/03/01', '2026/03/02')`: "true", `IS_ACCESS_TIME_BETWEEN('2026/03/01 12:00', '2026/03/02')`: "true",
		`IS_ACCESS_TIME_AFTER('2026/03/01 13:00:00', 'Asia/Tokyo')`: "true", `IS_ACCESS_TIME_AFTER('2026/03/01 12:00')`: "false",
		`IS_ACCESS_TIME_BEFORE('2026/03/01 12:00:00')`: "false", `IS_ACCESS_TIME_BEFORE('2026/03/01 12:00:01', 'GMT')`: "true", `IS_ACCESS_TIME_BEFORE('2026/03/01 04:00:01', 'PST')`: "true",
		`IS_ACCESS_TIME_BEFORE('2026/03/01 17:30', 'GMT+5:30')`: "false",

		`['a','b'].intersects(['c','b'])`: "true", `['a'].intersects(null) || [].intersects([])`: "false", `['a'].intersects('xay')`: "true", `UGNAMES.contains('all') && !UGNAMES.isEmpty()`: "true",
		`UGNAMES.size() + UGNAMES.get(0)`: "2all", `UGNAMES.containsAll(['all'])`: "true", `'x'.equals('x') && !'x'.equals(null) && !'1'.equals(1)`: "true",
		`'Über'.equalsIgnoreCase('üBER') && !'x'.equalsIgnoreCase(null)`: "true", `'abc'.contains('b') && !'abc'.isEmpty()`: "true", `'abc'.length() + USER.dept.length()`: "5",
		"var c = ctx.getRequestContextAttribute('country'); !!c && c.equals('CH');": "true", `USER.has('dept') && USER.hasOwnProperty('dept') && USER.getOrDefault('x', 1)`: "1",
		`tagAttr.keySet().size()`: "4",

		`[[TAG.names]].intersects(['it'])`: "true", `[[TAG.names]].includes(USER.dept)`: "true", `[['a|b','|']].length`: "1", `[[TAG.names,'r']].length`: "2", `[[USER[TAGNAMES[0]]]]`: "error",
		`tag = 5; tag`: "5", `let USER = 3; USER`: "3", `function HAS_TAG() { return 'mine' } HAS_TAG()`: "mine",
	})
}

// Lists of attributes come sorted, whichever group or tag brings them, without the names that Ranger adds; and what only begins
// like the name of a list is none.
func TestLists(t *testing.T) {
	v := everything()
	v.Users.UserAttrMapping["bob"] = map[string]string{"level": "7", "dept": "hr", "_internal": "x"}
	v.Users.GroupAttrMapping = map[string]map[string]string{"all": {"site": "A", "floor": "2"}, "staff": {"area": "B", "site": "B"}}
	v.Tags = []*match.Tag{
		{Type: "PII", Attributes: map[string]string{"level": "low", "_type": "x"}}, {Type: "OPEN", Attributes: map[string]string{"level": "high", "area": "B"}},
	}
	testScripts(t, v, map[string]string{
		`USER_ATTR_NAMES_CSV`: "dept,level", `UG_ATTR_NAMES_CSV`: "area,floor,site", `TAG_ATTR_NAMES_CSV`: "area,level", `GET_TAG_ATTR('level')`: "high,low",
		`GET_USER_ATTR('_name')`: "bob", `GET_UG_ATTR('_name')`: "all,staff", `GET_UG_ATTR('area')`: "B", `GET_TAG_ATTR('area')`: "B",
		`GET_USER_ATTR() + ctx.ugAttrQ()`: "", `ctx.ugNamesCsv('none', '|')`: "all,staff", `GET_UG_NAMES('none')`: "all,staff",
		`GET_UG_NAMES(null, 'x'.repeat(131068)).length`: "131076", `GET_UG_NAMES(null, 'x'.repeat(131069)).length`: "error",
		`GET_UG_NAMES_Q(null, ',', 'x'.repeat(65533)).length`: "262141", `GET_UG_NAMES_Q(null, ',', 'x'.repeat(65534)).length`: "error",
		`ctx.tagNamesX === undefined && ctx.ugAttrCsvs === undefined && ctx.Q === undefined && ctx[''] === undefined && ctx.Csv === undefined`: "true",
	})
}

// The methods of ctx at their edges: several tags of one type, what is not there, what is past, and the one of a kind that is
// enough for "any".
func TestMethods(t *testing.T) {
	v := everything()
	v.Tag.Attributes["past"] = "2026/01/01"
	v.Tags = []*match.Tag{
		v.Tag, {Type: "PII", Attributes: map[string]string{"level": "a first"}}, {Type: "PII"}, {Type: "OPEN", Attributes: map[string]string{"level": "other"}},
	}
	testScripts(t, v, map[string]string{
		`ctx.getAttributeValueForAllMatchingTags('PII', 'level').join()`: "a first,high", `TAGNAMES.join()`: "OPEN,PII",
		`ctx.getAttributeValue('X', 'level') === null && ctx.getAttributeNames('X') === null`: "true", `HAS_USER_ATTR('_name')`: "true",
		`ctx.isAccessedAfter('past') && ctx.isAccessedAfter('level')`: "true", `ctx.isAccessedBefore('past') || ctx.isAccessedBefore('level')`: "false",
		`ctx.result = true; ctx.setResult(false); ctx.getResult()`: "false", `"use strict"; ctx.result = true; ctx.getResult()`: "true",
		`'user' in ctx && 'getUser' in ctx && !('none' in ctx)`: "true", `delete ctx.user`: "false", `ctx.getUser === ctx.getUser`: "true",
		`GET_UG_NAMES_Q(null, ',', '"', undefined)`: `"all","staff"`, `typeof RES.database + Array.isArray(RES.table)`: "stringtrue",
		`IS_ACCESS_TIME_BETWEEN('2026/03/01 20:59', '2026/03/01 21:01', 'Asia/Tokyo')`: "true", `IS_ACCESS_TIME_BETWEEN('2026/03/01 11:59', '2026/03/01 12:01', 'Asia/Tokyo')`: "false",
	})
	v.Tags, v.Groups, v.Roles = v.Tags[:1], []string{"all"}, func() []string { return []string{"boss"} }
	testScripts(t, v, map[string]string{`HAS_ANY_TAG && IS_IN_ANY_GROUP && IS_IN_ANY_ROLE && HAS_UG_ATTR('floor')`: "true"})
}
